"""The schedule: what may be said of every decision, and each case by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import ProjectError
from podium.records import Contender, Policy, Role
from podium.rendezvous.schedule import Accept, Decision, Default, Schedule, Wait, check_schedule

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
FOREST = Contender(model="forest", version="0a1b2c3d4e5f", number=1, role=Role.CHALLENGER)
RULE = Contender(model="rule", version="111122223333", number=1, role=Role.CANARY)
DECOY = Contender(model="decoy", role=Role.DECOY)
EVERYBODY = (LINEAR, FOREST, RULE)
USUAL = ((0.0, ("champion",)), (60.0, ("champion", "challenger", "canary")))


def policy(
    schedule: tuple[tuple[float, tuple[str, ...]], ...] = USUAL, *, deadline_ms: float = 100.0
) -> Policy:
    return Policy(
        endpoint="diabetes",
        revision=1,
        contenders=(*EVERYBODY, DECOY),
        deadline_ms=deadline_ms,
        schedule=schedule,
        default={"progression": 152.13},
    )


# --- whatever the schedule, the scores and the time -------------------------------------------

times = st.floats(0, 200)
words = st.lists(
    st.sampled_from(["champion", "challenger", "canary", "linear", "forest", "rule"]), unique=True
).map(tuple)
schedules = st.lists(st.tuples(times, words), min_size=1, max_size=4, unique_by=lambda step: step[0]).map(
    tuple
)
policies = st.builds(policy, schedules, deadline_ms=st.floats(1, 200))
scores = st.dictionaries(st.sampled_from(EVERYBODY), st.booleans())
deadlines = st.none() | times
forced = st.none() | st.sampled_from(EVERYBODY)


@given(policies, scores, times, deadlines, forced)
def test_nobody_is_accepted_at_or_after_the_deadline(
    policy: Policy,
    scores: Mapping[Contender, bool],
    waited: float,
    deadline: float | None,
    forced: Contender | None,
) -> None:
    end = min(policy.deadline_ms, policy.deadline_ms if deadline is None else deadline)
    match Schedule(policy).decide(scores, waited, deadline=deadline, forced=forced):
        case Accept():
            assert waited < end
        case Wait(until):
            assert waited < until <= end
        case Default():
            assert waited >= end or not all(scores.values())


@given(policies, scores, times)
def test_nobody_is_accepted_before_the_schedule_lets_them_in(
    policy: Policy, scores: Mapping[Contender, bool], waited: float
) -> None:
    match Schedule(policy).decide(scores, waited):
        case Accept(contender, rule):
            assert rule in (contender.role.value, contender.model)
            assert any(after <= waited and rule in words for after, words in policy.schedule)


@given(policies, scores, times)
def test_only_a_score_that_is_there_and_good_is_accepted(
    policy: Policy, scores: Mapping[Contender, bool], waited: float
) -> None:
    match Schedule(policy).decide(scores, waited):
        case Accept(contender):
            assert scores[contender]


@given(policies, scores, times, deadlines, forced)
def test_the_same_scores_and_time_always_give_the_same_decision(
    policy: Policy,
    scores: Mapping[Contender, bool],
    waited: float,
    deadline: float | None,
    forced: Contender | None,
) -> None:
    def decide(given: Mapping[Contender, bool]) -> Decision:
        return Schedule(policy).decide(given, waited, deadline=deadline, forced=forced)

    assert decide(scores) == decide(dict(reversed(scores.items())))


@given(policies, scores, times)
def test_who_is_told_to_wait_misses_nothing_by_sleeping_until_then(
    policy: Policy, scores: Mapping[Contender, bool], waited: float
) -> None:
    schedule = Schedule(policy)
    match schedule.decide(scores, waited):
        case Wait(until):
            between = waited + (until - waited) / 2
            if between < until:
                assert schedule.decide(scores, between) == Wait(until)


@given(policies, scores, times, st.sampled_from(EVERYBODY))
def test_a_forced_contender_is_the_only_one_whose_score_will_do(
    policy: Policy, scores: Mapping[Contender, bool], waited: float, forced: Contender
) -> None:
    match Schedule(policy).decide(scores, waited, forced=forced):
        case Accept(contender, rule):
            assert (contender, rule) == (forced, "forced")
        case Wait():
            assert forced not in scores
        case Default():
            assert waited >= policy.deadline_ms or not scores[forced]


@given(policies, times)
def test_when_everybody_has_failed_the_default_comes_at_once(policy: Policy, waited: float) -> None:
    assert Schedule(policy).decide(dict.fromkeys(EVERYBODY, False), waited) == Default()


@given(policies, scores, times, times)
def test_a_requests_own_deadline_never_lengthens_the_policys(
    policy: Policy, scores: Mapping[Contender, bool], waited: float, longer: float
) -> None:
    schedule = Schedule(policy)
    own = policy.deadline_ms + longer
    assert schedule.decide(scores, waited, deadline=own) == schedule.decide(scores, waited)


# --- the default schedule, by hand ------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "waited", "decision"),
    [
        ({}, 0.0, Wait(60.0)),
        ({LINEAR: True}, 0.0, Accept(LINEAR, "champion")),
        ({FOREST: True}, 59.9, Wait(60.0)),
        ({FOREST: True}, 60.0, Accept(FOREST, "challenger")),
        ({RULE: True, FOREST: True}, 60.0, Accept(FOREST, "challenger")),
        ({RULE: True, LINEAR: False}, 70.0, Accept(RULE, "canary")),
        ({LINEAR: True, FOREST: True}, 70.0, Accept(LINEAR, "champion")),
        ({LINEAR: False, FOREST: True, RULE: True}, 10.0, Wait(60.0)),
        ({}, 60.0, Wait(100.0)),
        ({}, 99.9, Wait(100.0)),
        ({LINEAR: True}, 100.0, Default()),
        ({LINEAR: False, FOREST: False}, 70.0, Wait(100.0)),
        ({LINEAR: False, FOREST: False, RULE: False}, 1.0, Default()),
    ],
)
def test_the_default_schedule_prefers_the_champion_and_takes_anybody_from_60_ms(
    scores: Mapping[Contender, bool], waited: float, decision: Decision
) -> None:
    assert Schedule(policy()).decide(scores, waited) == decision


def test_a_schedule_may_be_written_in_any_order() -> None:
    assert Schedule(policy(USUAL[::-1])).decide({FOREST: True}, 10.0) == Wait(60.0)


def test_a_model_can_be_named_and_is_then_the_rule() -> None:
    schedule = Schedule(policy(((0.0, ("rule", "champion")),)))
    assert schedule.decide({LINEAR: True, RULE: True}, 0.0) == Accept(RULE, "rule")


# --- schedules that cannot be -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (((0.0, ("champoin",)),), "did you mean 'champion'"),
        (((0.0, ("forrest",)),), "did you mean 'forest'"),
        (((0.0, ("decoy",)),), "neither a role nor a model"),
        (((-1.0, ("champion",)),), "-1ms is before the request arrives"),
        (((100.0, ("champion",)),), "accepts nobody's score before the deadline of 100ms"),
        (((0.0, ()),), "accepts nobody"),
        ((), "accepts nobody"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_the_place_and_the_nearest_word(
    schedule: tuple[tuple[float, tuple[str, ...]], ...], words: str
) -> None:
    with pytest.raises(ProjectError, match=words) as caught:
        check_schedule(policy(schedule), where="podium.toml:12")
    assert str(caught.value).startswith("podium.toml:12: ")


def test_the_default_schedule_is_fine() -> None:
    check_schedule(policy(), where="podium.toml:12")


# --- shares -----------------------------------------------------------------------------------


@given(scores, times, deadlines)
def test_in_a_share_its_contender_answers_from_the_start(
    scores: Mapping[Contender, bool], waited: float, deadline: float | None
) -> None:
    found = Schedule(policy()).decide(scores, waited, deadline=deadline, preferred=FOREST)
    if scores.get(FOREST) and waited < min(100.0, 100.0 if deadline is None else deadline):
        assert found == Accept(FOREST, "share")


@pytest.mark.parametrize(
    ("scores", "waited", "found"),
    [
        ({LINEAR: True}, 5.0, Wait(60.0)),
        ({LINEAR: True}, 60.0, Accept(LINEAR, "champion")),
        ({LINEAR: True, FOREST: False}, 5.0, Accept(LINEAR, "champion")),
        ({LINEAR: False, RULE: True, FOREST: False}, 70.0, Accept(RULE, "canary")),
        ({LINEAR: False, RULE: False, FOREST: False}, 5.0, Default()),
        ({}, 100.0, Default()),
    ],
)
def test_in_a_share_the_others_wait_for_the_second_step_or_until_its_contender_has_failed(
    scores: Mapping[Contender, bool], waited: float, found: Decision
) -> None:
    assert Schedule(policy()).decide(scores, waited, preferred=FOREST) == found


def test_without_a_second_step_a_shares_contender_is_awaited_for_most_of_the_deadline() -> None:
    schedule = Schedule(policy(((0.0, ("champion",)),), deadline_ms=50.0))
    assert schedule.decide({LINEAR: True}, 5.0, preferred=FOREST) == Wait(30.0)
    assert schedule.decide({LINEAR: True}, 30.0, preferred=FOREST) == Accept(LINEAR, "champion")


@given(scores, times)
def test_a_share_keeps_nobody_out_once_its_contender_has_failed(
    scores: Mapping[Contender, bool], waited: float
) -> None:
    failed = {**scores, FOREST: False}
    schedule = Schedule(policy())
    assert schedule.decide(failed, waited, preferred=FOREST) == schedule.decide(failed, waited)
