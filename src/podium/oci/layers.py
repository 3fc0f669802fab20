"""Layers: the same files are always the same bytes.

Sorted, of one time (the epoch), owned by root, with the modes that they are given; gzip without a time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from podium.errors import ImageError
from podium.oci.documents import LAYER, Descriptor
from podium.oci.layout import Layout

_LEVEL = 6
_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file of a layer; `path` is absolute without its first `/`."""

    path: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A layer in a layout; `diff_id` is its digest before compression."""

    blob: Descriptor
    diff_id: str


def build(files: Iterable[File], layout: Layout) -> Layer:
    """Write a layer of these files, and of the folders that they are in."""
    plain = _Hashed()
    blob = layout.put_stream(_compressed(sorted(files, key=lambda file: file.path), plain), LAYER)
    return Layer(blob=blob, diff_id=f"sha256:{plain.digest.hexdigest()}")


@contextmanager
def reading(layer: Descriptor, layout: Layout, *, what: str) -> Iterator[tarfile.TarFile]:
    """A layer's files. Raises NoSuchImage, DamagedBlob; ImageError, also later, for what is no layer."""
    path = layout.checked(layer)
    try:
        with tarfile.open(path) as tar:
            yield tar
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        said = " ".join(str(error).split())
        raise ImageError(f"{what} has a layer that cannot be unpacked, {layer.digest}: {said}") from None


def _compressed(files: list[File], plain: _Hashed) -> Iterator[bytes]:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=_LEVEL, mtime=0, filename="") as zipped:
        plain.into = zipped
        # The newest format of tar that everybody reads; names of any length, no times of a finer grain.
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for info, content in _members(files):
                tar.addfile(info, io.BytesIO(content) if content is not None else None)
                if packed.tell() > _PIECE:
                    yield packed.getvalue()
                    packed.seek(0)
                    packed.truncate()
    yield packed.getvalue()


def _members(files: list[File]) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    made: set[str] = set()
    for file in files:
        for folder in reversed(PurePosixPath(file.path).parents[:-1]):
            if str(folder) not in made:
                made.add(str(folder))
                info = tarfile.TarInfo(str(folder))
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                yield info, None
        info = tarfile.TarInfo(file.path)
        info.size, info.mode = len(file.content), 0o755 if file.executable else 0o644
        yield info, file.content


class _Hashed(io.RawIOBase):
    """Passes on what is written, and takes its digest."""

    def __init__(self) -> None:
        super().__init__()
        self.digest = hashlib.sha256()
        self.into: IO[bytes] | gzip.GzipFile = io.BytesIO()
        self._at = 0

    def write(self, content: bytes, /) -> int:  # type: ignore[override]  # a tar file writes bytes alone
        self.digest.update(content)
        self._at += len(content)
        return self.into.write(content)

    def tell(self) -> int:
        return self._at

    def writable(self) -> bool:
        return True
