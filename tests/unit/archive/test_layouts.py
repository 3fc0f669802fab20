"""Entries become the rows that `docs/archive.md` promises; and random frames, exactly the rows expected."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from arro3.core import RecordBatch
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.archive.entries import Door
from podium.archive.layouts import Answers, Decoy, Layout, Outcomes, Requests, Scores
from podium.protocol.frames import Frame, encode
from podium.schema import Field, Kind, Schema

from .traffic import ENDPOINT, INPUTS, NOW, OUTPUTS, Process, ids

DAY = date(2026, 11, 23)


def shown(layout: Layout, frames: list[Frame], inputs: Schema = INPUTS) -> list[dict[str, Any]]:
    door = Door(ENDPOINT, inputs, OUTPUTS)
    entries = [door.admit(position, encode(frame)) for position, frame in enumerate(frames, 1)]
    return as_rows(layout.batch(entries, DAY))


def as_rows(batch: RecordBatch) -> list[dict[str, Any]]:
    columns = [batch.column(name).to_pylist() for name in batch.schema.names]
    return [dict(zip(batch.schema.names, values, strict=True)) for values in zip(*columns, strict=True)]


def micros(value: Any) -> int:
    return round(value.timestamp() * 1_000_000)


def test_a_request_of_one_row() -> None:
    frame = Process().input(["a"], {"bmi": np.array([0.05])}, callers=["10.0.0.1"], traces=["00-aa-bb-01"])
    (row,) = shown(Requests(INPUTS), [frame])
    assert list(row) == ["id", "received", "day", "caller", "key", "row", "in_bmi", "trace", "digests"]
    assert micros(row.pop("received")) == NOW
    assert row == {
        "id": "a",
        "day": DAY,
        "caller": "10.0.0.1",
        "key": None,
        "row": 0,
        "in_bmi": 0.05,
        "trace": "00-aa-bb-01",
        "digests": None,
    }


def test_the_rows_of_a_request_are_numbered_from_zero_and_share_what_is_the_requests() -> None:
    process = Process()
    frames: list[Frame] = [
        process.input(["a", "b"], rows=[2, 3], keys=["k", None]),
        process.input(["c"]),
    ]
    rows = shown(Requests(INPUTS), frames)
    assert [(r["id"], r["row"], r["key"]) for r in rows] == [
        ("a", 0, "k"),
        ("a", 1, "k"),
        ("b", 0, None),
        ("b", 1, None),
        ("b", 2, None),
        ("c", 0, None),
    ]
    assert [r["in_bmi"] for r in rows] == [0.0, 1.0, 2.0, 3.0, 4.0, 0.0]
    assert [micros(r["received"]) - NOW for r in rows] == [0, 0, 1, 1, 1, 0]


def test_scores_say_who_when_and_how_long() -> None:
    (row,) = shown(Scores(OUTPUTS), [Process().scores(["a"], {"progression": np.array([199.8])})])
    assert micros(row.pop("scored")) == NOW + 1000
    assert row == {
        "id": "a",
        "row": 0,
        "day": DAY,
        "model": "linear",
        "version": "9f2c1ab04d5e",
        "role": "champion",
        "status": "ok",
        "error": None,
        "queue_ms": 0.25,
        "compute_ms": 0.5,
        "replayed": False,
        "out_progression": 199.8,
    }


def test_late_scores_keep_their_values_and_failed_ones_have_none() -> None:
    process = Process()
    frames: list[Frame] = [
        process.scores(["a", "b", "c"], rows=[1, 2, 1], late=[0], errors={1: "it broke"}),
        process.scores(["d", "e"], {}, error="it crashed"),
        process.scores(["f"]),
    ]
    rows = shown(Scores(OUTPUTS), frames)
    assert [(r["id"], r["status"], r["error"], r["out_progression"]) for r in rows] == [
        ("a", "late", None, 0.0),
        ("b", "error", "it broke", None),
        ("b", "error", "it broke", None),
        ("c", "ok", None, 3.0),
        ("d", "error", "it crashed", None),
        ("e", "error", "it crashed", None),
        ("f", "ok", None, 0.0),
    ]


def test_an_answer_names_its_model_version_rule_and_revision() -> None:
    (row,) = shown(Answers(OUTPUTS), [Process().answers(["a"])])
    assert micros(row.pop("answered")) == NOW + 2000
    assert row == {
        "id": "a",
        "row": 0,
        "day": DAY,
        "model": "linear",
        "version": "9f2c1ab04d5e",
        "rule": "champion",
        "revision": 3,
        "total_ms": 1.5,
        "out_progression": 0.0,
    }


def test_a_default_answer_is_nobodys() -> None:
    frame = Process().answers(["a"], model="", version="", rules=["default"])
    (row,) = shown(Answers(OUTPUTS), [frame])
    assert (row["model"], row["version"], row["rule"]) == (None, None, "default")


def test_the_decoy_shows_what_a_model_sees() -> None:
    process = Process()
    rows = shown(Decoy(INPUTS), [process.decoy(process.input(["a", "b"], rows=[1, 2]))])
    assert [(r["id"], r["row"], r["in_bmi"]) for r in rows] == [("a", 0, 0.0), ("b", 0, 1.0), ("b", 1, 2.0)]
    assert {micros(r["seen"]) for r in rows} == {NOW + 500}


def test_outcomes_say_of_which_row_and_when_and_leave_null_what_is_not_known() -> None:
    process = Process()
    both = Schema((*OUTPUTS.fields, Field(name="grade", type=Kind.STRING)))
    grades = {"grade": np.array(["good", "bad"], object)}
    frames: list[Frame] = [process.outcomes(["a"]), process.outcomes(["b", "b"], grades, numbers=[2, 0])]
    door = Door(ENDPOINT, INPUTS, both)
    entries = [door.admit(position, encode(frame)) for position, frame in enumerate(frames, 1)]
    rows = as_rows(Outcomes(both).batch(entries, DAY))
    assert [micros(row.pop("observed")) for row in rows] == [NOW, NOW, NOW - 1000]
    assert {micros(row.pop("received")) for row in rows} == {NOW + 3000}
    assert rows == [
        {"id": "a", "row": 0, "day": DAY, "true_progression": 0.0, "true_grade": None},
        {"id": "b", "row": 2, "day": DAY, "true_progression": None, "true_grade": "good"},
        {"id": "b", "row": 0, "day": DAY, "true_progression": None, "true_grade": "bad"},
    ]


# --- random frames --------------------------------------------------------------------------

EVERYTHING = Schema(
    (
        Field(name="f", type=Kind.FLOAT),
        Field(name="i", type=Kind.INT),
        Field(name="b", type=Kind.BOOL),
        Field(name="s", type=Kind.STRING),
        Field(name="tensor", type=Kind.FLOAT, shape=(-1, 2)),
        Field(name="more (cm)", type=Kind.INT, optional=True, default=0),
    )
)
VALUES = {
    "f": st.floats(allow_nan=False),
    "i": st.integers(-(2**63), 2**63 - 1),
    "b": st.booleans(),
    "s": st.text(st.characters(codec="utf-8"), max_size=5),
    "more (cm)": st.integers(-5, 5),
}


@st.composite
def request_frames(draw: st.DrawFn) -> tuple[list[Frame], list[dict[str, Any]]]:
    """Frames, and the rows that they should become."""
    process, frames, expected = Process(), [], []
    for number in range(draw(st.integers(1, 4))):
        sizes = draw(st.one_of(st.none(), st.lists(st.integers(1, 3), min_size=1, max_size=3)))
        names = ids(len(sizes) if sizes else draw(st.integers(1, 3)), f"{number}.")
        total = sum(sizes) if sizes else len(names)
        columns = {
            name: draw(st.lists(values, min_size=total, max_size=total))
            for name, values in VALUES.items()
            if name != "more (cm)" or draw(st.booleans())
        }
        depth = draw(st.integers(0, 2))
        columns["tensor"] = np.arange(total * depth * 2, dtype="f8").reshape(total, depth, 2).tolist()
        arrays = {name: as_array(name, values, depth) for name, values in columns.items()}
        frames.append(process.input(names, arrays, rows=sizes))
        places = [
            (name, row)
            for name, size in zip(names, sizes or [1] * len(names), strict=True)
            for row in range(size)
        ]
        for at, (name, row) in enumerate(places):
            values = {
                f"in_{field}": columns[field][at] if field in columns else None for field in EVERYTHING.names
            }
            expected.append({"id": name, "row": row, **values})
    return frames, expected


def as_array(name: str, values: list[Any], depth: int) -> np.ndarray:
    if name == "tensor":
        return np.array(values, "f8").reshape(len(values), depth, 2)
    return np.array(values, EVERYTHING[name].dtype)


@given(request_frames())
@settings(max_examples=60, deadline=None)
def test_random_frames_become_exactly_the_rows_expected(
    case: tuple[list[Frame], list[dict[str, Any]]],
) -> None:
    frames, expected = case
    rows = shown(Requests(EVERYTHING), frames, EVERYTHING)
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected


@given(
    st.lists(
        st.lists(st.sampled_from(["ok", "late", "error"]), min_size=1, max_size=4), min_size=1, max_size=5
    )
)
@settings(max_examples=60, deadline=None)
def test_each_requests_status_is_its_own(statuses: list[list[str]]) -> None:
    process, frames = Process(), []
    for number, of_frame in enumerate(statuses):
        late = [at for at, status in enumerate(of_frame) if status == "late"]
        errors = {at: f"{number}.{at} broke" for at, status in enumerate(of_frame) if status == "error"}
        names = ids(len(of_frame), f"{number}.")
        frames.append(process.scores(names, late=late or None, errors=errors or None))
    rows = shown(Scores(OUTPUTS), list(frames))
    expected = [
        (
            status,
            f"{number}.{at} broke" if status == "error" else None,
            None if status == "error" else float(at),
        )
        for number, of_frame in enumerate(statuses)
        for at, status in enumerate(of_frame)
    ]
    assert [(row["status"], row["error"], row["out_progression"]) for row in rows] == expected
