"""What `podium up` says."""

from __future__ import annotations

from pathlib import Path

import msgspec

from podium.cli.node_words import example_row, last_lines
from podium.schema import Field, Kind, Schema
from podium.validation import Validator

SCHEMA = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT, minimum=-0.09, maximum=0.17),
        Field(name="age", type=Kind.INT, minimum=20, maximum=70),
        Field(name="smokes", type=Kind.BOOL),
        Field(name="city", type=Kind.STRING),
        Field(name="image", type=Kind.FLOAT, shape=(2, -1)),
        Field(name="bp", type=Kind.FLOAT, optional=True, default=0.0),
    )
)


def test_the_example_that_is_shown_is_let_in() -> None:
    row = example_row(SCHEMA)
    assert row["bmi"] == 0.04
    assert row["age"] == 45
    assert "bp" not in row
    assert Validator(SCHEMA).json(msgspec.json.encode(row)).count == 1


def test_the_end_of_a_log_has_no_empty_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\n\ntwo\n\n  three\n\n")
    assert last_lines(log, 2) == ["two", "  three"]
    assert last_lines(tmp_path / "none") == []
