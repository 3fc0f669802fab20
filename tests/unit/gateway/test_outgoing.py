"""Input frames made of requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.workers.stage import LINEAR

from podium.gateway.lineup import Lineup
from podium.gateway.outgoing import FRAME_BYTES, FRAME_ROWS, FrameBuilder, row_counts
from podium.gateway.requests import Request
from podium.protocol.frames import InputFrame, row_slices, unpack
from podium.protocol.large import HEAD_BYTES
from podium.records import Policy
from podium.run import Large
from podium.schema import Field, Kind, Schema
from podium.validation import Rows, Validator

POLICY = Policy(
    endpoint="diabetes",
    revision=3,
    contenders=(LINEAR,),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)),),
)
SCHEMA = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT, missing=True),
        Field(name="age", type=Kind.INT),
        Field(name="city", type=Kind.STRING),
        Field(name="pair", type=Kind.INT, shape=(2,)),
    )
)
WIDE = Schema((Field(name="x", type=Kind.FLOAT, shape=(-1,)),))
NONE = Schema(())
LOOP = asyncio.new_event_loop()
LOOP.close()


def builder(
    schema: Schema,
    outputs: Schema = NONE,
    *,
    limit: int = 16 * 1024 * 1024,
    threshold: int = Large().threshold,
) -> FrameBuilder:
    return FrameBuilder(
        schema,
        outputs,
        source="gateway-1",
        reply="scores.gateway-1",
        patience=2.0,
        limit=limit,
        threshold=threshold,
    )


def request(rows: Rows, *, began: float | None = None, **wishes: Any) -> Request:
    started = time.monotonic() if began is None else began
    return Request(rows, LOOP.create_future(), started, **({"id": "1"} | wishes))


def built(schema: Schema, requests: Sequence[Request]) -> InputFrame:
    made = builder(schema)
    return made.frame(requests, seq=7, line=Lineup(POLICY), columns=made.columns(requests))


row = st.fixed_dictionaries(
    {
        "bmi": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        "age": st.integers(-(2**63), 2**63 - 1),
        "city": st.text(max_size=3),
        "pair": st.lists(st.integers(0, 9), min_size=2, max_size=2),
    }
)


@given(st.lists(row | st.lists(row, min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_frame_holds_every_requests_rows_one_after_the_other(bodies: list[Any]) -> None:
    validator = Validator(SCHEMA)
    requests = [request(validator.json(msgspec.json.encode(body))) for body in bodies]
    frame = built(SCHEMA, requests)
    columns = unpack(frame.columns)
    assert list(columns) == list(SCHEMA.names)
    for body, part in zip(bodies, row_slices(len(requests), frame.rows), strict=True):
        rows = body if isinstance(body, list) else [body]
        for name in ("age", "city", "pair"):
            assert columns[name][part].tolist() == [each[name] for each in rows]
        numbers = [np.nan if each["bmi"] is None else each["bmi"] for each in rows]
        np.testing.assert_array_equal(columns["bmi"][part], numbers)


def test_a_frame_says_from_whom_it_is_until_when_it_matters_and_where_scores_go() -> None:
    now = time.monotonic()
    rows = Rows([np.ones((1, 2))], 1, True)
    requests = [request(rows, began=now - 0.010, id="a"), request(rows, began=now, id="b", deadline=50.0)]
    frame = built(WIDE, requests)
    assert (frame.endpoint, frame.revision, frame.source, frame.seq) == ("diabetes", 3, "gateway-1", 7)
    assert (frame.reply, frame.ids, frame.rows) == ("scores.gateway-1", ["a", "b"], None)
    assert frame.sent - frame.arrived[0] >= 10_000
    waits = [end - start for start, end in zip(frame.arrived, frame.deadline, strict=True)]
    assert waits == [100_000, 50_000]
    assert frame.expires == max(frame.deadline) + 2_000_000


@given(st.lists(st.integers(1, 2 * FRAME_ROWS), min_size=1, max_size=8))
def test_loads_take_requests_in_order_and_none_grows_past_its_rows(counts: list[int]) -> None:
    requests = [request(Rows([np.empty((count, 1))], count, False)) for count in counts]
    loads = list(builder(Schema((Field(name="x", type=Kind.FLOAT, shape=(1,)),))).loads(requests))
    assert [each for load in loads for each in load] == requests
    for load in loads:
        assert len(load) == 1 or sum(each.rows.count for each in load) <= FRAME_ROWS


MEGABYTE = 1024 * 1024
LETTERS = Schema((Field(name="s", type=Kind.STRING),))
FIXED = Schema((Field(name="x", type=Kind.FLOAT, shape=(MEGABYTE // 8,)),))


@pytest.mark.parametrize(
    ("inputs", "outputs", "column"),
    [
        (WIDE, NONE, np.zeros((1, MEGABYTE // 8))),
        (FIXED, NONE, np.zeros((1, MEGABYTE // 8))),
        (LETTERS, NONE, ["a" * (MEGABYTE - HEAD_BYTES)]),
        (Schema((Field(name="x", type=Kind.FLOAT),)), FIXED, [1.0]),
    ],
)
def test_no_load_outgrows_what_the_stream_takes(inputs: Schema, outputs: Schema, column: Any) -> None:
    requests = [request(Rows([column], 1, True)) for _ in range(9)]
    loads = list(builder(inputs, outputs).loads(requests))
    assert [len(load) for load in loads] == [FRAME_BYTES // MEGABYTE] * 2 + [1]


@pytest.mark.parametrize(
    ("threshold", "limit", "together"),
    [
        (8 * MEGABYTE, 8 * MEGABYTE, 2),  # a quarter of what the stream takes
        (3 * MEGABYTE, 16 * MEGABYTE, 3),  # the threshold
        (3 * MEGABYTE, 8 * MEGABYTE, 2),
    ],
)
def test_a_load_is_not_over_the_threshold_nor_a_quarter_of_the_largest_message(
    threshold: int, limit: int, together: int
) -> None:
    made = builder(WIDE, threshold=threshold, limit=limit)
    requests = [request(Rows([np.zeros((1, MEGABYTE // 8))], 1, True)) for _ in range(2 * together)]
    assert [len(load) for load in made.loads(requests)] == [together, together]


def test_a_request_that_is_large_alone_travels_alone() -> None:
    small, large = (request(Rows([np.zeros((1, size))], 1, True)) for size in (MEGABYTE // 8, MEGABYTE))
    assert list(builder(WIDE).loads([large, large])) == [[large], [large]]
    assert list(builder(FIXED).loads([small])) == [[small]]


def test_requests_of_one_shape_share_a_load_wherever_they_stand() -> None:
    requests = [request(Rows([np.ones((1, size))], 1, True)) for size in (2, 3, 2, 3)]
    loads = list(builder(WIDE).loads(requests))
    assert loads == [[requests[0], requests[2]], [requests[1], requests[3]]]


def test_rows_are_not_counted_where_each_request_has_one() -> None:
    one, two = (request(Rows([np.ones((count, 1))], count, False)) for count in (1, 2))
    assert row_counts([one, one]) is None
    assert row_counts([one, two]) == [1, 2]
