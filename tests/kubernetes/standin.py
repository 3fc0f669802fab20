"""A stand-in for a cluster, where none is: an API server for the calls that Podium makes, and a kubelet for
Deployments whose pods are processes of this machine. What runs in them, and what asks, is Podium itself.

What it is not: it knows no schemas (the tests of manifests do), no nodes, no networks, no autoscalers.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]

GROUPS = ("", "apps", "autoscaling", "policy", "networking.k8s.io")
"""Others are extensions that this cluster does not have."""

LOOK_SECONDS = 0.1
PAUSE_SECONDS = 2.0
END_SECONDS = 8.0
HIGHEST_PORT = 65535


class Place(NamedTuple):
    plural: str
    namespace: str
    name: str


class UnknownGroup(Exception):
    """The real one does not even answer with a document of its own."""


class Refused(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.document = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason,
            "message": message,
            "code": status,
        }


class StandIn:
    """A cluster. `with` starts it; `images` are those that can be pulled, each with its own environment."""

    def __init__(self, folder: Path, images: dict[str, dict[str, str]]) -> None:
        self.folder = folder
        self.images = images
        self.objects: dict[Place, Object] = {}
        self.pods: dict[str, Pod] = {}
        self.followers = 0
        self.lock = threading.RLock()
        self._stop = threading.Event()

    def __enter__(self) -> StandIn:
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._kubelet = threading.Thread(target=self._keep, daemon=True)
        self._kubelet.start()
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(self._config()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._kubelet.join()
        for pod in self.pods.values():
            pod.end()
        for pod in self.pods.values():
            pod.ended()
        self._server.shutdown()
        self._server.server_close()

    def _config(self) -> Object:
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": url}}],
            "users": [{"name": "somebody", "user": {"token": "none"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "somebody"}}],
            "current-context": "here",
        }

    # --- what tests ask -----------------------------------------------------------------------

    def pod(self, beginning: str) -> Pod:
        """The one whose name begins so."""
        with self.lock:
            (found,) = [pod for name, pod in self.pods.items() if name.startswith(beginning)]
        return found

    def names(self, plural: str) -> list[str]:
        with self.lock:
            return sorted(place.name for place in self.objects if place.plural == plural)

    # --- the API server -----------------------------------------------------------------------

    def apply(self, place: Place, said: Object, *, dry_run: bool) -> Object:
        with self.lock:
            if place.namespace and Place("namespaces", "", place.namespace) not in self.objects:
                raise Refused(404, "NotFound", f'namespaces "{place.namespace}" not found')
            _check(said)
            before = self.objects.get(place)
            metadata = before["metadata"] if before else _made()
            changed = before is None or before.get("spec") != said.get("spec")
            found = {
                **said,
                "metadata": {
                    **metadata,
                    **said["metadata"],
                    "generation": metadata.get("generation", 0) + int(changed),
                },
            }
            if before and "status" in before:
                found["status"] = before["status"]
            if not dry_run:
                self.objects[place] = found
            return found

    def read(self, place: Place) -> Object:
        with self.lock:
            found = self._pods().get(place.name) if place.plural == "pods" else self.objects.get(place)
        if found is None:
            raise Refused(404, "NotFound", f'{place.plural} "{place.name}" not found')
        return found

    def listed(self, place: Place, labels: Mapping[str, str]) -> list[Object]:
        with self.lock:
            all_of = [each for at, each in self.objects.items() if at[:2] == place[:2]]
            found = list(self._pods().values()) if place.plural == "pods" else all_of
        return [each for each in found if labels.items() <= each["metadata"].get("labels", {}).items()]

    def delete(self, place: Place) -> None:
        self.read(place)
        with self.lock:
            del self.objects[place]

    def _pods(self) -> dict[str, Object]:
        return {name: pod.object() for name, pod in self.pods.items()}

    # --- the kubelet --------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with self.lock:
                there = {at: each for at, each in self.objects.items() if at.plural == "deployments"}
                for place, deployment in there.items():
                    self._roll(place, deployment)
                for name, pod in list(self.pods.items()):
                    if pod.owner not in there:
                        pod.end()
                    if not pod.keep():
                        del self.pods[name]

    def _roll(self, place: Place, deployment: Object) -> None:
        """New pods first, and the old ones go when those are ready."""
        template, wanted = deployment["spec"]["template"], deployment["spec"].get("replicas") or 1
        mine = [pod for pod in self.pods.values() if pod.owner == place and not pod.leaving]
        new = [pod for pod in mine if pod.template == template]
        while len(new) < wanted:
            name = f"{place.name}-{secrets.token_hex(3)}"
            new.append(Pod(self, place, name, template))
            self.pods[name] = new[-1]
        ready = [pod for pod in new if pod.ready]
        if len(ready) == wanted:
            for pod in mine:
                if pod not in new:
                    pod.end()
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len({*mine, *new}),
            "updatedReplicas": len(new),
            "readyReplicas": len(ready),
        }

    def secret(self, namespace: str, name: str) -> Object:
        with self.lock:
            found = self.objects.get(Place("secrets", namespace, name), {})
        return dict(found.get("stringData", {}))

    def settings(self, namespace: str, name: str) -> Object:
        with self.lock:
            return dict(self.objects[Place("configmaps", namespace, name)]["data"])


class Pod:
    """One process, with the environment of its container. Its ports and folders are this machine's."""

    def __init__(self, cluster: StandIn, owner: Place, name: str, template: Object) -> None:
        self.owner = owner
        self.name = name
        self.template = template
        self.ready = False
        self.leaving = False
        self.restarts = 0
        self._cluster = cluster
        self._container = template["spec"]["containers"][0]
        self._folder = cluster.folder / name
        self._folder.mkdir()
        self.log = self._folder / "log"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._status: int | None = None
        self._again = 0.0

    @property
    def _pullable(self) -> bool:
        return self._container["image"] in self._cluster.images

    def environment(self) -> dict[str, str]:
        own = dict(os.environ)
        own |= self._cluster.images[self._container["image"]]
        for each in self._container["env"]:
            if "value" in each:
                own[each["name"]] = each["value"]
            else:
                key = each["valueFrom"]["secretKeyRef"]
                values = self._cluster.secret(self.owner.namespace, key["name"])
                if key["key"] in values:
                    own[each["name"]] = values[key["key"]]
        own |= {"PODIUM_RUN_DIR": str(self._folder / "run"), "PODIUM_HOST": "127.0.0.1"}
        own |= {"PODIUM_PORT": str(self.port), "PODIUM_HEALTH_PORT": str(self.port)}
        if "PODIUM_SETTINGS" in own:
            own["PODIUM_SETTINGS"] = str(self._settings())
        return own

    def _settings(self) -> Path:
        (volume,) = [each for each in self.template["spec"]["volumes"] if each["name"] == "settings"]
        ((name, text),) = self._cluster.settings(self.owner.namespace, volume["configMap"]["name"]).items()
        path = self._folder / name
        path.write_text(text)
        return path

    # --- its life -----------------------------------------------------------------------------

    def keep(self) -> bool:
        """One look; False when it is gone for good."""
        if self.process is None:
            if self.leaving:
                return False
            if self._pullable and time.monotonic() >= self._again:
                self._start()
        elif (status := self.process.poll()) is not None:
            self.process, self.ready, self._status = None, False, status
            self.restarts += 1
            self._again = time.monotonic() + PAUSE_SECONDS
        elif not self.leaving:
            self.ready = self._answers()
        return True

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "podium", *self._container["args"]],
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _answers(self) -> bool:
        path = self._container["readinessProbe"]["httpGet"]["path"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=1) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def end(self) -> None:
        self.leaving = True
        self.ready = False
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)  # a test may have stopped it
                self.process.terminate()

    def ended(self) -> None:
        if self.process is not None:
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    # --- what is seen of it -------------------------------------------------------------------

    def object(self) -> Object:
        labels = self.template["metadata"]["labels"]
        leaving = {"deletionTimestamp": _now()} if self.leaving else {}
        state: Object = {"restartCount": self.restarts, "name": self._container["name"], **self._state()}
        state |= {"image": self._container["image"], "imageID": "", "ready": self.ready}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.owner.namespace, "labels": labels, **leaving},
            "spec": {"containers": [{"name": self._container["name"]}]},
            "status": {
                "phase": "Running" if self.process else "Pending",
                "conditions": [{"type": "Ready", "status": str(self.ready)}],
                "containerStatuses": [state],
            },
        }

    def _state(self) -> Object:
        if self.process is None and not self._pullable:
            message = f"failed to pull {self._container['image']}: not found"
            return {"state": {"waiting": {"reason": "ErrImagePull", "message": message}}}
        ended = {} if self._status is None else {"lastState": {"terminated": {"exitCode": self._status}}}
        if self.process is not None:
            return {"state": {"running": {"startedAt": _now()}}, **ended}
        waiting = "CrashLoopBackOff" if ended else "ContainerCreating"
        return {"state": {"waiting": {"reason": waiting}}, **ended}


