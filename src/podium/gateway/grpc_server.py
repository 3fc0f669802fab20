"""gRPC's C core, in the gateway's event loop beside HTTP's server.

`grpc.aio` takes one call at a time from the core, through three threads, before it takes the next: four times
the processor time, and frames of one request where the processor is busy (docs/decisions/0014-grpc.md).
Here calls are taken by the dozen. The classes are those that grpcio's blocking server uses.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Any

from grpc._cython import cygrpc

from podium.errors import NodeError, SlowBody
from podium.gateway.grpc_call import Call, Method
from podium.run import Limits

log = logging.getLogger(__name__)

AHEAD = 64
"""So many calls are asked of the core before they come: they arrive together, without a turn in between."""

STREAMS = 4
"""Times the limit of requests in flight: the calls that one connection may have open."""

STOP_SECONDS = 0.3
"""What was in flight has been answered before; this is for streams that their clients keep open."""

JOIN_SECONDS = 2.0


class GrpcServer:
    """Listens on an address. `async with` starts it, and at the end lets nothing new in.

    Each gateway has a socket of its own on the same port, and the system shares connections out.
    """

    def __init__(self, methods: Mapping[str, Method], address: str, limits: Limits) -> None:
        self._methods = methods
        self._address = address
        self._limits = limits
        self._reading: dict[Call, None] = {}
        self._before: dict[Call, None] = {}
        self._running = False

    async def __aenter__(self) -> GrpcServer:
        """Raises NodeError where nobody can listen there."""
        self._loop = asyncio.get_running_loop()
        self._queue = cygrpc.CompletionQueue()
        self._server = cygrpc.Server(_options(self._limits), False)
        self._server.register_completion_queue(self._queue)
        try:
            self.port: int = self._server.add_http2_port(self._address.encode())
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise NodeError(f"cannot listen for gRPC on {self._address}")
        self._server.start()
        self._running = True
        for _ in range(AHEAD):
            self._accept()
        self._poller = Thread(target=_Poller(self._queue, self._loop).run, name="grpc", daemon=True)
        self._poller.start()
        self._clock = asyncio.create_task(self._turn(), name="gateway grpc bodies")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        self._clock.cancel()
        ended = asyncio.Event()
        self._server.shutdown(self._queue, lambda _event: ended.set())
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await ended.wait()
        self._server.cancel_all_calls()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await ended.wait()
        self._queue.shutdown()
        await asyncio.to_thread(self._poller.join, JOIN_SECONDS)
        self._server.destroy()

    def _accept(self) -> None:
        self._server.request_call(self._queue, self._queue, self._on_call)

    def _on_call(self, event: Any) -> None:
        if not event.success:  # the server is stopping
            return
        if self._running:
            self._accept()
        name = event.call_details.method.decode("ascii", "replace")
        Call(event, self._reading).serve(self._methods.get(name), name)

    async def _turn(self) -> None:
        """Whoever has not sent its message after a whole turn is cut off."""
        while True:
            await asyncio.sleep(self._limits.body_seconds)
            for call in list(self._before):
                call.fail(SlowBody(f"the message did not arrive within {self._limits.body_seconds:g} s"))
            self._before, self._reading = self._reading, {}


class _Poller:
    """Brings the core's events from a thread of its own into the event loop, all that are there at a time."""

    def __init__(self, queue: Any, loop: AbstractEventLoop) -> None:
        self._queue = queue
        self._loop = loop
        self._events: deque[Any] = deque()
        self._called = False

    def run(self) -> None:
        """In its thread, until the queue is shut down."""
        while True:
            event = self._queue.poll()
            if event.completion_type == cygrpc.CompletionType.queue_shutdown:
                return
            self._events.append(event)
            if not self._called:
                self._called = True
                self._loop.call_soon_threadsafe(self._handle)

    def _handle(self) -> None:
        self._called = False  # before the events are taken, so that one that comes meanwhile calls again
        while self._events:
            event = self._events.popleft()
            tag: Callable[[Any], None] = event.tag
            try:
                tag(event)
            except Exception:
                log.exception("an event of gRPC's core")


def _options(limits: Limits) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.max_send_message_length", -1),
        # Far above what is let in: the core refuses what is beyond it without a word of ours.
        ("grpc.max_concurrent_streams", STREAMS * limits.in_flight),
        ("grpc.server.max_pending_requests", STREAMS * limits.in_flight),
        ("grpc.server.max_pending_requests_hard_limit", STREAMS * limits.in_flight),
        ("grpc.server_handshake_timeout_ms", int(limits.header_seconds * 1000)),
    )
