"""`podium logs`: whose, how much, and what comes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from podium.cli.logs import Log, chosen, logs, process_of
from podium.errors import NotFound, NotRunning

NAMES = ("broker", "gateway 1", "gateway 2", "worker my-forest 1", "worker decoy 1", "archiver")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "linear.py").touch()
    (tmp_path / "podium.toml").write_text(
        '[endpoint]\nname = "diabetes"\n[models.linear]\nmodule = "models/linear.py"\nrole = "champion"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, **files: str) -> Path:
    there = folder / ".podium" / "logs"
    there.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (there / f"{name.replace('_', '-')}.log").write_text(text)
    return there


def names(*words: str) -> list[str]:
    found = [Log(name, lambda count, follow: iter(())) for name in NAMES]
    return [log.process for log in chosen(found, words)]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("gateway", ["gateway 1", "gateway 2"]),
        ("gateway 2", ["gateway 2"]),
        ("my-forest", ["worker my-forest 1"]),
        ("worker", ["worker my-forest 1", "worker decoy 1"]),
        ("archiver", ["archiver"]),
    ],
)
def test_a_word_names_processes(word: str, found: list[str]) -> None:
    assert names(word) == found


def test_without_a_word_all_are_meant() -> None:
    assert names() == list(NAMES)


def test_a_word_that_names_nobody_is_refused_with_what_there_is() -> None:
    with pytest.raises(
        NotFound, match=r"no process 'archive' \(did you mean 'archiver'\?\); there are broker,"
    ):
        names("gateway", "archive")


@pytest.mark.parametrize(
    ("stem", "process"),
    [
        ("worker-my-forest-12", "worker my-forest 12"),
        ("gateway-1", "gateway 1"),
        ("archiver", "archiver"),
        ("up", "supervisor"),
    ],
)
def test_a_file_is_called_as_its_process(stem: str, process: str) -> None:
    assert process_of(stem) == process


def test_the_last_lines_are_shown_of_each(folder: Path) -> None:
    written(folder, archiver="1\n2\n3\n", gateway_1="a\nb\n")
    done = CliRunner().invoke(logs, ["--lines", "2"])
    assert done.stdout.splitlines() == ["archiver: 2", "archiver: 3", "gateway 1: a", "gateway 1: b"]


def test_a_single_log_is_shown_as_it_is(folder: Path) -> None:
    written(folder, archiver='{"level": "info"}\n', gateway_1="a\n")
    assert CliRunner().invoke(logs, ["archiver"]).stdout == '{"level": "info"}\n'


def test_logs_of_a_node_that_never_ran_are_an_error_that_says_what_to_do(folder: Path) -> None:
    assert isinstance(CliRunner().invoke(logs).exception, NotRunning)


def test_followed_logs_go_on_also_after_the_file_began_anew(folder: Path) -> None:
    log = written(folder, archiver="old\nlast\n") / "archiver.log"
    words = [sys.executable, "-P", "-m", "podium", "logs", "archiver", "--follow", "--lines", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ) as following:
        assert following.stdout
        try:
            assert following.stdout.readline() == "last\n"
            with log.open("a") as file:
                file.write("one more\nhalf")
            assert following.stdout.readline() == "one more\n"
            os.truncate(log, 0)
            time.sleep(0.5)  # longer than between two looks
            log.write_text("anew\n")
            assert following.stdout.readline() == "anew\n"
        finally:
            following.terminate()
