"""Which code made a model."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from podium.models.manifest import Revision

_GIT_SECONDS = 10


def revision_of(file: Path) -> Revision:
    """The module's hash; and its commit where git has exactly these bytes.

    It is the commit that last changed the module, so one that changes other files makes no new version.
    """
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    changed = _git(file, "status", "--porcelain", "--ignored", "--", file.name)
    commit = _git(file, "log", "-1", "--format=%H", "--", file.name) if changed == "" else None
    return Revision(module=content, commit=commit or None)


def _git(file: Path, *arguments: str) -> str | None:
    """Git's answer; None where there is no git, or no repository."""
    command = ["git", "-C", str(file.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
