"""The lines of docs/archive.md are run as they stand, on a small archive, without Podium's help."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest
from tests.unit.archive.traffic import ENDPOINT, INPUTS, OUTPUTS, Process, ids, traffic

from podium.archive.entries import Door
from podium.archive.layouts import Answers, Decoy, Layout, Outcomes, Requests, Scores
from podium.archive.tables import Tables
from podium.protocol.frames import encode

PAGE = (Path(__file__).parents[2] / "docs" / "archive.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    door = Door(ENDPOINT, INPUTS, OUTPUTS)
    tables = Tables(str(tmp_path / ".podium" / "archive"), ENDPOINT, INPUTS, OUTPUTS)
    tables.create()
    names = [id for number in range(5) for id in ids(3, f"{number}.")]
    frames = [*traffic(5), Process("outcomes-1").outcomes(names)]
    entries = [door.admit(position, encode(frame)) for position, frame in enumerate(frames, 1)]
    tables.append(entries, date(2026, 11, 23))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("block", "expected"), list(zip(blocks("python"), ["linear", "0.0", "forest"], strict=True))
)
def test_the_python_lines_read_the_archive(project: Path, block: str, expected: str) -> None:
    assert "podium." not in block.replace(".podium", "")
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "15" in done.stdout
    assert expected in done.stdout


def test_the_sql_line_reads_the_archive(project: Path) -> None:
    (block,) = blocks("sql")
    with duckdb.connect() as connection:
        assert connection.sql(block).fetchall() == [("ok", 30)]


@pytest.mark.parametrize(
    "layout", [Requests(INPUTS), Scores(OUTPUTS), Answers(OUTPUTS), Outcomes(OUTPUTS), Decoy(INPUTS)]
)
def test_the_page_names_every_column(layout: Layout) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{layout.name}` |")]
    named = [
        {
            "in_NAME": "in_bmi",
            "out_NAME": "out_progression",
            "true_NAME": "true_progression",
        }.get(name, name)
        for name in re.findall(r"`(\w+)`", line)[1:]
    ]
    assert named == list(layout.schema.names)
