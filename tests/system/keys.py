"""Callers' keys in a test's project."""

from __future__ import annotations

import re
from pathlib import Path

from tests.system.running import podium


def requiring(project: Path) -> Path:
    """The project, whose endpoint answers nobody without a key."""
    file = project / "podium.toml"
    file.write_text(file.read_text().replace("[endpoint]\n", '[endpoint]\nkeys = "required"\n', 1))
    return project


def made(project: Path, *words: str) -> str:
    """The token of a new key."""
    token = podium(project, "key", "create", *words).stdout.strip()
    assert re.fullmatch(r"podium_[\w-]{43}", token)
    return token
