"""The documents of the OCI image specification, as far as Podium reads and writes them.

What they hold beyond that is dropped when one is read: a base image's manifest is never written again,
only its layers and its configuration's runtime part are taken over.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from podium.errors import ImageError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_INDEX)

EMPTY_BYTES = b"{}"


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image runs on."""

    architecture: str
    os: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Raises ImageError for what is not `OS/ARCHITECTURE[/VARIANT]`."""
        match text.split("/"):
            case [os, architecture] if os and architecture:
                return cls(os=os, architecture=architecture)
            case [os, architecture, variant] if os and architecture and variant:
                return cls(os=os, architecture=architecture, variant=variant)
        raise ImageError(f"{text!r} is no platform: it is like linux/amd64 or linux/arm64")

    def runs_on(self, wanted: Platform) -> bool:
        """A variant that only one of the two names is no difference."""
        alike = not (self.variant and wanted.variant) or self.variant == wanted.variant
        return (self.os, self.architecture) == (wanted.os, wanted.architecture) and alike


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A blob or manifest by its digest (`sha256:…`) and size in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}
    platform: Platform | None = None
    artifact_type: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An image, or an artifact: a configuration and layers; `subject` is what it is about."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Index(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Several manifests: an image's platforms, or what refers to a manifest."""

    schema_version: int
    media_type: str = ""
    manifests: list[Descriptor]
    annotations: dict[str, str] = {}


class RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """How an image's process is started."""

    user: str = ""
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    exposed_ports: dict[str, dict[str, str]] | None = None
    volumes: dict[str, dict[str, str]] | None = None
    stop_signal: str = ""


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """The layers' digests before compression."""

    type: str = "layers"
    diff_ids: list[str]


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a layer came from, for people."""

    created: str = ""
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image's configuration."""

    created: str = ""
    architecture: str
    os: str
    variant: str = ""
    config: RuntimeConfig = msgspec.field(default_factory=RuntimeConfig)
    rootfs: RootFs
    history: list[History] | None = None

    @property
    def platform(self) -> Platform:
        return Platform(os=self.os, architecture=self.architecture, variant=self.variant)


Document = TypeVar("Document")


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def encode(document: msgspec.Struct) -> bytes:
    """The same document is always the same bytes."""
    return msgspec.json.encode(document, order="deterministic")


def decode(content: bytes, kind: type[Document], *, what: str) -> Document:
    """Raises ImageError where the bytes are not such a document."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ImageError(f"{what} is not what it should be: {error}") from None


def described(content: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type=media_type, digest=sha256(content), size=len(content))
