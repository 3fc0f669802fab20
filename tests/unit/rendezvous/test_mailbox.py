"""The mailbox: one decision, whatever comes and in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium.records import Contender, Policy, Role
from podium.rendezvous.mailbox import Mailbox
from podium.rendezvous.schedule import Accept, Decision, Default, Schedule, Wait

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
FOREST = Contender(model="forest", version="0a1b2c3d4e5f", number=1, role=Role.CHALLENGER)
SCHEDULE = Schedule(
    Policy(
        endpoint="diabetes",
        revision=1,
        contenders=(LINEAR, FOREST),
        deadline_ms=100.0,
        schedule=((0.0, ("champion",)), (60.0, ("champion", "challenger"))),
    )
)

contenders = st.sampled_from([LINEAR, FOREST])
events = st.lists(st.tuples(st.floats(0, 150), contenders, st.booleans()), max_size=8).map(
    lambda found: sorted(found, key=lambda event: event[0])
)
Events = list[tuple[float, Contender, bool]]


def played(mailbox: Mailbox, events: Events) -> list[Decision | None]:
    return [mailbox.post(contender, ok, waited) for waited, contender, ok in events]


def final(decisions: list[Decision | None]) -> list[Decision]:
    return [decision for decision in decisions if isinstance(decision, Accept | Default)]


@given(events)
def test_there_is_at_most_one_decision_and_nothing_after_it(events: Events) -> None:
    mailbox = Mailbox(SCHEDULE)
    decisions = played(mailbox, events)
    assert len(final(decisions)) == mailbox.decided
    if mailbox.decided:
        assert not any(decisions[decisions.index(final(decisions)[0]) + 1 :])
        assert mailbox.look(150.0) is None


@given(events)
def test_the_same_scores_and_times_always_give_the_same_answer(events: Events) -> None:
    assert played(Mailbox(SCHEDULE), events) == played(Mailbox(SCHEDULE), events)


@given(events)
def test_a_double_score_changes_nothing(events: Events) -> None:
    first: dict[Contender, tuple[float, Contender, bool]] = {}
    for event in events:
        first.setdefault(event[1], event)
    assert final(played(Mailbox(SCHEDULE), events)) == final(played(Mailbox(SCHEDULE), list(first.values())))


@given(events, contenders, st.booleans(), st.floats(0, 50))
def test_a_late_score_changes_nothing(events: Events, late: Contender, ok: bool, by: float) -> None:
    mailbox = Mailbox(SCHEDULE)
    played(mailbox, events)
    mailbox.look(100.0)
    assert mailbox.decided
    assert mailbox.post(late, ok, 100.0 + by) is None


@given(events, st.floats(0, 300))
def test_never_later_than_the_deadline(events: Events, own: float) -> None:
    mailbox = Mailbox(SCHEDULE, deadline=own)
    assert mailbox.deadline == min(own, 100.0)
    for (waited, _, _), decision in zip(events, played(mailbox, events), strict=True):
        match decision:
            case Accept():
                assert waited < mailbox.deadline
            case Wait(until):
                assert until <= mailbox.deadline
    mailbox.look(mailbox.deadline)
    assert mailbox.decided


@given(events)
def test_never_the_challengers_score_before_its_time(events: Events) -> None:
    for (waited, _, _), decision in zip(events, played(Mailbox(SCHEDULE), events), strict=True):
        match decision:
            case Accept(contender):
                assert contender is LINEAR or waited >= 60.0


@given(events, events)
def test_a_copy_has_the_scores_so_far_and_goes_its_own_way(before: Events, after: Events) -> None:
    mailbox = Mailbox(SCHEDULE, forced=FOREST)
    played(mailbox, before)
    twin, untouched = mailbox.copy(), mailbox.copy()
    assert played(twin, after) == played(mailbox.copy(), after)
    assert untouched.decided == mailbox.decided
    assert played(untouched, after) == played(mailbox, after)


def test_only_the_forced_contender_decides() -> None:
    mailbox = Mailbox(SCHEDULE, forced=FOREST)
    assert mailbox.post(LINEAR, True, 70.0) == Wait(100.0)
    assert mailbox.post(FOREST, True, 71.0) == Accept(FOREST, "forced")


def test_a_forced_contender_that_fails_gives_the_default_at_once() -> None:
    assert Mailbox(SCHEDULE, forced=FOREST).post(FOREST, False, 1.0) == Default()


def test_a_score_that_came_too_early_is_taken_when_its_time_has_come() -> None:
    mailbox = Mailbox(SCHEDULE)
    assert mailbox.post(FOREST, True, 5.0) == Wait(60.0)
    assert mailbox.look(59.0) == Wait(60.0)
    assert mailbox.look(60.0) == Accept(FOREST, "challenger")
