#!/usr/bin/env bash
# Starts a one-node cluster on 127.0.0.1:6444 from ./bin (see build.sh), data under ./run; ready in about 16 s.
# KUBECONFIG=run/kubeconfig. Pods: hostNetwork (there is no DNS), images from 127.0.0.1:5000 or imported with ctr.
# Run it in a folder that holds bin/ and pause-image.py. To stop: kill the pids in run/*.pid, kubelet first, then what
# `ctr -a run/containerd.sock -n k8s.io tasks ls -q` still lists, containerd and etcd last; unmount what is left under run/.
# A kubelet sets vm.overcommit_memory to 1, and whatever asks for more memory than there is then gets it, until the machine has none:
# `sysctl -w vm.overcommit_memory=0` once the node is ready, and run no other tests beside it before. Its KUBE-* chains stay in iptables.
set -eu
here=$PWD; run=$here/run; mkdir -p "$run" "$run/cni"; cd "$run"
[ -e sa.key ] || openssl genrsa -out sa.key 2048 2>/dev/null
token=$(head -c16 /dev/urandom | od -An -tx1 | tr -d ' \n'); echo "$token,admin,admin,system:masters" > tokens.csv
cat > kubeconfig <<Y
apiVersion: v1
kind: Config
clusters: [{name: local, cluster: {server: 'https://127.0.0.1:6444', insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: local, context: {cluster: local, user: admin}}]
current-context: local
Y
cat > kubelet.yaml <<'Y'
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
healthzBindAddress: 127.0.0.1
cgroupDriver: cgroupfs
failSwapOn: false
oomScoreAdj: 0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
enforceNodeAllocatable: []
featureGates: {LocalStorageCapacityIsolation: false}
evictionHard: {memory.available: "100Mi"}
Y
cat > containerd.toml <<Y
version = 2
root = "$run/containerd/root"
state = "$run/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.aufs","io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$run/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."127.0.0.1:5000"]
    endpoint = ["http://127.0.0.1:5000"]
Y
cat > cni/10-pods.conflist <<'Y'
{"cniVersion":"0.4.0","name":"pods","plugins":[
 {"type":"ptp","ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
Y
[ -e pause.tar ] || python3 "$here/pause-image.py"
start() { name=$1; shift; setsid "$@" > "$name.log" 2>&1 < /dev/null & echo $! > "$name.pid"; }
start etcd etcd --data-dir "$run/etcd" --listen-client-urls http://127.0.0.1:2389 --advertise-client-urls http://127.0.0.1:2389 \
  --listen-peer-urls http://127.0.0.1:2390 --initial-advertise-peer-urls http://127.0.0.1:2390 --initial-cluster default=http://127.0.0.1:2390
start apiserver "$here/bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2389 --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
  --secure-port=6444 --insecure-port=0 --cert-dir=certs --token-auth-file=tokens.csv --authorization-mode=RBAC \
  --service-account-key-file=sa.key --service-account-signing-key-file=sa.key --service-account-issuer=https://kubernetes.default.svc \
  --service-cluster-ip-range=10.0.0.0/24 --endpoint-reconciler-type=none --allow-privileged=true --kubelet-preferred-address-types=Hostname
start containerd containerd -c containerd.toml
for i in $(seq 1 120); do [ "$(curl -sk -H "Authorization: Bearer $token" https://127.0.0.1:6444/readyz)" = ok ] && break; sleep 0.25; done
ctr -a "$run/containerd.sock" -n k8s.io images import pause.tar
kcm="--kubeconfig=kubeconfig --authentication-kubeconfig=kubeconfig --authorization-kubeconfig=kubeconfig --bind-address=127.0.0.1 --port=0 --leader-elect=false"
start controller-manager "$here/bin/kube-controller-manager" $kcm --service-account-private-key-file=sa.key --root-ca-file=certs/apiserver.crt \
  --use-service-account-credentials=true --cert-dir=certs-kcm
start scheduler "$here/bin/kube-scheduler" $kcm
start kubelet "$here/bin/kubelet" --config=kubelet.yaml --kubeconfig=kubeconfig --container-runtime=remote \
  --container-runtime-endpoint="unix://$run/containerd.sock" --root-dir="$run/kubelet" --cert-dir=certs-kubelet --hostname-override=localhost --volume-plugin-dir="$run/plugins"
