"""The gateway's process: granian around the HTTP routes, from start to a clean stop."""

from __future__ import annotations

import asyncio
import logging
import resource
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from granian._granian import SocketHolder
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from podium.counters import Board
from podium.gateway.http import HttpGateway
from podium.gateway.limits import Bodies
from podium.gateway.outcomes import Outcomes
from podium.gateway.predict import Predictor
from podium.gateway.probes import Probes
from podium.gateway.training import Training
from podium.run import Run
from podium.streams.base import Stream
from podium.streams.policies import PolicyStore

log = logging.getLogger(__name__)

DRAIN_SECONDS = 4.5
CLOSE_SECONDS = 1.0
BACKLOG = 1024
CONNECTIONS = 1 << 16


async def serve(
    run: Run,
    stream: Stream,
    policies: PolicyStore,
    board: Board,
    *,
    fd: int,
    stop: asyncio.Event,
    grpc: str | None = None,
) -> None:
    """Answer on the listening socket `fd` until `stop`, then answer what is in flight and return.

    `grpc` is the address of that side, `HOST:PORT`; None where there is none.
    """
    _allow_many_connections()
    async with AsyncExitStack() as stack:
        predictor = await stack.enter_async_context(Predictor(run, stream, board))
        await policies.follow(predictor.follow)
        probes = await stack.enter_async_context(
            Probes(
                predictor.policy,
                stream,
                contenders=predictor.policy.scoring,
                ready=board.gauge("ready").set,
            )
        )
        bodies = await stack.enter_async_context(Bodies(run.limits))
        outcomes = await stack.enter_async_context(
            Outcomes(run, stream, board, revision=lambda: predictor.policy.revision)
        )
        if grpc:
            await stack.enter_async_context(_grpc_server(run, predictor, probes, grpc))
        training = Training(run, stream)
        http = HttpGateway(run, predictor, probes, bodies, outcomes=outcomes, training=training)
        server = _Server(http, fd, run)
        serving = asyncio.create_task(server.serve(), name="gateway http")
        stopped = asyncio.create_task(stop.wait(), name="gateway stop")
        await asyncio.wait({serving, stopped, *predictor.tasks}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(predictor.drain(DRAIN_SECONDS), outcomes.drain(DRAIN_SECONDS))
        await _close(server, serving)
        for failed in (task for task in predictor.tasks if task.done()):
            failed.result()  # raises; the supervisor starts this process anew


def _grpc_server(
    run: Run, predictor: Predictor, probes: Probes, address: str
) -> AbstractAsyncContextManager[object]:
    from podium.gateway.grpc import GrpcGateway  # an extra: `podium up` has checked that it is installed
    from podium.gateway.grpc_server import GrpcServer

    return GrpcServer(GrpcGateway(run, predictor, probes).methods(), address, run.limits)


async def _close(server: _Server, serving: asyncio.Task[None]) -> None:
    server.stop()  # type: ignore[no-untyped-call]  # granian has no annotation here
    done, _ = await asyncio.wait({serving}, timeout=CLOSE_SECONDS)
    if not done:  # connections that a client keeps open; the process's end closes them
        serving.cancel()
    elif error := serving.exception():
        raise error


class _Server(Server):
    """granian, in this event loop, on a socket that the supervisor has opened.

    That socket outlives a gateway: connections that arrive while one restarts are not refused.
    """

    def __init__(self, app: Any, fd: int, run: Run) -> None:
        super().__init__(
            app,
            interface=Interfaces.RSGI,
            websockets=False,
            log_enabled=False,
            # Otherwise idle or slow connections count as work, and keep the others out.
            backpressure=CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=int(run.limits.header_seconds * 1000)),
        )
        self._fd = fd

    def _init_shared_socket(self) -> None:
        # granian's stubs lack the arguments: the descriptor, whether it is a Unix socket, the backlog.
        self._shd = SocketHolder(self._fd, False, BACKLOG)  # type: ignore[call-arg, assignment]


def _allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
