"""Input frames and what the decoy saw of them find each other, whichever comes first."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from podium.archive import sightings as module
from podium.archive.entries import Door, Entry
from podium.archive.sightings import WAIT_SECONDS, Sightings, mark_of
from podium.protocol.frames import InputFrame, SeenFrame, encode

from .traffic import ENDPOINT, INPUTS, OUTPUTS, Process

DOOR = Door(ENDPOINT, INPUTS, OUTPUTS)
LARGE = [2100]


class Scene:
    """Frames are kept one after the other, at the positions 1, 2, 3, …"""

    def __init__(self) -> None:
        self.sightings = Sightings()
        self.position = 0

    def keep(self, frame: InputFrame | SeenFrame, now: float = 0.0) -> list[Entry[Any]]:
        self.position += 1
        payload = encode(frame)
        entry = DOOR.admit(self.position, payload)
        if isinstance(frame, SeenFrame):
            return list(self.sightings.seen(entry, now))
        return list(self.sightings.sent(entry, payload, now))

    def whole(self) -> int:
        return self.sightings.whole(self.position)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("first", ["the frame", "what was seen"])
def test_the_two_halves_make_the_rows_of_the_kept_frame(scene: Scene, first: str) -> None:
    gateway, decoy = Process("gateway-1"), Process("decoy-1")
    sent = gateway.input(["a"], rows=LARGE)
    halves = [sent, decoy.seen(sent)]
    one, two = halves if first == "the frame" else reversed(halves)
    assert scene.keep(one) == []
    assert scene.whole() == 0
    (entry,) = scene.keep(two)
    assert (entry.table, entry.position, entry.ids, entry.total) == ("decoy", 2, ["a"], LARGE[0])
    assert (entry.source, entry.seq) == ("decoy-1/gateway-1", 1)
    assert entry.frame == sent
    assert entry.seen == decoy.seen(sent).done
    assert scene.whole() == 2
    assert list(scene.sightings.unproven(1e9)) == []


@pytest.mark.parametrize("contenders", [{"linear@9f2c1ab04d5e": "champion"}, {}])
def test_nothing_waits_for_a_decoy_that_is_not_to_see_the_frame(
    scene: Scene, contenders: dict[str, str]
) -> None:
    scene.keep(Process().input(["a"], rows=LARGE, contenders=contenders))
    assert scene.whole() == 1


def test_a_frame_that_is_to_reach_the_decoy_waits_and_a_small_one_does_not(scene: Scene) -> None:
    gateway = Process()
    scene.keep(gateway.input(["a"], contenders={"decoy": "decoy"}))
    scene.keep(gateway.input(["b"], rows=LARGE, contenders={"decoy": "decoy"}))
    assert scene.whole() == 1


def test_bytes_that_are_not_those_that_were_kept_prove_nothing(scene: Scene) -> None:
    gateway, decoy = Process(), Process("decoy-1")
    sent = gateway.input(["a"], rows=LARGE)
    scene.keep(sent)
    assert scene.keep(decoy.seen(replace(sent, keys=["another"]))) == []
    (found,) = scene.sightings.unproven(0.0)
    assert mark_of(found) == ("decoy-1/gateway-1", 1)
    assert list(scene.sightings.unproven(0.0)) == []
    assert scene.whole() == 2


def test_what_was_seen_of_a_frame_that_never_comes_is_unproven_after_a_while(scene: Scene) -> None:
    scene.keep(Process("decoy-1").seen(Process().input(["a"], rows=LARGE)))
    assert list(scene.sightings.unproven(WAIT_SECONDS - 1)) == []
    assert scene.whole() == 0
    assert len(scene.sightings.unproven(WAIT_SECONDS)) == 1
    assert scene.whole() == 1


def test_a_frame_that_the_decoy_did_not_see_is_forgotten_after_a_while(scene: Scene) -> None:
    scene.keep(Process().input(["a"], rows=LARGE))
    assert list(scene.sightings.unproven(WAIT_SECONDS)) == []
    assert scene.whole() == 1


def test_frames_that_wait_have_a_limit_in_bytes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, decoy = Process(), Process("decoy-1")
    sent = [gateway.input([id], rows=LARGE) for id in "abc"]
    monkeypatch.setattr(module, "WAIT_BYTES", 2 * len(encode(sent[0])))
    for frame in sent:
        scene.keep(frame)
    assert scene.whole() == 1
    found = [scene.keep(decoy.seen(frame)) for frame in sent]
    assert [len(entries) for entries in found] == [0, 1, 1]


def test_what_a_returning_broker_repeats_is_neither_there_twice_nor_unproven(scene: Scene) -> None:
    gateway, decoy = Process(), Process("decoy-1")
    sent = gateway.input(["a"], rows=LARGE)
    seen = decoy.seen(sent)
    found = [scene.keep(half) for half in (sent, seen, sent, seen, seen, sent)]
    assert [len(entries) for entries in found] == [0, 1, 0, 0, 0, 0]
    assert scene.whole() == 6
    assert list(scene.sightings.unproven(WAIT_SECONDS)) == []


def test_two_decoys_and_two_gateways_keep_orders_of_their_own(scene: Scene) -> None:
    gateways = [Process("gateway-1"), Process("gateway-2")]
    decoys = [Process("decoy-1"), Process("decoy-2")]
    sent = [gateway.input([gateway.source], rows=LARGE) for gateway in gateways for _ in range(2)]
    for frame in sent:
        scene.keep(frame)
    order = [(0, sent[1]), (1, sent[0]), (0, sent[3]), (1, sent[2])]
    marks = [(e.source, e.seq) for decoy, frame in order for e in scene.keep(decoys[decoy].seen(frame))]
    assert marks == [
        ("decoy-1/gateway-1", 2),
        ("decoy-2/gateway-1", 1),
        ("decoy-1/gateway-2", 2),
        ("decoy-2/gateway-2", 1),
    ]
