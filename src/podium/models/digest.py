"""A package's digest: what names a version.

Defined as the SHA-256 (64 lowercase hex digits) of these lines, one for each file of the folder, sorted
by the bytes of the path, each ended by a newline, UTF-8:

    SHA256-OF-THE-FILE SPACE SIZE-IN-BYTES SPACE PATH

`PATH` is relative, with `/` between its parts. Empty folders, times and permissions do not count. A link
or anything else that is no plain file makes the folder no package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from podium.errors import DigestMismatch, PackageError

DIGITS = 64
SHORT = 12
"""Digits that answers, archive and people use."""


def digest_of(package: Path) -> str:
    """Raises PackageError for a folder that is not there, is empty, or holds more than plain files."""
    lines = sorted((path.encode(), line) for path, line in _lines(package))
    if not lines:
        raise PackageError(f"{package} is no package: there are no files in it")
    return hashlib.sha256(b"".join(line for _, line in lines)).hexdigest()


def verify(package: Path, digest: str) -> None:
    """Raise DigestMismatch unless the folder's bytes are those that the digest names."""
    found = digest_of(package)
    if found != digest:
        raise DigestMismatch(
            f"{package} was changed or damaged: its bytes have the digest {found[:SHORT]}…, expected "
            f"{digest[:SHORT]}…; `podium train` puts a whole one in its place"
        )


def _lines(package: Path) -> Iterator[tuple[str, bytes]]:
    for path in package.rglob("*"):
        name = path.relative_to(package).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()) or "\n" in name:
            raise PackageError(f"{package}: {name!r} is not a plain file, so this is no package")
        if path.is_file():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            yield name, f"{content} {path.stat().st_size} {name}\n".encode()
