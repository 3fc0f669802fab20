"""Contenders and policies."""

from __future__ import annotations

import msgspec
import pytest

from podium.records import Contender, Policy, Role

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=3, role=Role.CHAMPION)
DECOY = Contender(model="decoy", role=Role.DECOY)
POLICY = Policy(
    endpoint="diabetes",
    revision=1,
    contenders=(DECOY, LINEAR),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)),),
)


@pytest.mark.parametrize("word", ["linear", "linear@3", "linear@9f2c1ab04d5e", "linear@9f2c"])
def test_a_contender_answers_to_its_model_number_and_digest(word: str) -> None:
    assert LINEAR.is_named(word)


@pytest.mark.parametrize(
    "word", ["", "linea", "linear@", "linear@4", "linear@9f", "linear@1ab0", "forest@3", "@3", "linear@3@3"]
)
def test_a_contender_answers_to_nothing_else(word: str) -> None:
    assert not LINEAR.is_named(word)


def test_a_contenders_name_is_model_and_version() -> None:
    assert (LINEAR.name, DECOY.name) == ("linear@9f2c1ab04d5e", "decoy")


def test_the_decoy_does_not_score() -> None:
    assert POLICY.scoring == (LINEAR,)
    assert POLICY.champion is LINEAR


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        POLICY.revision = 2  # type: ignore[misc]


def test_a_policy_survives_being_written_down() -> None:
    assert msgspec.json.decode(msgspec.json.encode(POLICY), type=Policy) == POLICY
