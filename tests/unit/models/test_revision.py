"""Which code made a model, as git knows it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from podium.models.revision import revision_of


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def test_a_commit_is_named_only_where_it_has_these_bytes(tmp_path: Path) -> None:
    module = tmp_path / "linear.py"
    module.write_text("one")
    assert revision_of(module).commit is None
    git(tmp_path, "init")
    assert revision_of(module).commit is None
    git(tmp_path, "add", "linear.py")
    git(tmp_path, "commit", "-m", "one")
    first = revision_of(module)
    assert first.commit is not None
    (tmp_path / "other").touch()
    git(tmp_path, "add", "other")
    git(tmp_path, "commit", "-m", "another file")
    assert revision_of(module) == first
    module.write_text("two")
    assert revision_of(module).commit is None
