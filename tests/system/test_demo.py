"""`make demo` is the first thing that a newcomer runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
SECONDS = 200


@pytest.mark.timeout(SECONDS + 20)
def test_the_demo_succeeds_without_a_terminal_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("OK: "), done.stdout
    assert "challenger  forest" in done.stdout  # who answered while the champion was away
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def processes_of(folder: Path) -> list[str]:
    """Every process with this folder in its command line: those of a node have."""
    listed = subprocess.run(["ps", "-eo", "command="], capture_output=True, text=True, check=True, timeout=10)
    return [command for command in listed.stdout.splitlines() if str(folder) in command]
