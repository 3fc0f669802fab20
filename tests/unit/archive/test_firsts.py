"""A contender has one say on a frame, whoever tells."""

from __future__ import annotations

from podium.archive import firsts
from podium.archive.firsts import FirstScores

from .traffic import Process


def test_the_second_say_on_a_frame_changes_nothing_whoever_tells_it() -> None:
    worker, gateway = Process("worker-1"), Process("gateway-1")
    found = FirstScores()
    assert found.add(worker.scores(["a"], frame=7))
    assert not found.add(gateway.scores(["a"], {}, frame=7, error="no score within 5 s"))


def test_the_same_message_is_still_the_first_when_it_is_asked_about_again() -> None:
    scores = Process("worker-1").scores(["a"], frame=7)
    found = FirstScores()
    assert found.add(scores)
    assert found.add(scores)


def test_other_frames_contenders_and_gateways_have_their_own_say() -> None:
    worker = Process("worker-1")
    found = FirstScores()
    assert found.add(worker.scores(["a"], frame=7))
    assert found.add(worker.scores(["a"], frame=8))
    assert found.add(worker.scores(["a"], frame=7, model="forest"))
    assert found.add(worker.scores(["a"], frame=7, version="0a1b2c3d4e5f"))
    assert found.add(worker.scores(["a"], frame=7, origin="gateway-2"))


def test_what_is_remembered_is_bounded() -> None:
    worker = Process("worker-1")
    found = FirstScores()
    for frame in range(firsts.FRAMES_REMEMBERED + 1):
        assert found.add(worker.scores(["a"], frame=frame))
    assert found.add(worker.scores(["a"], frame=0))
    assert not found.add(worker.scores(["a"], frame=firsts.FRAMES_REMEMBERED))
