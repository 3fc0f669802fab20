"""A program without pipes: it is told where it is, ends when told, and leaves nothing behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from podium.errors import ModelFailed
from podium.models.process.child import Launch
from podium.models.process.program import Program


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def program(folder: Path, script: str) -> Program:
    with (folder / "said").open("wb") as output:
        launch = Launch(name="p", argv=("sh", "-c", script), folder=folder)
        return Program(launch, {"PODIUM_ENDPOINT": "e"}, output=output.fileno())


def test_it_has_its_environment_a_scratch_folder_with_links_and_no_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("packed")
    started = program(tmp_path, "cat file; echo $PODIUM_ENDPOINT; touch left; cat; exit 3")
    until(lambda: started.ended)
    assert started.ended == "ended with exit status 3"
    assert (tmp_path / "said").read_text() == "packede\n"
    assert not (tmp_path / "left").exists()
    started.kill()


def test_a_signal_to_end_reaches_it(tmp_path: Path) -> None:
    started = program(tmp_path, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: "up" in (tmp_path / "said").read_text())
    started.terminate()
    until(lambda: started.ended)
    assert started.ended == "ended with exit status 0"
    assert (tmp_path / "said").read_text() == "up\nbye\n"


def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    started = program(tmp_path, "setsid sleep 77.3 & echo $!; wait")
    until(lambda: (tmp_path / "said").read_text().endswith("\n"))
    pid = int((tmp_path / "said").read_text())
    os.kill(pid, 0)
    started.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert started.ended == "was killed by SIGKILL"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    launch = Launch(name="p", argv=("true",), folder=tmp_path / "gone", in_place=True)
    with pytest.raises(ModelFailed, match="cannot be started: No such file"):
        Program(launch, {})
