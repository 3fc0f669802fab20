"""An OCI image layout: a folder of blobs by digest, and an index of what is in it.

    oci-layout              its version
    index.json              manifests, each with its tag as the annotation `org.opencontainers.image.ref.name`
    blobs/sha256/DIGEST     each blob once

A blob appears by renaming its finished file, so any number of processes may write at once; of two that write
the index at the same moment one may lose its line.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from podium.errors import DamagedBlob, ImageError, NoSuchImage
from podium.oci.documents import INDEX, Descriptor, Index, decode, encode

REF_NAME = "org.opencontainers.image.ref.name"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class Layout:
    """A layout at a folder, made with the first blob."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        kind, _, digits = digest.partition(":")
        if kind != "sha256" or len(digits) != 64 or not digits.isalnum():
            raise ImageError(f"{digest!r} is no sha256 digest")
        return self.folder / "blobs" / kind / digits

    def has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def read(self, described: Descriptor) -> bytes:
        """A blob's bytes. Raises NoSuchImage, DamagedBlob."""
        return self.checked(described).read_bytes()

    def checked(self, described: Descriptor) -> Path:
        """A blob's file, whose bytes are those that its digest names. Raises NoSuchImage, DamagedBlob."""
        path = self.path(described.digest)
        try:
            with path.open("rb") as file:
                found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise NoSuchImage(f"{self.folder} has no blob {described.digest}") from None
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror}") from None
        if found != described.digest:
            raise DamagedBlob(f"{path} is damaged: its bytes have another digest; delete it, and try again")
        return path

    def put(self, content: bytes, media_type: str) -> Descriptor:
        return self.put_stream([content], media_type)

    def put_stream(self, chunks: Iterable[bytes], media_type: str, *, expected: str = "") -> Descriptor:
        """Keep a blob. Raises DamagedBlob where it is not what `expected` names; nothing is then kept."""
        digest = hashlib.sha256()
        size = 0
        with self._writing() as (made, file):
            with os.fdopen(file, "wb") as output:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    output.write(chunk)
            found = "sha256:" + digest.hexdigest()
            if expected and found != expected:
                raise DamagedBlob(
                    f"what came is not {expected}: its digest is {found}; nothing of it is kept"
                )
            made.replace(self.path(found))
        return Descriptor(media_type=media_type, digest=found, size=size)

    # --- the index ----------------------------------------------------------------------------

    def tagged(self, tag: str = "") -> Descriptor:
        """The manifest or index with a tag; without one, the only one. Raises NoSuchImage."""
        manifests = self.index().manifests
        found = [each for each in manifests if not tag or each.annotations.get(REF_NAME) == tag]
        if len(found) == 1:
            return found[0]
        tags = ", ".join(each.annotations.get(REF_NAME, each.digest) for each in manifests) or "nothing"
        wanted = f"{tag!r}" if tag else "one image"
        raise NoSuchImage(f"oci:{self.folder} does not hold {wanted}: it holds {tags}")

    def index(self) -> Index:
        try:
            content = (self.folder / "index.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchImage(f"{self.folder} is no OCI layout: it has no index.json") from None
        return decode(content, Index, what=f"{self.folder}/index.json")

    def tag(self, manifest: Descriptor, tag: str) -> None:
        """Let a tag name a manifest, and nothing else."""
        try:
            others = [m for m in self.index().manifests if m.annotations.get(REF_NAME) != tag]
        except NoSuchImage:
            others = []
        named = Descriptor(
            media_type=manifest.media_type,
            digest=manifest.digest,
            size=manifest.size,
            platform=manifest.platform,
            annotations={**manifest.annotations, REF_NAME: tag},
        )
        index = Index(schema_version=2, media_type=INDEX, manifests=[*others, named])
        self._write("index.json", encode(index))
        self._write("oci-layout", _VERSION)

    def _write(self, name: str, content: bytes) -> None:
        with self._writing() as (made, file):
            with os.fdopen(file, "wb") as output:
                output.write(content)
            made.chmod(0o644)
            made.replace(self.folder / name)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Path, int]]:
        """A file of this folder's file system that is gone afterwards, unless it was renamed."""
        made = None
        try:
            (self.folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            file, name = tempfile.mkstemp(dir=self.folder, prefix=".writing-")
            made = Path(name)
            yield made, file
        except OSError as error:
            raise ImageError(
                f"cannot write to {self.folder}: {error.strerror or error}; look at its disk's free space "
                "and permissions; whole blobs stay there for the next try, without a tag"
            ) from error
        finally:
            if made is not None:
                made.unlink(missing_ok=True)
