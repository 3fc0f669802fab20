"""JetStream's requests, as far as the adapters need them: create, read, purge.

They are JSON over the same connection: https://docs.nats.io/reference/reference-protocols/nats_api_reference
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from podium.errors import StreamAway
from podium.streams.base import Kept
from podium.streams.wire import Message, Wire, new_inbox

API = "$JS.API"
REQUEST_SECONDS = 5.0
SECOND = 1_000_000_000
"""In nanoseconds, which JetStream counts in."""

FORGOTTEN_SECONDS = 60
"""A consumer that nobody asks for so long is dropped by the server."""

OTHER_CONFIGURATION = 10058
NO_LEADER = 10008
UNAVAILABLE = 503
NO_ROOM = frozenset({10023, 10028, 10047, 10077})
"""The server's codes for: no resources, no memory, no storage, the stream's own bytes are used up."""

NO_MESSAGE = 10037
NOTHING_MORE = ("404", "408")
"""The server's statuses for a reader that has all there is, or has waited long enough."""


async def ensure_stream(
    wire: Wire, name: str, subjects: Sequence[str], *, max_bytes: int, replicas: int, seconds: float
) -> None:
    """Create the stream that keeps what is published, unless it is there.

    A stream that is made anew starts at the clock, so that its positions lie past those of any
    stream before it, and readers that remember a position stay right.
    Raises NoLeader, StreamAway.
    """
    config = {
        "name": name,
        "subjects": subjects,
        "retention": "limits",
        "discard": "new",  # never drop what is not archived; refuse, loudly
        "storage": "file",
        "num_replicas": replicas,
        "max_bytes": max_bytes,
        "max_msgs": -1,
        "max_consumers": -1,
        "duplicate_window": SECOND,
        "first_seq": time.time_ns() // 1000,
    }
    try:
        answer = await _ask(wire, f"STREAM.CREATE.{name}", config, seconds=seconds)
    except TimeoutError:
        raise NoLeader("the message stream cannot be made yet: nobody answers") from None
    # Where it exists it has another first position.
    code = answer.get("error", {}).get("err_code", OTHER_CONFIGURATION)
    if code == NO_LEADER:
        raise NoLeader(f"the message stream cannot be made yet: {answer['error']['description']}")
    if code != OTHER_CONFIGURATION:
        raise StreamAway(f"the message stream cannot be made: {answer['error']['description']}")


def is_passing(error: Mapping[str, Any]) -> bool:
    """Whether the server could not keep a message for the moment only, as while there is no leader."""
    return error.get("code") == UNAVAILABLE and error.get("err_code") not in NO_ROOM


class NoLeader(StreamAway):
    """The servers of a cluster are choosing who decides, or too few of them are there."""


class NoRoom(StreamAway):
    """There is no room in a stream, or for one; says the server's word."""


