"""Base images for tests: a real one of Debian's packages, and small ones that only look like one."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

from tests.registries import needed

from podium.oci.documents import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    Descriptor,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    RootFs,
    RuntimeConfig,
    encode,
)
from podium.oci.layout import Layout
from podium.oci.reference import LayoutReference

AMD = Platform(os="linux", architecture="amd64")
ARM = Platform(os="linux", architecture="arm64", variant="v8")


def debian(folder: Path) -> LayoutReference:
    """Debian with Python 3.11, as an OCI layout."""
    needed("apt-get", "dpkg-deb")
    folder.mkdir(parents=True)
    script = Path(__file__).with_name("slim-base.sh")
    made = subprocess.run([script], cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    assert made.returncode == 0, made.stderr
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(folder / "rootfs", arcname=".")
    return layout_of(folder / "base", {AMD: packed.getvalue()})


def small(folder: Path, *platforms: Platform, python: str = "3.11") -> LayoutReference:
    """What has a file where Python would be."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(f"./usr/bin/python{python}"))
    return layout_of(folder, dict.fromkeys(platforms or (AMD,), packed.getvalue()))


def layout_of(folder: Path, layers: dict[Platform, bytes]) -> LayoutReference:
    layout = Layout(folder)
    manifests = [_manifest(layout, platform, plain) for platform, plain in layers.items()]
    if len(manifests) == 1:
        layout.tag(manifests[0], "slim")
    else:
        index = Index(schema_version=2, media_type=INDEX, manifests=manifests)
        layout.tag(layout.put(encode(index), INDEX), "slim")
    return LayoutReference(folder=folder, tag="slim")


def _manifest(layout: Layout, platform: Platform, plain: bytes) -> Descriptor:
    layer = layout.put(gzip.compress(plain, compresslevel=6, mtime=0), LAYER)
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        config=RuntimeConfig(env=["PATH=/usr/local/bin:/usr/bin:/bin"], labels={"of": "the base"}),
        rootfs=RootFs(diff_ids=[f"sha256:{hashlib.sha256(plain).hexdigest()}"]),
        history=[History(created="1970-01-01T00:00:00Z", created_by="the base")],  # builders want one
    )
    described = layout.put(encode(config), CONFIG)
    manifest = Manifest(schema_version=2, media_type=MANIFEST, config=described, layers=[layer])
    found = layout.put(encode(manifest), MANIFEST)
    return Descriptor(media_type=MANIFEST, digest=found.digest, size=found.size, platform=platform)
