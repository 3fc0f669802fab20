"""With which policy a node starts."""

from __future__ import annotations

from msgspec.structs import replace

from podium.node.starting import newer, starting
from podium.records import Contender, Policy, Role

LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
NEWER = Contender(model="linear", version="5e5e5e5e5e5e", number=2, role=Role.CHAMPION)
WANTED = Policy(
    endpoint="diabetes",
    revision=1,
    contenders=(LINEAR,),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)),),
    from_file=True,
)
EDITED = replace(WANTED, contenders=(NEWER,))
COMMANDED = replace(WANTED, revision=5, deadline_ms=80.0, from_file=False)


def test_the_first_start_makes_the_files_policy_the_first_revision() -> None:
    start = starting(None, replace(WANTED, revision=9))
    assert (start.policy, start.new, start.changes, start.drift) == (WANTED, True, (), ())


def test_the_same_file_again_makes_no_revision() -> None:
    start = starting(replace(WANTED, revision=3, author="ada"), WANTED)
    assert (start.policy.revision, start.new) == (3, False)


def test_a_changed_file_is_the_next_revision_as_long_as_only_the_file_made_policies() -> None:
    start = starting(replace(WANTED, revision=3), EDITED)
    assert (start.policy, start.new) == (replace(EDITED, revision=4), True)
    assert start.changes == (
        "- linear@9f2c1ab04d5e leaves (champion)",
        "+ linear@5e5e5e5e5e5e joins as champion",
    )


def test_a_policy_made_by_a_command_stays_and_the_files_differences_are_told() -> None:
    start = starting(COMMANDED, WANTED)
    assert (start.policy, start.new, start.drift) == (COMMANDED, False, ("~ deadline: 80ms → 100ms",))


def test_the_file_wins_where_that_is_asked_for() -> None:
    start = starting(COMMANDED, WANTED, file_wins=True)
    assert (start.policy, start.new) == (replace(WANTED, revision=6), True)


def test_a_revision_that_the_store_has_lost_is_known_from_what_processes_were_told() -> None:
    assert newer(WANTED, COMMANDED) is COMMANDED
    assert newer(COMMANDED, WANTED) is COMMANDED
    assert newer(None, WANTED) is WANTED
    assert newer(WANTED, None) is WANTED
    assert newer(None, None) is None
