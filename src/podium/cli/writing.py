"""Files that `podium render` writes into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from podium.errors import ProjectError


def write_files(out: Path, files: Mapping[str, str] | Mapping[str, bytes], *, ours: str = ".") -> None:
    """Raises ProjectError where there is something else already in `ours`.

    That is the part of the folder in which a stale file would be taken for one of these.
    """
    there = {path.relative_to(out).as_posix() for path in (out / ours).rglob("*") if path.is_file()}
    if strange := sorted(there - files.keys()):
        raise ProjectError(f"{out} holds {strange[0]}, which is not of this: empty it, or give another --out")
    for name, content in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
