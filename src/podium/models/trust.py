"""The user's trust list: which packages may run code when they are loaded.

A file of the user's own, outside every project and package: `$PODIUM_TRUST`, else
`$XDG_CONFIG_HOME/podium/trust`, else `~/.config/podium/trust`. A line is `DIGEST` or `MODEL@DIGEST`, with
all 64 digits; `#` begins a comment. A list that is broken, or that others can write, trusts nobody.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from podium.errors import Untrusted

_LINE = re.compile(r"(?:(?P<model>[A-Za-z][A-Za-z0-9_-]*)@)?(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class Trust:
    """The lines of a trust list, and where it is."""

    path: Path
    lines: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: Path | None = None) -> Trust:
        """The list at `path`, else the user's own; one that is not there is empty.

        Raises Untrusted for a list that cannot be read or parsed, or is not only the user's to write.
        """
        path = path or trust_path(os.environ)
        try:
            text = _read_private(path)
        except FileNotFoundError:
            return cls(path=path)
        except (OSError, UnicodeDecodeError) as error:
            raise Untrusted(f"the trust list {path} cannot be read, so nothing is trusted: {error}") from None
        return cls(path=path, lines=frozenset(_parse(path, text)))

    def allows(self, model: str, digest: str) -> bool:
        return digest in self.lines or f"{model}@{digest}" in self.lines

    def check(self, model: str, digest: str, *, what: str) -> None:
        """Raise Untrusted, with the line that would allow it, unless this package is trusted."""
        if not self.allows(model, digest):
            raise Untrusted(
                f"{model}@{digest[:12]} is {what}, so loading it runs its code. If you know where it comes "
                f"from, add this line to {self.path}: {model}@{digest}"
            )

    def add(self, model: str, digest: str) -> Trust:
        """Trust one more package, for good."""
        if self.allows(model, digest):
            return self
        line = f"{model}@{digest}"
        try:
            _append(self.path, line)
        except OSError as error:
            raise Untrusted(
                f"cannot write the trust list {self.path} ({error.strerror}); set PODIUM_TRUST to a "
                "file that you can write"
            ) from None
        return Trust(path=self.path, lines=self.lines | {line})


def trust_path(environment: Mapping[str, str]) -> Path:
    """Where this user's list is."""
    if named := environment.get("PODIUM_TRUST"):
        return Path(named)
    config = environment.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "podium" / "trust"


def _read_private(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid not in (os.getuid(), 0):
            raise Untrusted(
                f"others can write the trust list {path}, so nothing is trusted: chmod 600 {path}"
            )
        return file.read()


def _parse(path: Path, text: str) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        if line and not _LINE.fullmatch(line):
            raise Untrusted(
                f"{path}:{number}: {line!r} is neither DIGEST nor MODEL@DIGEST with 64 hex digits; "
                "nothing is trusted until it is mended"
            )
    return [line for line in lines if line]


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    # One write in append mode: two trainings at once cannot mix their lines.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{chr(10) if unfinished else ''}{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
