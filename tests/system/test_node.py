"""`podium up`, `status`, `doctor` and `down` over real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podium.models.packing import pack
from podium.registry.folder import FolderRegistry

PATIENCE = 60.0
PODIUM = [sys.executable, "-P", "-m", "podium"]
TOML = """\
[endpoint]
name = "diabetes"
default = { progression = 152.13 }

[models.linear]
module = "models/linear.py"
role = "champion"

[models.forest]
module = "models/forest.py"
role = "challenger"

[decoy]
enabled = true
"""
MODEL = """\
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

import podium


def train():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = LinearRegression().fit(X[["bmi"]][:-20], y[:-20])
    return podium.Trained(model, inputs=X[["bmi"]][-20:], output="progression")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two packed versions."""
    folder = tmp_path_factory.mktemp("diabetes")
    (folder / "models").mkdir()
    (folder / "podium.toml").write_text(TOML)
    for name in ("linear", "forest"):
        (folder / "models" / f"{name}.py").write_text(MODEL)
        with tempfile.TemporaryDirectory() as package:
            pack(folder / "models" / f"{name}.py", model=name, root=folder, into=Path(package))
            FolderRegistry(folder / ".podium" / "registry").put(Path(package))
    return folder


@pytest.fixture
def folder(trained: Path) -> Iterator[Path]:
    """The project, with nothing running before and after."""
    yield trained
    podium(trained, "down")


def podium(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PODIUM, *words], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def up(folder: Path) -> None:
    done = podium(folder, "up", "--port", "0", "--detach")
    assert done.returncode == 0, done.stderr
    assert "podium down" in done.stdout


def status(folder: Path) -> dict[str, Any]:
    done = podium(folder, "status", "diabetes", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def pids(found: dict[str, Any]) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in found["processes"]}


def score(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/score/diabetes?bmi=0.05", timeout=PATIENCE) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_up_answers_is_counted_and_stops(folder: Path) -> None:
    up(folder)
    found = status(folder)
    assert found["ready"]
    assert [c["state"] for c in found["contenders"]] == ["ready"] * 3
    assert score(found["url"])["model"] == "linear"
    until(lambda: status(folder)["archived"] == status(folder)["answered"] > 0)
    running = pids(status(folder))
    assert podium(folder, "down").returncode == 0
    until(lambda: not any(map(alive, running.values())))  # the lock goes an instant before its holder
    refused = podium(folder, "status")
    assert refused.returncode == 1
    assert "podium up" in refused.stderr


def test_a_second_up_is_refused(folder: Path) -> None:
    up(folder)
    for more in ((), ("--detach",)):
        refused = podium(folder, "up", "--port", "0", *more)
        assert refused.returncode == 1
        assert "podium down" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_counts_go_on_after_a_hard_kill_of_everything(folder: Path) -> None:
    up(folder)
    before = status(folder)
    score(before["url"])
    running = pids(before)
    os.kill(running["supervisor"], signal.SIGKILL)
    if sys.platform == "linux":
        until(lambda: not any(map(alive, running.values())))
    up(folder)
    after = status(folder)
    assert after["received"] == before["received"] + 1
    until(lambda: status(folder)["archived"] == after["answered"])


@pytest.mark.parametrize("name", ["broker", "gateway 1", "worker linear 1", "archiver"])
def test_a_killed_process_comes_back_and_the_node_is_ready_again(folder: Path, name: str) -> None:
    up(folder)
    before = status(folder)
    os.kill(pids(before)[name], signal.SIGKILL)
    until(lambda: pids(status(folder))[name] not in (None, pids(before)[name]))
    until(lambda: status(folder)["ready"])
    assert score(before["url"])["model"] == "linear"


def test_a_taken_port_is_an_error_that_says_what_to_do(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for more in ((), ("--detach",)):
            refused = podium(folder, "up", "--port", str(port), *more)
            assert refused.returncode == 1
            assert f"--port {port + 1}" in refused.stderr


def test_ctrl_c_stops_the_node_with_its_totals(folder: Path) -> None:
    with subprocess.Popen(
        [*PODIUM, "up", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("Ready") for line in lines)
        process.send_signal(signal.SIGINT)
        assert "Stopped. Received 0" in process.stdout.read()
    assert process.returncode == 0


def test_doctor_finds_nothing_in_a_project_that_works(folder: Path) -> None:
    done = podium(folder, "doctor", "--json", "--port", "0")
    findings = json.loads(done.stdout)
    assert {finding["level"] for finding in findings} <= {"ok", "warn"}
    assert done.returncode == 0


def test_a_model_that_was_never_trained_says_how_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(folder / "models")
    (tmp_path / "podium.toml").write_text(TOML)
    refused = podium(tmp_path, "up", "--port", "0")
    assert refused.returncode == 1
    assert "podium train linear" in refused.stderr
    examined = podium(tmp_path, "doctor", "--port", "0")
    assert examined.returncode == 1
    assert "fail  model linear" in examined.stdout
