"""One gRPC call, on gRPC's C core: what its client sent, and what goes back.

The core works in batches of operations. Each batch ends as an event, and what was given as its tag is called
with that event, in the event loop (`podium.gateway.grpc_server`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import Future, Task
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from grpc import StatusCode
from grpc._cython import cygrpc

from podium.errors import BadInput, MethodNotAllowed, PodiumError
from podium.gateway.grpc_statuses import PROBLEM, code_of, details_of
from podium.gateway.problems import INTERNAL, INTERNAL_DETAIL, kind_of

log = logging.getLogger(__name__)

Metadata: TypeAlias = tuple[tuple[str, str], ...]

_NO_FLAGS = 0
_OK = StatusCode.OK


@dataclass(frozen=True, slots=True)
class Unary:
    """A method with one message in and one out."""

    answer: Callable[[bytes, Call], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Streaming:
    """A method with any number of messages in and out."""

    answers: Callable[[AsyncIterator[bytes], Call], AsyncIterator[bytes]]


Method: TypeAlias = Unary | Streaming
"""How a method answers; it may raise PodiumError, which becomes the call's status."""


class Call:
    """A call under way. `trailing` is metadata to go out with its answer.

    Until its message is here, a call with one message is in `reading`. The core's own call is let go of as
    soon as this one has ended: a traceback can keep this one until the garbage collector comes, and the core
    counts the calls that are there, and refuses what is too many for a connection.
    """

    __slots__ = ("_core", "_deadline", "_reading", "_started", "_task", "metadata", "trailing")

    def __init__(self, event: Any, reading: MutableMapping[Call, None]) -> None:
        self.metadata: dict[str, Any] = dict(event.invocation_metadata)
        self.trailing: Metadata = ()
        self._core = event.call
        self._deadline: float = event.call_details.deadline
        self._reading = reading
        self._started = False
        self._task: Task[None] | None = None

    def time_remaining(self) -> float:
        """Seconds until the client's own deadline; without one, more than anybody waits."""
        return self._deadline - time.time()

    def serve(self, method: Method | None, name: str) -> None:
        """Begin to answer; None is a method that is not there."""
        self._core.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), self._on_close)
        match method:
            case Unary():
                self._reading[self] = None
                self._core.start_server_batch((_receive(),), partial(self._on_message, method))
            case Streaming():
                self._start(self._answer_stream(method))
            case None:
                self.fail(MethodNotAllowed(f"there is no method {name}", ()))

    def fail(self, error: PodiumError) -> None:
        """End it with the status of this error."""
        self._refuse(code_of(error), details_of(error), kind_of(error).slug)

    # --- one message ------------------------------------------------------------------------

    def _on_message(self, method: Unary, event: Any) -> None:
        self._reading.pop(self, None)
        body = event.batch_operations[0].message()
        if body is not None:
            self._start(self._answer(method, body))
        else:
            self.fail(BadInput("the call has no message", expected="one"))

    async def _answer(self, method: Unary, body: bytes) -> None:
        try:
            reply = await method.answer(body, self)
        except PodiumError as error:
            self.fail(error)
        except Exception:
            self._crash()
        else:
            self._finish(_OK, "", cygrpc.SendMessageOperation(reply, _NO_FLAGS))

    # --- many messages ----------------------------------------------------------------------

    async def _answer_stream(self, method: Streaming) -> None:
        try:
            async for reply in method.answers(self._bodies(), self):
                await self._send(reply)
        except PodiumError as error:
            self.fail(error)
        except Exception:
            self._crash()
        else:
            self._finish(_OK, "")

    async def _bodies(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._event((_receive(),))
            body = event.batch_operations[0].message()
            if body is None:
                return
            yield body

    async def _send(self, reply: bytes) -> None:
        """Returns when the core has taken it, which waits for a client that reads slowly."""
        message = cygrpc.SendMessageOperation(reply, _NO_FLAGS)
        await self._event((*self._beginning(), message))

    async def _event(self, operations: tuple[Any, ...]) -> Any:
        """Begin a batch and wait for its event."""
        if self._core is None:
            raise asyncio.CancelledError  # the client has gone
        ended: Future[Any] = asyncio.get_running_loop().create_future()

        def on_event(event: Any) -> None:
            if not ended.done():  # who waited may have been cancelled
                ended.set_result(event)

        self._core.start_server_batch(operations, on_event)
        return await ended

    # --- all of them ------------------------------------------------------------------------

    def _start(self, answering: Coroutine[Any, Any, None]) -> None:
        if self._core is None:
            answering.close()
        else:
            self._task = asyncio.get_running_loop().create_task(answering)

    def _beginning(self) -> tuple[Any, ...]:
        """What goes out before anything else does."""
        if self._started:
            return ()
        self._started = True
        return (cygrpc.SendInitialMetadataOperation((), _NO_FLAGS),)

    def _crash(self) -> None:
        log.exception("a gRPC call failed")
        self._refuse(StatusCode.INTERNAL, INTERNAL_DETAIL, INTERNAL.slug)

    def _refuse(self, code: StatusCode, details: str, slug: str) -> None:
        self.trailing = ((PROBLEM, slug),)
        self._finish(code, details)

    def _finish(self, code: StatusCode, details: str, *last: Any) -> None:
        core, self._core = self._core, None
        if core is None:  # its client has gone
            return
        status = cygrpc.SendStatusFromServerOperation(
            self.trailing, code.value[0], details.encode(), _NO_FLAGS
        )
        core.start_server_batch((*self._beginning(), *last, status), partial(_let_go, core))

    def _on_close(self, event: Any) -> None:
        """The client has cancelled the call, or let go of it in another way; or all is well."""
        self._reading.pop(self, None)
        task, self._task = self._task, None
        if event.batch_operations[0].cancelled() and self._core is not None:
            self._core = None
            if task is not None:
                task.cancel()


def _receive() -> Any:
    """A new one each time: an operation holds what it brings."""
    return cygrpc.ReceiveMessageOperation(_NO_FLAGS)


def _let_go(_core: Any, _event: Any) -> None:
    """The core's call had to be there until now."""
