"""Whose answer is preferred for which part of the traffic."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.errors import PolicyError
from podium.records import Contender, Policy, Role
from podium.rendezvous.shares import Shares, check_shares

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
KEYS = [f"customer {n}" for n in range(2000)]
parts = st.floats(0, 1).map(lambda part: round(part, 3))


def challenger(model: str, share: float | None) -> Contender:
    return Contender(model=model, version="0a1b2c3d4e5f", number=1, role=Role.CHALLENGER, share=share)


def policy(*shares: float | None) -> Policy:
    models = [challenger(f"model-{n}", share) for n, share in enumerate(shares)]
    return Policy(
        endpoint="diabetes",
        revision=1,
        contenders=(LINEAR, *models),
        deadline_ms=100.0,
        schedule=((0.0, ("champion",)),),
    )


def side(shares: Shares, key: str) -> str | None:
    found = shares.of(key)
    return found.model if found else None


def test_without_shares_the_schedule_decides() -> None:
    assert not Shares(policy(None, None))
    assert Shares(policy(None)).of("anybody") is None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_is_about_that_part_of_all_keys(share: float) -> None:
    shares = Shares(policy(share))
    found = sum(side(shares, key) == "model-0" for key in KEYS) / len(KEYS)
    assert found == pytest.approx(share, abs=0.04)


def test_several_shares_are_about_their_parts() -> None:
    shares = Shares(policy(0.2, 0.3, 0.5))
    found = [side(shares, key) for key in KEYS]
    for n, share in enumerate((0.2, 0.3, 0.5)):
        assert found.count(f"model-{n}") / len(KEYS) == pytest.approx(share, abs=0.04)
    assert None not in found


def test_a_share_of_everything_is_everybody_and_one_of_nothing_nobody() -> None:
    assert all(side(Shares(policy(1.0)), key) == "model-0" for key in KEYS)
    assert not Shares(policy(0.0))


@given(parts, st.text(min_size=1))
def test_the_same_key_is_always_on_the_same_side(share: float, key: str) -> None:
    assert side(Shares(policy(share)), key) == side(Shares(policy(share)), key)


@given(parts, parts, st.integers(0, 1999))
def test_a_share_that_grows_moves_nobody_back(one: float, other: float, n: int) -> None:
    small, large = sorted((one, other))
    if side(Shares(policy(small)), KEYS[n]) == "model-0":
        assert side(Shares(policy(large)), KEYS[n]) == "model-0"


@example([0.25, 0.125, 0.125, 0.25], 0, 881)  # where each took a part of what those before it left
@given(st.lists(st.floats(0, 0.25), min_size=2, max_size=4), st.integers(0, 3), st.integers(0, 1999))
def test_a_share_that_grows_takes_keys_and_gives_none_of_its_own(
    found: list[float], which: int, n: int
) -> None:
    which %= len(found)
    grown = [share + (0.2 if place == which else 0.0) for place, share in enumerate(found)]
    if sum(grown) > 1:
        return
    before, after = side(Shares(policy(*found)), KEYS[n]), side(Shares(policy(*grown)), KEYS[n])
    if before == f"model-{which}":
        assert after == before
    elif before is not None:  # somebody else's keys stay, or go to the one that has grown
        assert after in (before, f"model-{which}")


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((0.6, 0.5), r"the shares are 110% .* 60% \(model-0@.*\) \+ 50% \(model-1@"),
        ((1.5,), r"the share of model-0@.* is 150%, expected 0% to 100%"),
        ((-0.1,), r"is -10%"),
    ],
)
def test_shares_that_cannot_be_are_refused(shares: tuple[float, ...], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        check_shares(policy(*shares))


def test_shares_of_all_the_traffic_are_fine() -> None:
    check_shares(policy(0.1, 0.2, 0.7))


def test_only_a_challenger_has_a_share() -> None:
    canary = Contender(model="reference", version="0a1b2c3d4e5f", number=1, role=Role.CANARY, share=0.1)
    found = policy(0.1)
    with pytest.raises(PolicyError, match="for a challenger, and reference@0a1b2c3d4e5f is canary"):
        check_shares(replace(found, contenders=(*found.contenders, canary)))
