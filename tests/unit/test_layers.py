"""The folders show the architecture, and this keeps it so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]


def test_dependencies_point_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("heavy", ["numpy", "deltalake", "httptools", "nats", "sklearn", "podium.client"])
def test_importing_podium_loads_nothing_heavy(heavy: str) -> None:
    program = f"import sys, podium; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("heavy", ["numpy", "nats", "podium.gateway", "podium.streams"])
def test_the_client_loads_nothing_of_the_server(heavy: str) -> None:
    program = f"import sys, podium; podium.Client; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
