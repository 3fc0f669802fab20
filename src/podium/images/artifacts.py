"""A model's package in a registry: an image of one layer whose `/models` holds the package, and nothing else.

So KServe reads it as a ModelCar, and any registry keeps it. Its manifest's annotations have the package's own
digest, which is checked when it comes back: what a registry says is not believed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath

from podium.errors import DamagedBlob, ImageError
from podium.images.build import EPOCH, labels_of
from podium.images.contents import MODELS, package
from podium.models import manifest as manifests
from podium.models.digest import SHORT, digest_of, verify
from podium.oci import layers
from podium.oci.documents import (
    CONFIG,
    MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
    RootFs,
    RuntimeConfig,
    decode,
    encode,
)
from podium.oci.layout import Layout

ARTIFACT = "application/vnd.podium.model.v1"
DIGEST = "podium.digest"


def wrap(folder: Path, digest: str, store: Layout) -> Descriptor:
    """Put a package into the store as an artifact. The same package is always the same digest.

    Raises DigestMismatch for a damaged one: who pulls it would refuse it too, but only then.
    """
    verify(folder, digest)
    labels = labels_of(manifests.read(folder), digest)
    layer = layers.build(package(folder), store)
    config = ImageConfig(
        created=EPOCH,
        architecture="amd64",  # no byte of it is for a machine, and KServe wants one named
        os="linux",
        config=RuntimeConfig(labels=labels),
        rootfs=RootFs(diff_ids=[layer.diff_id]),
    )
    manifest = Manifest(
        schema_version=2,
        media_type=MANIFEST,
        artifact_type=ARTIFACT,
        config=store.put(encode(config), CONFIG),
        layers=[layer.blob],
        annotations=labels,
    )
    return store.put(encode(manifest), MANIFEST)


def unwrap(top: Descriptor, store: Layout, into: Path, *, what: str) -> str:
    """Write an artifact's package to `into`, a folder that is not there yet; returns its digest.

    Raises ImageError for what holds no package, DamagedBlob where the package is not what is said.
    """
    manifest = decode(store.read(top), Manifest, what=what)
    said = manifest.annotations.get(DIGEST, "")
    if not said:
        raise ImageError(f"{what} holds no package of Podium: `podium push MODEL {what}` makes one that does")
    try:
        with tempfile.TemporaryDirectory(prefix=".pulling-", dir=into.parent) as made:
            for layer in manifest.layers:
                _extract(store, layer, Path(made), what)
            folder = Path(made) / MODELS
            found = digest_of(folder)
            if found != said:
                raise DamagedBlob(
                    f"{what} holds a package with the digest {found[:SHORT]}…, and says {said[:SHORT]}…: it "
                    "was changed on the way, and is not kept"
                )
            shutil.move(folder, into)
    except OSError as error:
        raise ImageError(f"{what} cannot be unpacked in {into.parent}: {error.strerror or error}") from None
    return said


def _extract(store: Layout, layer: Descriptor, into: Path, what: str) -> None:
    """Plain files under `/models` alone; a base's layers have none there."""
    with layers.reading(layer, store, what=what) as tar:
        for info in tar:
            path = PurePosixPath(info.name.removeprefix("./"))
            if path.parts[:1] != (MODELS,) or info.isdir():
                continue
            if ".." in path.parts or not info.isreg():
                raise ImageError(f"{what} holds {info.name!r}, which is no plain file of a package")
            content = tar.extractfile(info)
            assert content is not None  # it is a plain file
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())