# --- HTTP -----------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    cluster: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Tests say enough."""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_PATCH(self) -> None:
        self._answer(self._apply)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def _answer(self, method: Any) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            found = method(*self._target())
        except UnknownGroup:
            self._say(404, b"404 page not found\n")
        except Refused as error:
            self._say(error.status, _json(error.document))
        else:
            if found is not None:
                self._say(200, _json(found))

    def _target(self) -> tuple[Place, str, Mapping[str, Sequence[str]]]:
        """Where it is, what of it, and the query."""
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        words = address.path.strip("/").split("/")
        group, rest = ("", words[2:]) if words[0] == "api" else (words[1], words[3:])
        if group not in GROUPS:
            raise UnknownGroup
        if len(rest) <= 2:
            return Place(rest[0], "", rest[1] if len(rest) == 2 else ""), "", query
        _, namespace, plural, *names = rest
        name, part, *_ = [*names, "", ""]
        return Place(plural, namespace, name), part, query

    def _get(self, place: Place, part: str, query: Mapping[str, Sequence[str]]) -> Object | None:
        match part:
            case "exec":
                return self._exec(place, query["command"])
            case "log":
                return self._log(place, query)
        if place.name:
            return self.cluster.read(place)
        words = query.get("labelSelector", [""])[0].split(",")
        labels = dict(word.split("=", 1) for word in words if word)
        return {"kind": "List", "metadata": {}, "items": self.cluster.listed(place, labels)}

    def _apply(self, place: Place, _: str, query: Mapping[str, Sequence[str]]) -> Object:
        return self.cluster.apply(place, json.loads(self._body), dry_run="dryRun" in query)

    def _delete(self, place: Place, *_: object) -> Object:
        self.cluster.delete(place)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if body.startswith(b"{") else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # --- streams ------------------------------------------------------------------------------

    def _log(self, place: Place, query: Mapping[str, Sequence[str]]) -> None:
        pod = self.cluster.pods[place.name]
        if not pod.log.exists():
            raise Refused(400, "BadRequest", f'container in pod "{place.name}" is waiting to start')
        self.close_connection = True
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.cluster.followers += "follow" in query and query["follow"] == ["true"]
        for chunk in _lines(pod, int(query["tailLines"][0]), follow="true" in query.get("follow", [])):
            self.wfile.write(chunk)
            self.wfile.flush()

    def _exec(self, place: Place, command: Sequence[str]) -> None:
        """Run it beside the pod's process, over a WebSocket: a channel's number, then what came on it."""
        pod = self.cluster.pods[place.name]
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.close_connection = True
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Protocol", "v5.channel.k8s.io")
        self.send_header(
            "Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        )
        self.end_headers()
        argv = [sys.executable if word == "python3" else word for word in command]
        done = subprocess.run(argv, env=pod.environment(), capture_output=True, timeout=60, check=False)
        for channel, said in ((1, done.stdout), (2, done.stderr), (3, _ended(done.returncode))):
            self.wfile.write(_frame(bytes([channel]) + said))
        self.wfile.write(_frame((1000).to_bytes(2, "big"), kind=8))


def _lines(pod: Pod, count: int, *, follow: bool) -> Iterator[bytes]:
    with pod.log.open("rb") as log:
        there = log.readlines()
        yield b"".join(there[-count:] if count else [])
        while follow and pod.process is not None:
            time.sleep(LOOK_SECONDS)
            if more := log.read():
                yield more


def _frame(payload: bytes, *, kind: int = 2) -> bytes:
    """A whole message: 2 is bytes, 8 the end."""
    size = len(payload)
    if size < 126:
        head = bytes([size])
    elif size < 1 << 16:
        head = bytes([126]) + size.to_bytes(2, "big")
    else:
        head = bytes([127]) + size.to_bytes(8, "big")
    return bytes([0x80 | kind]) + head + payload


def _ended(code: int) -> bytes:
    if code == 0:
        return _json({"status": "Success", "metadata": {}})
    cause = {"reason": "ExitCode", "message": str(code)}
    status = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}
    return _json({**status, "metadata": {}, "message": f"ended with {code}"})


def _json(document: Object) -> bytes:
    return json.dumps(document).encode()


def _check(said: Object) -> None:
    """The one rule of all that the real one has which a test needs."""
    for port in said.get("spec", {}).get("ports", []) if said["kind"] == "Service" else []:
        if port["port"] > HIGHEST_PORT:
            message = (
                f"Service {said['metadata']['name']!r} is invalid: spec.ports[0].port: must be up to 65535"
            )
            raise Refused(422, "Invalid", message)


def _made() -> Object:
    return {"creationTimestamp": _now(), "uid": secrets.token_hex(8)}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
