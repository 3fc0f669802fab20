"""The image that another one stands on: of a registry or a layout, by its digest, for one platform."""

from __future__ import annotations

import re
from dataclasses import dataclass

from podium.errors import ImageError, WrongPlatform
from podium.images.wheels import Target
from podium.oci import layers
from podium.oci.documents import (
    INDEXES,
    LAYER,
    MANIFESTS,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    decode,
)
from podium.oci.layout import Layout
from podium.oci.reference import LayoutReference, Reference
from podium.oci.repository import Access, Repository

_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OLDEST = (3, 11)
"""The oldest Python that Podium runs on."""

_PYTHON = re.compile(r"(?:usr/)?(?:local/)?bin/python(3\.\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base whose blobs are all in the store. `repository` is where a registry may mount them from."""

    name: str
    digest: str
    config: ImageConfig
    layers: list[Descriptor]
    reference: Reference | LayoutReference


def bring(reference: Reference | LayoutReference, platform: Platform, store: Layout, access: Access) -> Base:
    """Get a base into the store. Raises WrongPlatform, with those that there are, and ImageError's kinds."""
    if isinstance(reference, LayoutReference):
        source = Layout(reference.folder)
        top = source.tagged(reference.tag)
        return _Bringing(reference, store, source, None).bring(top, source.read(top), platform)
    with Repository(reference, access) as repository:
        top, content = repository.manifest(reference.version)
        return _Bringing(reference, store, None, repository).bring(top, content, platform)


@dataclass(frozen=True, slots=True)
class _Bringing:
    reference: Reference | LayoutReference
    store: Layout
    layout: Layout | None
    repository: Repository | None

    def bring(self, top: Descriptor, content: bytes, platform: Platform) -> Base:
        chosen, content = self._chosen(top, content, platform)
        manifest = decode(content, Manifest, what=f"the manifest of {self.reference}")
        config = decode(self._read(manifest.config), ImageConfig, what=f"{self.reference}")
        if not config.platform.runs_on(platform):
            raise WrongPlatform(
                f"{self.reference} is for {config.platform}, and {platform} is wanted: another --base, or "
                f"--platform {config.platform}"
            )
        for layer in manifest.layers:
            self._get(layer)
        return Base(
            name=str(self.reference),
            digest=chosen.digest,
            config=config,
            layers=[_as_oci(layer, self.reference) for layer in manifest.layers],
            reference=self.reference,
        )

    def _chosen(self, top: Descriptor, content: bytes, platform: Platform) -> tuple[Descriptor, bytes]:
        if top.media_type not in INDEXES:
            if top.media_type not in MANIFESTS:
                raise ImageError(f"{self.reference} is no image: it is {top.media_type}")
            return top, content
        index = decode(content, Index, what=f"the index of {self.reference}")
        there = [each for each in index.manifests if each.platform]
        for each in there:
            if each.platform is not None and each.platform.runs_on(platform):
                return each, self._manifest(each)
        names = ", ".join(str(each.platform) for each in there) or "none"
        raise WrongPlatform(
            f"{self.reference} is not there for {platform}; it is for {names}: another --base"
        )

    def _manifest(self, described: Descriptor) -> bytes:
        if self.layout:
            return self.layout.read(described)
        assert self.repository is not None  # one of the two
        return self.repository.manifest(described.digest)[1]

    def _get(self, blob: Descriptor) -> None:
        if self.store.has(blob.digest):
            return
        if self.layout:
            self.store.put_stream([self.layout.read(blob)], blob.media_type, expected=blob.digest)
        elif self.repository:
            self.repository.fetch(blob, self.store)

    def _read(self, blob: Descriptor) -> bytes:
        self._get(blob)
        return self.store.read(blob)


def _as_oci(layer: Descriptor, reference: object) -> Descriptor:
    """Docker's name for the same bytes would make a manifest of two kinds."""
    if layer.media_type not in (LAYER, _DOCKER_LAYER, LAYER.removesuffix("+gzip")):
        raise ImageError(f"{reference} has a layer of the kind {layer.media_type}, which is not known here")
    kind = LAYER if layer.media_type == _DOCKER_LAYER else layer.media_type
    return Descriptor(media_type=kind, digest=layer.digest, size=layer.size)


def check_python(base: Base, target: Target, store: Layout) -> None:
    """Raise WrongPlatform where the base's Python is not the one that the wheels are for."""
    found = _python_of(base, store)
    if target.python not in found:
        there = sorted(found, key=_numbers)
        has = f"Python {', '.join(there)}" if there else "no Python"
        fits = bool(there) and _numbers(there[-1]) >= OLDEST
        raise WrongPlatform(
            f"{base.name} has {has}, and the wheels are for Python {target.python}: another --base"
            + (f", or --python {there[-1]}" if fits else "")
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _python_of(base: Base, store: Layout) -> set[str]:
    """From what the image says of itself, as Docker's own Python images do, else from its files."""
    for variable in base.config.config.env or []:
        name, _, value = variable.partition("=")
        if name == "PYTHON_VERSION":
            return {".".join(value.split(".")[:2])}
    found = set()
    for layer in base.layers:
        with layers.reading(layer, store, what=base.name) as tar:
            for info in tar:
                if match := _PYTHON.fullmatch(info.name.removeprefix("./")):
                    found.add(match[1])
    return found
