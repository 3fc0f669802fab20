"""The messages that a topic's archive subscription keeps: peeked at in order, completed when trimmed.

A peek takes nothing and locks nothing, so several may read, from any position that is still there. A
position is the subscription's sequence number.
"""

from __future__ import annotations

import asyncio

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from podium.streams.base import Kept
from podium.streams.servicebus_address import translated
from podium.streams.servicebus_entities import ARCHIVE, KEPT, KEPT_PROPERTY

POLL_SECONDS = 0.1
ANSWER_SECONDS = 5.0
TRIM_BATCH = 100
MOST_PEEKED = 250
"""The service gives no more at once."""


class KeptMessages:
    """One reader's link to them. Its methods raise StreamAway."""

    def __init__(self, client: ServiceBusClient, topic: str) -> None:
        self._receiver = client.get_subscription_receiver(topic, ARCHIVE)
        self._turn = asyncio.Lock()  # the SDK answers one question after the other
        self._known = 0

    async def close(self) -> None:
        await self._receiver.close()

    async def read(self, after: int, limit: int, wait: float) -> list[Kept]:
        end = asyncio.get_running_loop().time() + wait
        while not (found := await self._peek(after + 1, min(limit, MOST_PEEKED))):
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return []
            await asyncio.sleep(min(POLL_SECONDS, left))
        self._known = max(self._known, _position(found[-1]))
        return [Kept(_position(message), _payload(message)) for message in found if _is_kept(message)]

    async def last(self) -> int:
        """The service does not say it: found by peeks that go on in growing steps, then in halves."""
        if not await self._peek(1, 1):
            return 0
        step, end = 1, 0
        while not end:
            found = await self._peek(self._known + step, 1)
            if found:
                self._known, step = _position(found[0]), step * 2
            else:
                end = self._known + step
        while self._known + 1 < end:
            middle = (self._known + end) // 2
            found = await self._peek(middle, 1)
            if found:
                self._known = _position(found[0])
            else:
                end = middle
        return self._known

    async def trim(self, upto: int) -> None:
        """Complete, from the oldest on; what lies past `upto` is let go as it was."""
        while first := await self._peek(1, 1):
            count = upto - _position(first[0]) + 1
            if count <= 0 or not await self._complete(upto, min(count, TRIM_BATCH)):
                return

    async def _complete(self, upto: int, count: int) -> bool:
        """Whether anything came."""
        async with self._turn:
            with translated("trimming"):
                found = await self._receiver.receive_messages(count, max_wait_time=ANSWER_SECONDS)
                settled = [
                    self._receiver.complete_message(message)
                    if _position(message) <= upto
                    else self._receiver.abandon_message(message)
                    for message in found
                ]
                await asyncio.gather(*settled)
        return bool(found)

    async def _peek(self, first: int, count: int) -> list[ServiceBusReceivedMessage]:
        async with self._turn:
            with translated("reading"):
                return await self._receiver.peek_messages(
                    count, sequence_number=first, timeout=ANSWER_SECONDS
                )


def _position(message: ServiceBusReceivedMessage) -> int:
    return int(message.sequence_number or 0)


def _payload(message: ServiceBusReceivedMessage) -> bytes:
    return b"".join(message.body)


def _is_kept(message: ServiceBusReceivedMessage) -> bool:
    """Others may have come in while the subscription was new."""
    return (message.application_properties or {}).get(KEPT_PROPERTY.encode()) in (KEPT, KEPT.encode())
