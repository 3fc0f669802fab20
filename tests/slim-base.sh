#!/usr/bin/env bash
# Makes a small Debian root filesystem with Python 3.11 (57 MB) in ./rootfs, of Debian's own packages: a base image
# for tests on a machine that can pull none.
set -euo pipefail
rm -rf rootfs debs; mkdir -p rootfs debs; cd debs
apt-get download -qq base-files libc6 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1 \
  libncursesw6 libtinfo6 libreadline8 libdb5.3 libcrypt1 libnsl2 libtirpc3 libgssapi-krb5-2 libkrb5-3 libk5crypto3 \
  libkrb5support0 libcom-err2 libkeyutils1 libgcc-s1 gcc-12-base libstdc++6 libpython3.11-minimal libpython3.11-stdlib \
  python3.11-minimal python3.11 tzdata media-types netbase dash busybox-static ca-certificates
for deb in *.deb; do
  dpkg-deb --fsys-tarfile "$deb" \
    | tar -C ../rootfs -x --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*'
done
cd ../rootfs
mkdir -p tmp etc/ssl/certs root proc sys dev run; chmod 1777 tmp
ln -s python3.11 usr/bin/python3; ln -sf dash bin/sh
for tool in rm mkdir ls cat cp mv chmod chown ln env; do [ -e "bin/$tool" ] || ln -s busybox "bin/$tool"; done
cat usr/share/ca-certificates/mozilla/*.crt > etc/ssl/certs/ca-certificates.crt
printf 'root:x:0:0:root:/root:/bin/sh\napp:x:10001:10001::/app:/bin/sh\n' > etc/passwd
printf 'root:x:0:\napp:x:10001:\n' > etc/group
ldconfig -r . 2>/dev/null || true
