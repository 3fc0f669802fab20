"""What is published again, and what is not: of one server, and of a cluster."""

from __future__ import annotations

import json
import time

from podium.streams import receipts as module
from podium.streams.receipts import Receipts
from podium.streams.wire import Message

KEPT = json.dumps({"stream": "podium-e", "seq": 7}).encode()
FULL = json.dumps(
    {"error": {"code": 503, "err_code": 10077, "description": "maximum bytes exceeded"}}
).encode()
NO_LEADER = json.dumps({"error": {"code": 503, "err_code": 10008, "description": "unavailable"}}).encode()
LATER = module.AGAIN_SECONDS + 0.1


class Broker:
    """One connection's receipts, and the answers to them."""

    def __init__(self, *, each: bool) -> None:
        self.lost = 0
        self.receipts = Receipts(self._lose)
        self.receipts.restart("inbox", each=each)

    def _lose(self, count: int) -> None:
        self.lost += count

    def publish(self, *payloads: bytes) -> list[str]:
        """The reply subjects."""
        return [self.receipts.remember(payload) for payload in payloads]

    def say(self, reply: str, payload: bytes = KEPT) -> None:
        self.receipts.on_receipt(Message(payload, reply, "", "" if payload else "503"))

    @property
    def again(self) -> list[bytes]:
        return [payload for _, payload, _ in self.receipts.after(0)]

    @property
    def late(self) -> list[bytes]:
        return [payload for payload, _ in self.receipts.late(time.monotonic() + LATER)]


def test_one_server_confirms_all_up_to_a_message_and_is_asked_now_and_then() -> None:
    broker = Broker(each=False)
    replies = broker.publish(b"1", b"2", b"3")
    assert replies == ["inbox.1", "", ""]
    broker.say("inbox.2")
    assert broker.again == [b"3"]
    assert broker.late == []


def test_a_cluster_confirms_each_message_by_itself() -> None:
    broker = Broker(each=True)
    assert broker.publish(b"1", b"2", b"3") == ["inbox.1", "inbox.2", "inbox.3"]
    broker.say("inbox.3")
    assert broker.again == [b"1", b"2"]
    assert broker.receipts.open == 2


def test_what_a_cluster_has_not_confirmed_for_a_while_is_published_again_until_it_has() -> None:
    broker = Broker(each=True)
    broker.publish(b"1", b"2")
    assert list(broker.receipts.late(time.monotonic())) == []
    broker.say("inbox.2")
    now = time.monotonic()
    for turn in (1, 2):
        assert [*broker.receipts.late(now + turn * LATER)] == [(b"1", "inbox.1")]
        assert not [*broker.receipts.late(now + turn * LATER)], "not twice in a row"
    broker.say("inbox.1")
    assert not [*broker.receipts.late(now + 3 * LATER)]


def test_it_is_published_again_a_part_at_a_time() -> None:
    broker = Broker(each=True)
    broker.publish(*[bytes(module.AGAIN_BYTES // 2 + 1)] * 5)
    assert len(broker.late) == 2


def test_a_choice_of_leaders_loses_nothing_and_a_full_stream_does() -> None:
    broker = Broker(each=True)
    broker.publish(b"1", b"2", b"3")
    broker.say("inbox.1", b"")
    broker.say("inbox.2", NO_LEADER)
    assert (broker.again, broker.lost) == ([b"1", b"2", b"3"], 0)
    broker.say("inbox.3", FULL)
    assert (broker.again, broker.lost) == ([b"1", b"2"], 1)


def test_one_server_that_keeps_nothing_has_lost_all_up_to_there() -> None:
    broker = Broker(each=False)
    broker.publish(b"1", b"2")
    broker.say("inbox.2", b"")
    assert (broker.again, broker.lost) == ([], 2)


def test_nothing_is_overdue_while_receipts_come() -> None:
    broker = Broker(each=True)
    broker.publish(b"1", b"2")
    later = time.monotonic() + module.OVERDUE_SECONDS + 0.1
    assert broker.receipts.overdue(later) == 2
    broker.say("inbox.1")
    broker.say("inbox.2")
    assert broker.receipts.overdue(later) == 0
