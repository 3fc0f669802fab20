"""`podium report` needs a project's folder and its archive, and nothing that runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tests.unit.archive.usage.world import World

from podium.cli.report import report
from podium.errors import ArchiveError, BadPeriod, MissingExtra, NotFound

TOML = """\
[endpoint]
name = "diabetes"

[models.linear]
module = "linear.py"
role = "champion"
"""
PERIOD = ("--since", "2023-11-14", "--until", "2023-11-16")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "podium.toml").write_text(TOML)
    (folder / "linear.py").touch()
    world = World(folder / ".podium" / "archive")
    ids = [f"r{number}" for number in range(10)]
    world.requests(ids, callers=["shop"] * 9 + ["\x1b[31m<script>"])
    world.scores("linear", ids)
    world.scores("forest", ids, {"progression": np.arange(10.0) * 1.2})
    world.answers(ids)
    world.outcomes(ids[:4], {"progression": np.arange(4.0) + 1})
    return folder


@pytest.fixture(autouse=True)
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    # The tests' own process must not become slow.
    monkeypatch.setattr("podium.cli.report.give_way", lambda: None)


def run(*words: str) -> Result:
    return CliRunner().invoke(report, words)


def test_it_says_who_called_who_answered_and_how_wrong_it_was() -> None:
    done, named = run(*PERIOD), run("diabetes", *PERIOD)
    assert done.exit_code == 0, done.output
    assert done.output == named.output
    assert "10 requests with 10 rows: 10 got a model's answer, 0 the default." in done.output
    assert "champion  linear@9f2c1ab04d5e  10" in done.output
    (forest,) = [line for line in done.output.splitlines() if line.startswith("forest@") and "%" in line]
    assert forest.split()[1:7] == ["10", "0", "0", "0", "10", "90.00%"]
    assert "linear@9f2c1ab04d5e  progression  4     1" in done.output


def test_a_callers_name_is_nothing_that_a_terminal_obeys() -> None:
    assert "\x1b" not in run(*PERIOD).output
    assert json.loads(run(*PERIOD, "--json").stdout)["callers"][0]["caller"] == "\x1b[31m<script>"


def test_the_json_has_hours_days_and_all_groups() -> None:
    found = json.loads(run(*PERIOD, "--json").stdout)
    assert (found["endpoint"], found["since"], found["is_current"]) == (
        "diabetes",
        "2023-11-14T00:00:00Z",
        True,
    )
    assert found["total"]["requests"] == 10
    assert [hour["since"] for hour in found["hours"]] == ["2023-11-14T22:00:00Z"]
    assert {one["model"] for one in found["contenders"]} == {"linear", "forest"}
    assert found["rules"][0]["p50_ms"] == pytest.approx(1.5, rel=0.045)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("diabetis", *PERIOD), NotFound, "no endpoint 'diabetis' here (did you mean 'diabetes'?)"),
        (("--since", "soon"), BadPeriod, "'soon' is no time"),
        (("--since", "2023-11-16", "--until", "2023-11-14"), BadPeriod, "is empty: give an earlier --since"),
        (("--since", "2024-01-01", "--until", "2024-01-02"), ArchiveError, "no request came in from 2024"),
    ],
)
def test_what_it_cannot_report_is_said_in_one_line(
    words: tuple[str, ...], error: type[Exception], said: str
) -> None:
    found = run(*words).exception
    assert isinstance(found, error)
    assert said in str(found)
    assert "\n" not in str(found)


def test_without_duckdb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    found = run(*PERIOD).exception
    assert isinstance(found, MissingExtra)
    assert "podium[reports]" in str(found)
