"""One subject's listener on a subscription of its own, or of its group.

Who settles for itself holds a lock on each message until then, and the lock is renewed; should its
process end, the lock does too, and another of the group gets the message. For everybody else a message
is gone from the broker once it is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from azure.servicebus import ServiceBusReceivedMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError

from podium.errors import StreamAway
from podium.streams.base import Receive
from podium.streams.servicebus_address import translated
from podium.streams.servicebus_entities import LOCK, Entities, subscription_name

log = logging.getLogger(__name__)

PREFETCH = 64
LOOK_SECONDS = 0.2
DRAIN_SECONDS = 2.0
CANCEL_SECONDS = 0.3
RENEW_SECONDS = LOCK.total_seconds() / 4
REASON_LENGTH = 1000

Failed = Callable[[Exception], None]
Sent = Callable[[int], Awaitable[bool]]
"""Returns True when the broker has taken so many messages of this connection, False when it is away."""


class Listening:
    """It survives reconnects: `open` with each new client, `finish` with its end."""

    def __init__(
        self,
        subject: str,
        receive: Receive,
        *,
        group: str,
        own: str,
        settles: bool,
        failed: Failed,
        sent: Sent,
    ) -> None:
        self.name = subscription_name(subject, group or own)
        self.shared = bool(group)
        self._subject = subject
        self._receive = receive
        self._settles = settles
        self._failed = failed
        self._sent = sent
        self._receiver: ServiceBusReceiver | None = None
        self._closing = False
        self._unsettled: deque[ServiceBusReceivedMessage | None] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, client: ServiceBusClient, entities: Entities) -> None:
        """Raises StreamAway, ProjectError without the rights."""
        await entities.listen(self.name, self._subject, shared=self.shared)
        mode = ServiceBusReceiveMode.PEEK_LOCK if self._settles else ServiceBusReceiveMode.RECEIVE_AND_DELETE
        # The receiver settles in the order of arrival: what an earlier link brought keeps its place.
        self._unsettled = deque([None] * len(self._unsettled))
        self._done: list[tuple[ServiceBusReceivedMessage, str, int]] = []
        self._told = asyncio.Event()
        self._receiver = receiver = client.get_subscription_receiver(
            entities.topic, self.name, receive_mode=mode, prefetch_count=PREFETCH
        )
        with translated(f"listening to {self._subject}"):
            await receiver.__aenter__()
        self._tasks = [self._start(self._take_all(receiver))]
        if self._settles:
            self._tasks += [self._start(self._settle_all(receiver)), self._start(self._renew_all(receiver))]

    def _start(self, what: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return asyncio.create_task(self._guard(what), name=f"service bus {self._subject}")

    async def _guard(self, what: Coroutine[None, None, None]) -> None:
        try:
            await what
        except Exception as error:
            self._failed(error)

    @property
    def owes(self) -> bool:
        """Whether it holds messages that it has not settled."""
        return self._settles and (any(self._unsettled) or bool(self._done))

    async def stop(self) -> None:
        """Take nothing more; of what is here already, everything is handed over."""
        self._closing = True
        taking = self._tasks[:1]
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(*taking, return_exceptions=True)

    async def finish(self) -> None:
        """Settle what was done with, and close the link: the rest goes to others."""
        settling = self._tasks[1:2]
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while settling and self._done and not settling[0].done():
                    await asyncio.sleep(0.01)
        await end(self._tasks)
        self._tasks = []
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            with suppress(StreamAway), translated("closing a link"):
                await receiver.close()

    # --- in ---------------------------------------------------------------------------------

    async def _take_all(self, receiver: ServiceBusReceiver) -> None:
        while True:
            found = await receiver.receive_messages(1, max_wait_time=LOOK_SECONDS)
            for message in found:
                self._take(message)
            if self._closing and (self._settles or not found):
                return
            if found:
                await asyncio.sleep(0)  # what the SDK holds already comes without a pause

    def _take(self, message: ServiceBusReceivedMessage) -> None:
        if self._settles:
            self._unsettled.append(message)
        if message.subject != self._subject:  # came in while the subscription was new
            if self._settles:
                self._unsettled.pop()
                self._settle_one(message, "", 0)
            return
        try:
            self._receive(b"".join(message.body))
        except Exception:
            log.exception("a receiver of %s failed", self._subject)

    # --- settling ---------------------------------------------------------------------------

    def settle(self, outcomes: Sequence[str], published: int) -> None:
        """Once the broker has taken what was published up to now: its score is there, or it comes again."""
        for outcome in outcomes:
            message = self._unsettled.popleft()
            if message is not None:
                self._settle_one(message, outcome, published)

    def _settle_one(self, message: ServiceBusReceivedMessage, outcome: str, published: int) -> None:
        self._done.append((message, outcome, published))
        self._told.set()

    async def _settle_all(self, receiver: ServiceBusReceiver) -> None:
        """All that wait at once: the SDK makes each wait for the broker's word."""
        while True:
            await self._told.wait()
            self._told.clear()
            while self._done:
                batch = self._done[:PREFETCH]
                if not await self._sent(batch[-1][2]):
                    return  # the scores may not be there: the message comes again
                await asyncio.gather(*(self._tell(receiver, message, why) for message, why, _ in batch))
                del self._done[: len(batch)]

    async def _tell(self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage, why: str) -> None:
        try:
            if why:
                await receiver.dead_letter_message(
                    message, reason="refused", error_description=why[:REASON_LENGTH]
                )
            else:
                await receiver.complete_message(message)
        except MessageLockLostError:
            log.warning("%s: the lock of a message was lost; it is delivered, and scored, again", self.name)

    async def _renew_all(self, receiver: ServiceBusReceiver) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            soon = datetime.now(UTC).timestamp() + LOCK.total_seconds() / 2
            for message in list(self._unsettled):
                if message and message.locked_until_utc and message.locked_until_utc.timestamp() < soon:
                    await self._renew(receiver, message)

    async def _renew(self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
        try:
            await receiver.renew_message_lock(message)
        except MessageLockLostError:
            log.warning("%s: the lock of a message was lost before it was scored", self.name)


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel, until they are done: the SDK takes a cancellation for a read that had nothing to read."""
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=CANCEL_SECONDS)
