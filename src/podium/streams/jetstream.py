"""JetStream's requests, as far as the stream's adapter needs them: create, read, purge.

They are JSON over the same connection: https://docs.nats.io/reference/reference-protocols/nats_api_reference
"""

from __future__ import annotations

import asyncio
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
NOTHING_MORE = ("404", "408")
"""The server's statuses for a reader that has all there is, or has waited long enough."""


async def ensure_stream(
    wire: Wire, name: str, subjects: Sequence[str], *, max_bytes: int, replicas: int
) -> None:
    """Create the stream that keeps what is published, unless it is there.

    A stream that is made anew starts at the clock, so that its positions lie past those of any
    stream before it, and readers that remember a position stay right.
    """
    answer = await _ask(
        wire,
        f"STREAM.CREATE.{name}",
        {
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
        },
    )
    # Where it exists it has another first position.
    if answer.get("error", {}).get("err_code", OTHER_CONFIGURATION) != OTHER_CONFIGURATION:
        raise StreamAway(f"the message stream cannot be made: {answer['error']['description']}")


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

    def __init__(self, wire: Wire, request: str, position: int) -> None:
        self.position = position
        self._wire = wire
        self._request = request
        self._inbox = new_inbox()
        self._found: list[Kept] = []
        self._wanted = 0
        self._told: asyncio.Future[None] | None = None
        self._sid = wire.listen(self._inbox, self._on_message)

    @classmethod
    async def open(cls, wire: Wire, stream: str, after: int) -> Reader:
        config = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": max(1, after + 1),
            "ack_policy": "none",
            "inactive_threshold": FORGOTTEN_SECONDS * SECOND,
        }
        asked = {"stream_name": stream, "config": config}
        made = _checked(await _ask(wire, f"CONSUMER.CREATE.{stream}", asked))
        return cls(wire, f"{API}.CONSUMER.MSG.NEXT.{stream}.{made['name']}", after)

    async def next(self, limit: int, wait: float) -> list[Kept]:
        """What is there, up to `limit`; if nothing is, what comes first within `wait` seconds."""
        await self._pull(limit, {"no_wait": True}, REQUEST_SECONDS)
        if not self._found:
            await self._pull(1, {"expires": int(wait * SECOND)}, wait + REQUEST_SECONDS)
        found, self._found = self._found, []
        if found:
            self.position = found[-1].position
        return found

    async def _pull(self, limit: int, how: dict[str, Any], seconds: float) -> None:
        self._wanted = limit
        self._told = told = self._wire.answer()
        self._wire.publish(self._request, json.dumps({"batch": limit, **how}).encode(), self._inbox)
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


async def _ask(wire: Wire, what: str, request: Mapping[str, Any]) -> dict[str, Any]:
    answer = await wire.request(f"{API}.{what}", json.dumps(request).encode(), seconds=REQUEST_SECONDS)
    found: dict[str, Any] = json.loads(answer)
    return found


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if error := answer.get("error"):
        raise StreamAway(f"the message stream says {error.get('description', error)}")
    return answer
