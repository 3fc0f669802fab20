"""The folders show the architecture, and this keeps it so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_dependencies_point_one_way() -> None:
    # In a process of its own: it sets up logging for itself, and others' loggers fall silent.
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("heavy", ["numpy", "deltalake", "httptools", "nats", "sklearn", "podium.client"])
def test_importing_podium_loads_nothing_heavy(heavy: str) -> None:
    program = f"import sys, podium; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("heavy", ["numpy", "nats", "podium.gateway", "podium.streams"])
def test_the_client_loads_nothing_of_the_server(heavy: str) -> None:
    program = f"import sys, podium; podium.Client; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
