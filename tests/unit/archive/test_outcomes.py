"""The newest outcome of a row meets every contender's score of it, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.archive.entries import Door
from podium.archive.outcomes import judged, judged_sql
from podium.archive.tables import Tables
from podium.errors import NotFound
from podium.protocol.frames import Frame, encode

from .traffic import ENDPOINT, INPUTS, NOW, OUTPUTS, Process

JUNE, NOVEMBER = date(2026, 6, 1), date(2026, 11, 24)
CHALLENGER = {"model": "forest", "version": "0a1b2c3d4e5f", "role": "challenger"}


class Archive:
    """Real tables, filled day by day."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self._tables = Tables(self.folder, ENDPOINT, INPUTS, OUTPUTS)
        self._tables.create()
        self._door = Door(ENDPOINT, INPUTS, OUTPUTS)
        self._position = 0

    def add(self, day: date, *frames: Frame) -> None:
        entries = []
        for frame in frames:
            self._position += 1
            entries.append(self._door.admit(self._position, encode(frame)))
        self._tables.append(entries, day)

    def judged(self, columns: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            found = judged(connection, self.folder, ENDPOINT, OUTPUTS.names)
            return sorted(found.project(columns).fetchall())


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def values(*numbers: float) -> dict[str, np.ndarray]:
    return {"progression": np.array(numbers)}


def test_an_outcome_meets_the_scores_of_all_contenders_months_later(archive: Archive) -> None:
    linear, forest, gateway = Process("linear-1"), Process("forest-1"), Process("outcomes-1")
    archive.add(JUNE, linear.scores(["a", "b"], values(1.0, 2.0)))
    archive.add(JUNE, forest.scores(["a", "b"], values(3.0, 0.0), errors={1: "it broke"}, **CHALLENGER))
    archive.add(NOVEMBER, gateway.outcomes(["a", "b"], values(10.0, 20.0)))
    assert archive.judged("id, model, status, out_progression, true_progression") == [
        ("a", "forest", "ok", 3.0, 10.0),
        ("a", "linear", "ok", 1.0, 10.0),
        ("b", "forest", "error", None, 20.0),
        ("b", "linear", "ok", 2.0, 20.0),
    ]


def test_a_correction_counts_whenever_it_was_observed_and_both_are_kept(archive: Archive) -> None:
    linear, gateway = Process("linear-1"), Process("outcomes-1")
    archive.add(JUNE, linear.scores(["a"]))
    archive.add(NOVEMBER, gateway.outcomes(["a"], values(10.0), observed=[NOW], done=NOW + 1))
    archive.add(JUNE, gateway.outcomes(["a"], values(11.0), observed=[NOW - 9], done=NOW + 2))
    assert archive.judged("true_progression, epoch_us(observed), epoch_us(received)") == [
        (11.0, NOW - 9, NOW + 2)
    ]


def test_an_outcome_of_one_row_says_nothing_of_the_others(archive: Archive) -> None:
    archive.add(JUNE, Process("linear-1").scores(["a"], values(1.0, 2.0, 3.0), rows=[3]))
    archive.add(JUNE, Process("outcomes-1").outcomes(["a"], values(30.0), numbers=[2]))
    assert archive.judged("row, out_progression, true_progression") == [(2, 3.0, 30.0)]


def test_an_archive_without_outcomes_says_so(archive: Archive) -> None:
    archive.add(JUNE, Process("linear-1").scores(["a"]))
    with pytest.raises(NotFound, match="no outcomes of 'diabetes' are archived yet"):
        archive.judged("*")


# --- any history ----------------------------------------------------------------------------

IDS, MODELS, NAMES = ("a", "b", "c"), ("linear", "forest", "canary"), ("y", 'more "(cm)"')
START = datetime(2026, 1, 1, tzinfo=UTC)
RANK = {"ok": 0, "late": 1, "error": 2}
SCORE = st.tuples(
    st.sampled_from(IDS),
    st.integers(0, 2),
    st.sampled_from(MODELS),
    st.sampled_from(list(RANK)),
    st.booleans(),
)
TRUTH = st.tuples(
    st.sampled_from((*IDS, "unknown")),
    st.integers(0, 2),
    *([st.none() | st.integers(-5, 5).map(float)] * len(NAMES)),
)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TABLE scores (id VARCHAR, row BIGINT, model VARCHAR, version VARCHAR, status VARCHAR, "
            "replayed BOOLEAN, out_y DOUBLE, scored TIMESTAMPTZ)"
        )
        connection.execute(
            "CREATE TABLE outcomes (id VARCHAR, row BIGINT, day DATE, observed TIMESTAMPTZ, true_y DOUBLE, "
            '"true_more ""(cm)""" DOUBLE, received TIMESTAMPTZ)'
        )
        yield connection


@given(st.lists(SCORE, max_size=30), st.lists(TRUTH, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_whatever_came_each_score_has_the_last_word_on_each_output(
    database: duckdb.DuckDBPyConnection, said: list[Any], happened: list[Any], order: Any
) -> None:
    scores = [
        (id, row, model, "v1", status, replayed, float(n), START + timedelta(seconds=n))
        for n, (id, row, model, status, replayed) in enumerate(said)
    ]
    outcomes = [
        (id, row, JUNE, START - timedelta(days=n), y, more, START + timedelta(days=n))
        for n, (id, row, y, more) in enumerate(happened)
    ]
    expected = expected_rows(scores, outcomes)
    order.shuffle(scores)
    order.shuffle(outcomes)
    for name, rows in {"scores": scores, "outcomes": outcomes}.items():
        database.execute(f"DELETE FROM {name}")
        if rows:
            database.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    columns = 'id, row, model, replayed, status, out_y, true_y, "true_more ""(cm)""", '
    columns += "epoch_us(observed), epoch_us(received)"
    found = database.sql(judged_sql(NAMES)).project(columns).fetchall()
    assert sorted(found, key=lambda row: row[:4]) == expected


def expected_rows(scores: list[Any], outcomes: list[Any]) -> list[Any]:
    """The same in plain Python, from histories in the order of their arrival."""
    truth: dict[Any, list[Any]] = {}
    for id, row, _, observed, y, more, received in outcomes:
        before = truth.get((id, row), [None, None])
        truth[id, row] = [
            before[0] if y is None else y,
            before[1] if more is None else more,
            *(round(when.timestamp() * 1_000_000) for when in (observed, received)),
        ]
    best: dict[Any, Any] = {}
    for id, row, model, _, status, replayed, value, _ in scores:
        key = (id, row, model, replayed)
        if key not in best or RANK[status] < RANK[best[key][0]]:
            best[key] = (status, value)
    return sorted(
        ((*key, *score, *truth[key[:2]]) for key, score in best.items() if key[:2] in truth),
        key=lambda row: row[:4],
    )
