"""Changes of a policy: what they give, and what cannot be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.errors import NotFound, PolicyError, ProjectError
from podium.records import DECOY, Contender, Gates, Guards, Policy, Role
from podium.rendezvous.changes import check, differences, joined, last_good, left, promoted, restored

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
FOREST = Contender(model="forest", version="0a1b2c3d4e5f", number=1, role=Role.CHALLENGER)
REFERENCE = Contender(model="reference", version="29ac1561f3c2", number=1, role=Role.CANARY)
THE_DECOY = Contender(model=DECOY, role=Role.DECOY)
NEWER = Contender(model="linear", version="5e5e5e5e5e5e", number=2, role=Role.CHALLENGER)

POLICY = Policy(
    endpoint="diabetes",
    revision=7,
    contenders=(LINEAR, FOREST, REFERENCE, THE_DECOY),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)), (60.0, ("champion", "challenger"))),
    default={"progression": 152.13},
)


def roles(policy: Policy) -> dict[str, Role]:
    return {contender.name: contender.role for contender in policy.contenders}


# --- join and leave -------------------------------------------------------------------------


def test_who_joins_comes_before_the_decoy_in_the_next_revision() -> None:
    found = joined(POLICY, NEWER)
    assert found.contenders == (LINEAR, FOREST, REFERENCE, NEWER, THE_DECOY)
    assert found.revision == 8


def test_who_is_there_already_gets_the_new_share_in_its_place() -> None:
    found = joined(POLICY, replace(FOREST, share=0.1))
    assert found.contenders == (LINEAR, replace(FOREST, share=0.1), REFERENCE, THE_DECOY)


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (
            replace(NEWER, role=Role.CHAMPION),
            r"cannot join as champion, only be promoted; `podium promote diab",
        ),
        (replace(LINEAR, role=Role.CHALLENGER), "it is the champion"),
        (replace(NEWER, role=Role.CANARY, share=0.1), "a share is for a challenger"),
        (replace(NEWER, share=1.2), "120%"),
    ],
)
def test_who_cannot_join_is_told_why(who: Contender, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        joined(POLICY, who)


def test_shares_of_more_than_all_are_refused() -> None:
    with pytest.raises(PolicyError, match="130%"):
        joined(joined(POLICY, replace(FOREST, share=0.7)), replace(NEWER, share=0.6))


def test_who_leaves_is_gone() -> None:
    assert left(POLICY, "forest").contenders == (LINEAR, REFERENCE, THE_DECOY)
    assert left(POLICY, "forest@1").revision == 8


def test_the_champion_cannot_leave_and_nobody_can_who_is_not_there() -> None:
    with pytest.raises(PolicyError, match="promote another contender first"):
        left(POLICY, "linear")
    with pytest.raises(NotFound, match=r"forrest.*did you mean 'forest@"):
        left(POLICY, "forrest@0a1b")


def test_a_model_that_the_schedule_names_cannot_leave() -> None:
    named = replace(POLICY, schedule=((0.0, ("champion", "forest")),))
    with pytest.raises(ProjectError, match="neither a role nor a model"):
        left(named, "forest")


# --- promote and roll back ------------------------------------------------------------------


def test_the_promoted_one_is_champion_and_the_champion_a_challenger_who_goes_on_scoring() -> None:
    found = promoted(joined(POLICY, replace(FOREST, share=0.1)), "forest")
    assert roles(found) == {
        LINEAR.name: Role.CHALLENGER,
        FOREST.name: Role.CHAMPION,
        REFERENCE.name: Role.CANARY,
        DECOY: Role.DECOY,
    }
    assert [contender.share for contender in found.contenders] == [None] * 4


@pytest.mark.parametrize(("word", "words"), [("linear", "already"), ("reference", "is the canary")])
def test_the_champion_and_the_canary_are_not_promoted(word: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        promoted(POLICY, word)


def test_a_rollback_is_a_new_revision_as_the_old_one_was() -> None:
    changed = promoted(POLICY, "forest")
    back = restored(changed, POLICY)
    assert (back.revision, back.restores) == (9, 7)
    assert back.contenders == POLICY.contenders
    assert differences(back, POLICY) == []


def history(*restores: int | None) -> list[Policy]:
    return [replace(POLICY, revision=n, restores=of) for n, of in enumerate(restores, 1)]


@pytest.mark.parametrize(
    ("restores", "back_to"),
    [
        ((None,), None),
        ((None, None), 1),
        ((None, None, None), 2),
        ((None, None, None, 2), 1),
        ((None, None, None, 2, None), 2),
        ((None, None, None, 2, 1), None),
        ((None, None, None, 1, None), 1),
    ],
)
def test_a_rollback_goes_to_the_last_revision_that_nobody_took_back(
    restores: Sequence[int | None], back_to: int | None
) -> None:
    found = last_good(history(*restores))
    assert (found.revision if found else None) == back_to


@given(
    st.lists(
        st.sampled_from(["promote forest", "promote linear", "share", "join", "leave", "back"]), max_size=20
    )
)
def test_whatever_is_done_there_is_one_champion_and_revisions_count_up(steps: list[str]) -> None:
    past = [POLICY]
    for step in steps:
        now = past[-1]
        try:
            match step.split():
                case ["promote", model]:
                    changed = promoted(now, model)
                case ["share"]:
                    changed = joined(now, replace(FOREST, share=0.25))
                case ["join"]:
                    changed = joined(now, NEWER)
                case ["leave"]:
                    changed = left(now, NEWER.name)
                case _:
                    good = last_good(past)
                    changed = restored(now, good) if good else now
        except (PolicyError, NotFound):
            continue
        check(changed)
        if changed is not now:
            assert changed.revision == now.revision + 1
            past.append(changed)
        assert [c.role for c in changed.contenders].count(Role.CHAMPION) == 1


def test_a_policy_has_one_champion() -> None:
    with pytest.raises(PolicyError, match="one champion, this has none"):
        check(replace(POLICY, contenders=(FOREST,)))


# --- differences ----------------------------------------------------------------------------


def test_differences_name_everything_that_changes() -> None:
    other = replace(
        POLICY,
        contenders=(
            replace(LINEAR, role=Role.CHALLENGER, share=0.1),
            replace(FOREST, role=Role.CHAMPION),
            NEWER,
        ),
        deadline_ms=80.0,
        schedule=((0.0, ("champion",)),),
        default=None,
        gates=Gates(requests=100),
        guards=Guards(errors=0.05),
    )
    assert differences(POLICY, other) == [
        f"- {REFERENCE.name} leaves (canary)",
        "- decoy leaves (decoy)",
        f"+ {NEWER.name} joins as challenger",
        f"~ {LINEAR.name}: champion → challenger with a share of 10%",
        f"~ {FOREST.name}: challenger → champion",
        "~ deadline: 100ms → 80ms",
        "~ schedule: 0ms champion, 60ms champion/challenger → 0ms champion",
        "~ default: {'progression': 152.13} → none",
        "~ gates: requests=0, confidence=0.95 → requests=100, confidence=0.95",
        "~ guards: window_s=60, requests=100 → errors=0.05, window_s=60, requests=100",
    ]


def test_the_same_policy_has_no_differences_whoever_made_it() -> None:
    assert differences(POLICY, replace(POLICY, revision=9, author="ada", reason="why", changed=1)) == []
