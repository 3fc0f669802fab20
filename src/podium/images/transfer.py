"""Images from the store to a registry, a layout or a docker archive, and back."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from podium.errors import ImageError
from podium.oci.documents import INDEXES, Descriptor, Index, Manifest, decode
from podium.oci.layout import Layout
from podium.oci.reference import LATEST, LayoutReference, Reference
from podium.oci.repository import Access, Repository

ONE_PLATFORM = "a docker archive holds one platform: --platform with one, or --output oci:FOLDER"

Told = Callable[[Descriptor, int], None]
"""Told of each blob once it is there, and how many bytes of it went up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What is in the registry now, and how many bytes of blobs went up for it."""

    reference: Reference
    digest: str
    sent: int


def push(
    top: Descriptor,
    store: Layout,
    reference: Reference,
    access: Access,
    *,
    base: Reference | LayoutReference | None = None,
    told: Told = lambda blob, sent: None,
    beside: Callable[[Repository], None] = lambda repository: None,
) -> Pushed:
    """Blobs first, then manifests, what `beside` puts beside them (bills, signatures), the tag last.

    Who pulls by the tag meanwhile sees the old image or the new one, whole and signed; so they do where it
    ends half-way.
    """
    from_base = base.name if isinstance(base, Reference) and base.host == reference.host else ""
    tag = reference.tag or LATEST
    with Repository(reference, access) as repository, _saying_what_is_left(repository, tag):
        for manifest in manifests_of(top, store):
            parsed = decode(store.read(manifest), Manifest, what=manifest.digest)
            for blob in (*parsed.layers, parsed.config):
                told(blob, repository.push(blob, store, mount_from=from_base))
            if manifest.digest != top.digest:
                repository.put_manifest(store.read(manifest), manifest.media_type, manifest.digest)
        repository.put_manifest(store.read(top), top.media_type, top.digest)
        beside(repository)
        repository.put_manifest(store.read(top), top.media_type, tag)
        return Pushed(reference=reference.at(top.digest), digest=top.digest, sent=repository.sent)


@contextmanager
def _saying_what_is_left(repository: Repository, tag: str) -> Iterator[None]:
    """Of a push that ends half-way. Raises ImageError for Ctrl-C too."""
    name = f"{repository.host}/{repository.name}:{tag}"
    left = f"{name} is what it was before; what went up stays for the next push"
    try:
        yield
    except KeyboardInterrupt:
        raise ImageError(f"interrupted: {left}") from None
    except ImageError as error:
        if not repository.sent:
            raise
        raise type(error)(f"{error}. {left}") from None


def pull(reference: Reference, store: Layout, access: Access) -> Descriptor:
    """Bring an image or artifact into the store. Raises NoSuchImage, DamagedBlob and their kind."""
    with Repository(reference, access) as repository:
        top, content = repository.manifest(reference.version)
        store.put_stream([content], top.media_type, expected=top.digest)
        if top.media_type in INDEXES:
            for each in decode(content, Index, what=str(reference)).manifests:
                found, inner = repository.manifest(each.digest)
                store.put_stream([inner], found.media_type, expected=each.digest)
        for manifest in manifests_of(top, store):
            parsed = decode(store.read(manifest), Manifest, what=manifest.digest)
            for blob in (parsed.config, *parsed.layers):
                repository.fetch(blob, store)
        return top


def manifests_of(top: Descriptor, store: Layout) -> Iterator[Descriptor]:
    """The manifest itself, or those of an index."""
    if top.media_type not in INDEXES:
        yield top
        return
    yield from decode(store.read(top), Index, what=top.digest).manifests


def to_layout(top: Descriptor, store: Layout, folder: Path, tag: str) -> None:
    """Copy an image into a layout of its own."""
    target = Layout(folder)
    for manifest in manifests_of(top, store):
        parsed = decode(store.read(manifest), Manifest, what=manifest.digest)
        for blob in (*parsed.layers, parsed.config, manifest):
            if not target.has(blob.digest):
                target.put_stream([store.read(blob)], blob.media_type, expected=blob.digest)
    target.put(store.read(top), top.media_type)
    target.tag(top, tag)


def to_docker_archive(top: Descriptor, store: Layout, file: Path, name: str) -> None:
    """What `docker load` and `podman load` read: one platform."""
    if top.media_type in INDEXES:
        raise ImageError(ONE_PLATFORM)
    manifest = decode(store.read(top), Manifest, what=top.digest)
    paths = {blob.digest: f"{blob.digest.removeprefix('sha256:')}.tar.gz" for blob in manifest.layers}
    config = f"{manifest.config.digest.removeprefix('sha256:')}.json"
    listed = [{"Config": config, "RepoTags": [name], "Layers": [paths[b.digest] for b in manifest.layers]}]
    made = file.with_name(file.name + ".new")
    try:
        with tarfile.open(made, "w") as tar:
            _add(tar, config, store.read(manifest.config))
            for blob in {blob.digest: blob for blob in manifest.layers}.values():
                _add(tar, paths[blob.digest], store.read(blob))
            _add(tar, "manifest.json", json.dumps(listed).encode())
        made.replace(file)
    except OSError as error:
        raise ImageError(f"cannot write {file}: {error.strerror}; nothing of it is kept") from None
    finally:
        with suppress(OSError):
            made.unlink()  # where it ended half-way, by Ctrl-C too


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    tar.addfile(info, BytesIO(content))
