"""Everything ends under steady load: asked to, killed at once, or by a power cut; and starts again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.conftest import Up
from tests.system.kept import Archive, assert_each_answer_kept_once
from tests.system.load import BROKEN, REFUSED, Load
from tests.system.running import STOP_SECONDS, Node, podium, until

CALM = 0.7
UNSURE = 0.5
"""Seconds before a power cut in which an answer may have gone out that the broker had not yet read."""


def by_sigterm(node: Node) -> None:
    assert node.stop(signal.SIGTERM) == 0


def by_ctrl_c(node: Node) -> None:
    assert node.stop(signal.SIGINT) == 0


def by_down(node: Node) -> None:
    podium(node.folder, "down")
    assert node.wait() == 0


@pytest.mark.parametrize("stop", [by_sigterm, by_ctrl_c, by_down])
def test_a_node_that_stops_answers_what_is_in_flight_and_keeps_it(
    project: Path, up: Up, stop: Callable[[Node], None]
) -> None:
    node = up(project)
    with Load(node.url) as load:
        time.sleep(CALM)
        began = time.monotonic()
        stop(node)
        took = time.monotonic() - began
    assert took < STOP_SECONDS
    assert not node.left()
    assert set(load.counts) <= {200, 503, BROKEN, REFUSED}, load
    in_flight = [seen for seen in load.seen if seen.began < began - 0.1]
    assert {seen.what for seen in in_flight} == {200}, load
    assert "Stopped. Received" in node.output()
    node.start()
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") == load.answered


def test_after_a_power_cut_up_picks_up_and_doubles_nothing(project: Path, up: Up) -> None:
    node = up(project)
    with Load(node.url) as load:
        until(lambda: node.status().archived > 0)
        time.sleep(CALM)
        cut = time.monotonic()
        node.power_cut()
        until(lambda: load.counts[REFUSED] > 0)
    assert not node.left()
    assert set(load.counts) <= {200, BROKEN, REFUSED}, load
    before = load.answered
    node.start()
    with Load(node.url) as after:
        time.sleep(CALM)
    assert set(after.counts) == {200}, after
    # The stream is in order: what was kept before the cut is in the tables before this.
    until(lambda: after.answered <= Archive(node).ids("answers"), what=node.status)
    archive = Archive(node)
    for table in ("answers", "requests", "decoy"):
        assert not archive.doubled(table)
    assert not archive.doubled("scores", "model")
    lost = [seen for seen in load.seen if seen.id in before - archive.ids("answers")]
    assert all(seen.ended > cut - UNSURE for seen in lost), lost
    assert node.status().unkept == 0


def test_a_second_up_is_refused_and_the_first_one_goes_on(project: Path, up: Up) -> None:
    node = up(project)
    with Load(node.url, rate=100) as load:
        for more in ((), ("--detach",)):
            refused = podium(project, "up", "--port", "0", *more, code=1)
            assert "runs already" in refused.stderr
            assert "podium down" in refused.stderr
    assert set(load.counts) == {200}, load
    assert_each_answer_kept_once(node, load)
