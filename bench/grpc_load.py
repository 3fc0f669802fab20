"""`bench grpc`: Podium's gRPC side beside MLServer's, each asked by the same client.

The client is grpc.aio on the load's core: a closed loop, some calls under way at a time on eight connections.
Tensors are raw. MLServer is measured without and with its batching, and the better one counts.
"""

import asyncio
import json
import os
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import uvloop

from bench.environments import ensure
from bench.machine import describe, warnings
from bench.payloads import FEATURES, rows
from bench.peers.base import Launch, Model, Peer, Site
from bench.peers.mlserver.peer import PEER as MLSERVER
from bench.peers.podium.peer import PEER as PODIUM
from bench.plan import Case
from bench.ports import free_port
from bench.processes import LOAD_CORE
from bench.project import ENDPOINT
from bench.results import Figure, Measure, Results
from bench.running import say
from bench.serving import scratch, started
from bench.wrk import Load
from podium.protocol.inference import ModelInferRequest, ModelInferResponse

CHANNELS = 8
CALLS = (32, 128)
WARM_SECONDS = 1.0
CALL_SECONDS = 5.0
PORT = "grpc_port"
METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A server's setting, the message it is sent, and where it listens for it."""

    peer: Peer
    setting: str
    message: Callable[[Model], Any]
    port: Callable[[Site], int]


def measure(folder: Path, *, models: Sequence[Model], seconds: float, rounds: int) -> None:
    ensure("mlserver")
    machine = describe(["mlserver"], seconds=seconds, rounds=rounds, channels=CHANNELS)
    for warning in warnings(machine):
        print(f"warning: {warning}", flush=True)
    os.sched_setaffinity(0, {LOAD_CORE})
    with Results("grpc", machine, folder) as results, scratch() as place:
        seen = [
            _measure(results, place, entrant, model, number, seconds)
            for number in range(rounds)
            for model in models
            for entrant in ENTRANTS
        ]
        measures = [measure for of_one in seen for measure in of_one]
        for model in models:
            for calls in CALLS:
                say(results, _against(measures, model, calls))
    print(f"written: {results.file}", flush=True)


def _measure(
    results: Results, place: Path, entrant: Entrant, model: Model, number: int, seconds: float
) -> list[Measure]:
    case = Case(peer=entrant.peer, setting=entrant.setting, model=model)
    with started(case, place / "peer") as running:
        running.first_answer()
        if entrant.peer.ready is not None:
            entrant.peer.ready(running.site)
        body = entrant.message(model).SerializeToString()
        port = entrant.port(running.site)
        closed_loop(port, body, calls=CALLS[0], seconds=WARM_SECONDS)
        measures = [
            _measured(case, number, calls, closed_loop(port, body, calls=calls, seconds=seconds))
            for calls in CALLS
        ]
    for found in measures:
        print(f"{case.title}, {found.load}: {found.per_second:,.0f}/s, p50 {found.p50_ms:.2f} ms", flush=True)
        results.add(found)
    return measures


def _measured(case: Case, number: int, calls: int, load: Load) -> Measure:
    return Measure(
        round=number,
        peer=case.peer.name,
        setting=case.setting,
        model=case.model,
        wire="grpc",
        load=f"grpc {calls}",
        per_second=load.per_second,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        errors=load.errors,
        constant=None,
    )


def _against(measures: Sequence[Measure], model: Model, calls: int) -> Figure:
    rates = {
        (entrant.peer.name, entrant.setting): median(
            found.per_second
            for found in measures
            if (found.peer, found.setting) == (entrant.peer.name, entrant.setting)
            and (found.model, found.load) == (model, f"grpc {calls}")
        )
        for entrant in ENTRANTS
    }
    mine = rates.pop((PODIUM.name, "plain"))
    (_, setting), theirs = max(rates.items(), key=lambda entry: entry[1])
    note = f"{mine:,.0f}/s against {theirs:,.0f}/s of MLServer, {setting}"
    return Figure(
        name=f"gRPC, {model}, {calls} calls, against MLServer", value=mine / theirs, unit="×", note=note
    )


# --- the client -------------------------------------------------------------------------------


def closed_loop(port: int, body: bytes, *, calls: int, seconds: float) -> Load:
    """So many calls under way at any time, each followed at once by the next."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_closed_loop(port, body, calls, seconds))


async def _closed_loop(port: int, body: bytes, calls: int, seconds: float) -> Load:
    # Otherwise the channels of one process share a connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(CHANNELS)]
    latencies: list[float] = []
    failed: list[str] = []
    end = time.perf_counter() + seconds

    async def caller(channel: grpc.aio.Channel) -> None:
        method = channel.unary_unary(METHOD)
        while (start := time.perf_counter()) < end:
            try:
                ModelInferResponse.FromString(await method(body, timeout=CALL_SECONDS))
            except grpc.aio.AioRpcError as error:
                failed.append(error.details() or "")
            else:
                latencies.append(time.perf_counter() - start)

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            group.create_task(caller(channels[number % CHANNELS]))
    for channel in channels:
        await channel.close()
    if not latencies:
        raise RuntimeError(f"no call was answered: {failed[-1:]}")
    latencies.sort()
    return Load(
        requests=len(latencies),
        per_second=len(latencies) / seconds,
        p50_ms=latencies[len(latencies) // 2] * 1e3,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
        errors=len(failed),
    )


# --- the servers ------------------------------------------------------------------------------


def _podium_message(model: Model) -> Any:
    """Each in the form of its project's schema: one field, ten fields, or a tensor."""
    given = rows(model)
    message = ModelInferRequest(model_name=ENDPOINT)
    if model == "rows":
        _add(message, "x", given)
    else:
        names = ("bmi",) if model == "linear" else FEATURES
        for place, name in enumerate(names):
            _add(message, name, [[row[place]] for row in given])
    return message


def _mlserver_message(model: Model) -> Any:
    message = ModelInferRequest(model_name="bench")
    _add(message, "x", rows(model))
    return message


def _add(message: Any, name: str, values: Sequence[Sequence[float]]) -> None:
    message.inputs.add(name=name, datatype="FP64", shape=[len(values), len(values[0])])
    message.raw_input_contents.append(array("d", [value for row in values for value in row]).tobytes())


def _launch(site: Site, model: Model, setting: str) -> Launch:
    port = str(free_port())
    (site.scratch / PORT).write_text(port)
    launched = PODIUM.launch(site, model, setting)
    return replace(launched, argv=(*launched.argv, "--grpc-port", port))


def _podium_port(site: Site) -> int:
    return int((site.scratch / PORT).read_text())


def _mlserver_port(site: Site) -> int:
    return int(json.loads((site.scratch / "settings.json").read_text())["grpc_port"])


ENTRANTS = (
    Entrant(
        peer=replace(PODIUM, launch=_launch), setting="plain", message=_podium_message, port=_podium_port
    ),
    *(
        Entrant(peer=MLSERVER, setting=setting, message=_mlserver_message, port=_mlserver_port)
        for setting in ("in process", "batching")
    ),
)
