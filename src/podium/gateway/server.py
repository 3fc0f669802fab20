"""The gateway's process: the HTTP routes on a socket, from start to a clean stop."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress

from podium.counters import Board
from podium.gateway.callers import Callers
from podium.gateway.http import HttpGateway
from podium.gateway.http1 import Http1Server
from podium.gateway.large import LargeInputs, Room
from podium.gateway.limits import Bodies
from podium.gateway.outcomes import Outcomes
from podium.gateway.predict import Predictor
from podium.gateway.probes import Probes
from podium.gateway.training import Training
from podium.run import Run
from podium.streams.base import Stream
from podium.streams.objects import ObjectStore
from podium.streams.policies import PolicyStore

log = logging.getLogger(__name__)

DRAIN_SECONDS = 4.5
CLOSE_SECONDS = 1.0
BACKLOG = 1024


async def serve(
    run: Run,
    stream: Stream,
    policies: PolicyStore,
    store: ObjectStore,
    board: Board,
    *,
    fd: int,
    stop: asyncio.Event,
    grpc: str | None = None,
) -> None:
    """Answer on the listening socket `fd` until `stop`, then answer what is in flight and return.

    The supervisor has opened that socket, and it outlives a gateway: connections that arrive while
    one restarts are not refused.

    `grpc` is the address of that side, `HOST:PORT`; None where there is none.
    """
    _allow_many_connections()
    async with AsyncExitStack() as stack:
        large = LargeInputs(run.large, store)
        room = Room(run.large.memory_bytes)
        predictor = await stack.enter_async_context(_predictor(run, stream, board, large))
        await policies.follow(predictor.follow)
        callers = Callers(board, required=run.keys_required)
        await policies.follow_keys(callers.follow)
        probes = await stack.enter_async_context(
            Probes(
                predictor.policy,
                stream,
                contenders=predictor.policy.scoring,
                ready=board.gauge("ready").set,
            )
        )
        bodies = await stack.enter_async_context(Bodies(run.limits, room))
        outcomes = await stack.enter_async_context(
            Outcomes(run, stream, board, revision=lambda: predictor.policy.revision)
        )
        if grpc:
            await stack.enter_async_context(_grpc_server(run, predictor, probes, room, grpc, callers=callers))
        training = Training(run, stream)
        http = HttpGateway(
            run, predictor, probes, bodies, callers=callers, outcomes=outcomes, training=training
        )
        listener = socket.socket(fileno=fd)
        server = await stack.enter_async_context(
            Http1Server(http.__rsgi__, listener, head_seconds=run.limits.header_seconds, backlog=BACKLOG)
        )
        stopped = asyncio.create_task(stop.wait(), name="gateway stop")
        await asyncio.wait({stopped, server.clock, *predictor.tasks}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(predictor.drain(DRAIN_SECONDS), outcomes.drain(DRAIN_SECONDS))
        await server.stop(CLOSE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await large.settle()
        for failed in (task for task in predictor.tasks if task.done()):
            failed.result()  # raises; the supervisor starts this process anew


def _predictor(run: Run, stream: Stream, board: Board, large: LargeInputs) -> Predictor:
    if run.features is None:
        return Predictor(run, stream, board, large)
    from podium.gateway.features.predictor import FeaturedPredictor  # only who has features needs it

    return FeaturedPredictor(run, run.features, stream, board, large)


def _grpc_server(
    run: Run, predictor: Predictor, probes: Probes, room: Room, address: str, *, callers: Callers
) -> AbstractAsyncContextManager[object]:
    from podium.gateway.grpc import GrpcGateway  # an extra: `podium up` has checked that it is installed
    from podium.gateway.grpc_server import GrpcServer

    gateway = GrpcGateway(run, predictor, probes, room, callers=callers)
    return GrpcServer(gateway.methods(), address, run.limits)


def _allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
