"""The door lets in frames of its endpoint that fit, and says why it refuses the others."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from podium.archive.entries import Door
from podium.errors import BadInput
from podium.protocol.frames import Frame, ProbeFrame, encode
from podium.schema import Field, Kind, Schema

from .traffic import ENDPOINT, INPUTS, NOW, OUTPUTS, Process, ids

replace = msgspec.structs.replace


@pytest.fixture
def door() -> Door:
    return Door(ENDPOINT, INPUTS, OUTPUTS)


def test_each_kind_of_frame_goes_to_its_table(door: Door) -> None:
    process = Process()
    sent = process.input(ids(2))
    frames = [sent, process.scores(ids(2)), process.answers(ids(2)), process.decoy(sent)]
    frames.append(process.outcomes(ids(2)))
    tables = [door.admit(position, encode(frame)).table for position, frame in enumerate(frames, 1)]
    assert tables == ["requests", "scores", "answers", "decoy", "outcomes"]


def test_a_decoys_entry_has_the_numbers_of_its_own_message(door: Door) -> None:
    gateway, decoy = Process("gateway-1"), Process("decoy-1")
    decoy.seq = 41
    entry = door.admit(7, encode(decoy.decoy(gateway.input(ids(1)))))
    assert (entry.position, entry.source, entry.seq) == (7, "decoy-1", 42)


@pytest.mark.parametrize("payload", [b"", b"hello", b"\xc1", b"\x80", encode(Process().input(["a"]))[:-5]])
def test_what_is_no_frame_is_refused(door: Door, payload: bytes) -> None:
    with pytest.raises(BadInput):
        door.admit(1, payload)


WRONG: list[Callable[[Process], Frame]] = [
    lambda p: replace(p.input(ids(1)), endpoint="another"),
    lambda p: replace(p.input(ids(1)), v=2),
    lambda p: replace(p.input(ids(1)), seq=-1),
    lambda p: replace(p.input(ids(1)), seq=2**63),
    lambda p: replace(p.answers(ids(1)), revision=2**63),
    lambda p: p.input([]),
    lambda p: p.input(ids(2), rows=[1]),
    lambda p: p.input(ids(2), rows=[3, -1]),
    lambda p: p.input(ids(2), rows=[2, 0]),
    lambda p: p.input(ids(2), {"bmi": np.ones(3)}),
    lambda p: p.input(ids(2), {"bmi": np.array(["a", "b"])}),
    lambda p: p.input(ids(2), {}),
    lambda p: p.input(ids(2), arrived=[1]),
    lambda p: p.input(ids(1), arrived=[-1]),
    lambda p: p.input(ids(1), arrived=[2**62]),
    lambda p: p.input(ids(2), keys=["a"]),
    lambda p: p.input(ids(2), callers=["a"]),
    lambda p: p.input(ids(2), traces=["a", "b", "c"]),
    lambda p: p.answers(ids(2), rules=["champion"]),
    lambda p: replace(p.answers(ids(1)), done=2**63),
    lambda p: p.answers(ids(1), {"progression": np.ones((1, 2))}),
    lambda p: p.scores(ids(2), late=[2]),
    lambda p: p.scores(ids(2), errors={-1: "it broke"}),
    lambda p: p.scores(ids(2), {}, errors={0: "half of it broke"}),
    lambda p: replace(p.scores(ids(1)), ids=msgspec.Raw(b"\x01")),
    lambda p: replace(p.decoy(p.input(ids(1))), input=b"junk"),
    lambda p: replace(p.decoy(p.input(ids(1))), input=encode(p.answers(ids(1)))),
    lambda p: replace(p.seen(p.input(ids(1))), done=2**63),
    lambda p: replace(p.seen(p.input(ids(1))), frame=-1),
    lambda p: p.outcomes([]),
    lambda p: p.outcomes(ids(2), {}),
    lambda p: p.outcomes(ids(2), {"unheard_of": np.ones(2)}),
    lambda p: p.outcomes(ids(2), {"progression": np.ones(3)}),
    lambda p: p.outcomes(ids(2), numbers=[1]),
    lambda p: p.outcomes(ids(1), numbers=[-1]),
    lambda p: p.outcomes(ids(2), observed=[NOW]),
    lambda p: p.outcomes(ids(1), observed=[-1]),
    lambda p: p.outcomes(ids(1), done=2**62),
    lambda p: ProbeFrame(**p.envelope(), reply="scores.1"),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_frame_that_is_wrong_in_one_place_is_refused(door: Door, wrong: Callable[[Process], Frame]) -> None:
    with pytest.raises(BadInput):
        door.admit(1, encode(wrong(Process())))


def test_scores_that_failed_altogether_need_no_columns(door: Door) -> None:
    process = Process()
    door.admit(1, encode(process.scores(ids(2), {}, error="it crashed")))
    door.admit(2, encode(process.scores(ids(2), {}, errors={0: "no", 1: "no"})))


def test_an_optional_input_may_be_absent_and_an_unknown_column_is_ignored() -> None:
    grown = Schema((*INPUTS.fields, Field(name="age", type=Kind.INT, optional=True, default=50)))
    door = Door(ENDPOINT, grown, OUTPUTS)
    columns = {"bmi": np.ones(1), "unheard_of": np.ones(1)}
    assert door.admit(1, encode(Process().input(ids(1), columns))).total == 1


def test_outcomes_may_leave_out_all_outputs_but_one() -> None:
    both = Schema((*OUTPUTS.fields, Field(name="grade", type=Kind.STRING)))
    door = Door(ENDPOINT, INPUTS, both)
    entry = door.admit(1, encode(Process().outcomes(ids(2), {"grade": np.array(["a", "b"])})))
    assert (entry.table, entry.total) == ("outcomes", 2)