async def ensure_bucket(wire: Wire, bucket: str, *, ttl: float, max_bytes: int, replicas: int) -> None:
    """Create an object store, or give the one that is there these bounds. Raises StreamAway, NoRoom."""
    config = {
        "name": f"OBJ_{bucket}",
        "subjects": [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
        "retention": "limits",
        "discard": "new",  # what a contender is about to fetch must not make room for what comes later
        "storage": "file",
        "num_replicas": replicas,
        "max_bytes": max_bytes,
        "max_age": int(ttl * SECOND),
        "duplicate_window": SECOND,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }
    answer = await _ask(wire, f"STREAM.CREATE.{config['name']}", config)
    if answer.get("error", {}).get("err_code") == OTHER_CONFIGURATION:
        answer = await _ask(wire, f"STREAM.UPDATE.{config['name']}", config)
    _checked(answer)


async def message_at(wire: Wire, name: str, subject: str) -> bytes | None:
    """The newest message of a subject; None where there is none. Raises StreamAway, TimeoutError."""
    answer = await _ask(wire, f"STREAM.MSG.GET.{name}", {"last_by_subj": subject})
    if answer.get("error", {}).get("err_code") == NO_MESSAGE:
        return None
    return base64.b64decode(_checked(answer)["message"]["data"])


async def purge_subject(wire: Wire, name: str, subject: str) -> None:
    """Forget the messages of a subject. Raises StreamAway, TimeoutError."""
    _checked(await _ask(wire, f"STREAM.PURGE.{name}", {"filter": subject}))


def receipt(message: Message) -> None:
    """Raises NoRoom or StreamAway unless this says that a message was kept."""
    if message.status:
        raise StreamAway(f"nobody keeps what was published ({message.status})")
    _checked(json.loads(message.payload))


async def purge(wire: Wire, name: str, upto: int) -> None:
    """Forget the messages up to this position. Raises StreamAway, TimeoutError."""
    _checked(await _ask(wire, f"STREAM.PURGE.{name}", {"seq": upto + 1}))


async def last_position(wire: Wire, name: str) -> int:
    """The newest kept message's; 0 where none is kept. Raises StreamAway, TimeoutError."""
    state = _checked(await _ask(wire, f"STREAM.INFO.{name}", {}))["state"]
    return int(state["last_seq"]) if state["messages"] else 0


class Reader:
    """A consumer of the kept messages from one position on; it needs no acknowledgements.

    Its methods raise StreamAway and TimeoutError, after which it is of no more use.
    """

    def __init__(self, wire: Wire, consumer: str, position: int) -> None:
        self.position = position
        self._wire = wire
        self._consumer = consumer
        self._inbox = new_inbox()
        self._found: list[Kept] = []
        self._wanted = 0
        self._told: asyncio.Future[None] | None = None
        self._sid = wire.listen(self._inbox, self._on_message)

    @classmethod
    async def open(cls, wire: Wire, stream: str, after: int, *, subject: str = "") -> Reader:
        """Of all subjects, or of one."""
        config = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": max(1, after + 1),
            "ack_policy": "none",
            "inactive_threshold": FORGOTTEN_SECONDS * SECOND,
            **({"filter_subject": subject} if subject else {}),
        }
        asked = {"stream_name": stream, "config": config}
        made = _checked(await _ask(wire, f"CONSUMER.CREATE.{stream}", asked))
        return cls(wire, f"{stream}.{made['name']}", after)

    async def next(self, limit: int, wait: float) -> list[Kept]:
        """What is there, up to `limit`; if nothing is, what comes first within `wait` seconds."""
        await self._pull(limit, {"no_wait": True}, REQUEST_SECONDS)
        if not self._found and wait:
            await self._pull(1, {"expires": int(wait * SECOND)}, wait + REQUEST_SECONDS)
        found, self._found = self._found, []
        if found:
            self.position = found[-1].position
        return found

    async def _pull(self, limit: int, how: dict[str, Any], seconds: float) -> None:
        self._wanted = limit
        self._told = told = self._wire.answer()
        request = f"{API}.CONSUMER.MSG.NEXT.{self._consumer}"
        self._wire.publish(request, json.dumps({"batch": limit, **how}).encode(), self._inbox)
        async with asyncio.timeout(seconds):
            await told

    def _on_message(self, message: Message) -> None:
        if message.status:
            self._end(message.status)
            return
        # The reply subject of a consumer's message is $JS.ACK.stream.consumer.delivered.position.…
        self._found.append(Kept(int(message.reply.split(".")[5]), message.payload))
        if len(self._found) == self._wanted:
            self._end("")

    def _end(self, status: str) -> None:
        if self._told is None or self._told.done():
            return
        if status in ("", *NOTHING_MORE):
            self._told.set_result(None)
        else:
            self._told.set_exception(StreamAway(f"the message stream cannot be read ({status})"))

    def close(self) -> None:
        self._wire.forget(self._sid)

    def drop(self) -> None:
        """The same, and the server need not remember it either."""
        if not self._wire.closed:
            self._wire.publish(f"{API}.CONSUMER.DELETE.{self._consumer}", b"")
        self.close()


async def _ask(
    wire: Wire, what: str, request: Mapping[str, Any], *, seconds: float = REQUEST_SECONDS
) -> dict[str, Any]:
    answer = await wire.request(f"{API}.{what}", json.dumps(request).encode(), seconds=seconds)
    found: dict[str, Any] = json.loads(answer)
    return found


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if error := answer.get("error"):
        if error.get("err_code") in NO_ROOM:
            raise NoRoom(error.get("description", ""))
        raise StreamAway(f"the message stream says {error.get('description', error)}")
    return answer
