"""The commands that work on the archive: what they say, and what they refuse before they begin."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from tests.unit.archive.filled import fill
from tests.unit.archive.traffic import ENDPOINT, NOW, Process

from podium.archive.agreement import Agreement, Difference
from podium.cli.export import export
from podium.cli.forget import forget
from podium.cli.models import train
from podium.cli.new import new
from podium.cli.replay import replay, words
from podium.errors import ArchiveError, BadPeriod, NotFound, NotRunning, UnknownVersion
from podium.models.manifest import read
from podium.period import EPOCH
from podium.project import load
from podium.registry.folder import FolderRegistry
from podium.schema import Field, Kind, Schema
from podium.workers.replay import Report

SINCE = "2023-11-14"
OUTPUTS = Schema((Field(name="progression", type=Kind.FLOAT),))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one version of the champion and five archived requests."""
    folder = tmp_path_factory.mktemp("past") / ENDPOINT
    before = Path.cwd()
    CliRunner().invoke(new, [str(folder)], catch_exceptions=False)
    os.chdir(folder)
    try:
        CliRunner().invoke(train, ["linear"], catch_exceptions=False)
    finally:
        os.chdir(before)
    gateway = Process()
    inputs = load(folder).endpoint.inputs
    assert inputs is not None
    columns = {name: np.arange(5.0) for name in inputs.names}
    ids = [f"r{n}" for n in range(5)]
    frame = gateway.input(ids, columns, arrived=[NOW + n for n in range(5)])
    fill(folder / ".podium" / "archive", [frame, gateway.answers(ids)], inputs, OUTPUTS)
    return folder


@pytest.fixture(autouse=True)
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    for module in ("replay", "export"):  # the tests' own process must not become slow
        monkeypatch.setattr(f"podium.cli.{module}.give_way", lambda: None)


def run(command: click.Command, *words: str) -> Result:
    return CliRunner().invoke(command, list(words))


# --- replay ---------------------------------------------------------------------------------


def test_a_replay_says_how_it_went_and_what_comes_next(project: Path) -> None:
    version = FolderRegistry(load(project).registry_dir).find("linear")
    said = run(replay, "linear@1", "--since", SINCE, "--limit", "3").stdout
    name = f"linear@{version.short}"
    assert said.startswith(f"{name} scored 3 of 3 requests that came from 2023-11-14T00:00:00Z to ")
    assert said.endswith(f"\nNext: podium compare {ENDPOINT} linear {name} --since 2023-11-14T00:00:00Z\n")
    rest = json.loads(
        run(replay, ENDPOINT, "linear", "--since", SINCE, "--missing", "--json", "--rate", "500/s").stdout
    )
    assert (rest["of"], rest["read"], rest["present"], rest["failed"]) == (5, 2, 3, 0)
    assert read(version.path).outputs.names == ("progression",)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (["linear@7", "--since", "1h"], UnknownVersion, r"there is no linear@7; linear has 1"),
        (["linaer", "--since", "1h"], UnknownVersion, "did you mean 'linear'"),
        (["other", "linear", "--since", "1h"], NotFound, f"no endpoint 'other' here; there is {ENDPOINT}"),
        (["linear", "--since", "yesterday"], BadPeriod, "'yesterday' is no time"),
        (["linear", "--since", "1h", "--until", "2h"], BadPeriod, "is empty"),
        (["linear", "--since", "1h"], ArchiveError, "the archive has 5, from 2023-11-14T22:13:20Z"),
    ],
)
def test_a_replay_that_cannot_be_is_refused(given: list[str], error: type[Exception], said: str) -> None:
    result = run(replay, *given)
    assert isinstance(result.exception, error)
    assert said in str(result.exception)


@pytest.mark.parametrize("rate", ["fast", "0", "-5/s", "inf/s", "nan"])
def test_a_rate_that_is_none_is_wrong_usage(rate: str) -> None:
    result = run(replay, "linear", "--since", "1h", "--rate", rate)
    assert result.exit_code == 2
    assert "expected requests a second, as in 500/s" in result.stderr


def test_a_report_shows_errors_and_scores_that_are_not_as_they_were(project: Path) -> None:
    at = EPOCH + timedelta(microseconds=NOW)
    different = Difference(id="r1", row=0, live={"progression": 1.0}, replayed={"progression": 2.0})
    report = Report(
        endpoint=ENDPOINT,
        model="linear",
        version="9f2c1ab04d5e",
        since=at,
        until=at + timedelta(hours=1),
        of=10,
        read=9,
        present=1,
        scored=7,
        errors={"no": 2},
        seconds=2.0,
        agreement=Agreement(rows=5, equal=3, near=1, first=(different,)),
    )
    said = words(report, load(project))
    assert "scored 7 of 9 requests" in said
    assert "(4/s); 2 errors" in said
    assert "1 more have a replayed score" in said
    assert "error  2 × no" in said
    assert (
        "5 rows have a live score of this version too: 3 equal, 1 within the package's tolerance, 1 different"
        in said
    )
    assert "r1 row 0: {'progression': 1.0} live, {'progression': 2.0} replayed" in said
    assert "Next: podium compare diabetes OTHER linear@9f2c1ab04d5e" in said  # not with itself


# --- export ---------------------------------------------------------------------------------


def test_an_export_says_what_it_wrote(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    said = run(export, ENDPOINT, "--since", SINCE, "--out", str(file)).stdout
    assert said.startswith(f"{file}: 5 rows from 2023-11-14T00:00:00Z to ")
    assert said.endswith(", 0 with an outcome\n")
    assert (
        file.read_text().splitlines()[0].startswith("id,row,received,in_bmi,in_bp,in_s5,model,version,rule,")
    )


def test_a_file_of_another_kind_is_wrong_usage(tmp_path: Path) -> None:
    result = run(export, "--since", SINCE, "--out", str(tmp_path / "data.xlsx"))
    assert result.exit_code == 2
    assert "'data.xlsx' ends in none of .parquet, .csv" in result.stderr


def test_an_export_of_another_endpoint_is_refused(tmp_path: Path) -> None:
    result = run(export, "other", "--since", SINCE, "--out", str(tmp_path / "data.csv"))
    assert isinstance(result.exception, NotFound)


# --- forget ---------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [[], ["--caller", "a", "--key", "b"], ["--id", "a", "--key", "b", "--yes"]])
def test_whose_must_be_said_in_one_way(given: list[str]) -> None:
    result = run(forget, *given)
    assert result.exit_code == 2
    assert "one of --caller, --key and --id" in result.stderr


def test_without_a_node_nothing_is_forgotten() -> None:
    result = run(forget, "--key", "a", "--yes")
    assert isinstance(result.exception, NotRunning)
