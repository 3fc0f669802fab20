"""`bench grpc`: Podium's gRPC side beside MLServer's, each asked by the same client.

The client is grpc.aio on the load's core: a closed loop, some calls under way at a time on eight connections.
Tensors are raw. MLServer is measured without and with its batching, and the better one counts. Beside the
rates stands the processor time of all of a server's processes, which other programs disturb less.
"""

import asyncio
import json
import os
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
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
from bench.serving import Running, scratch, started
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
        bench = _Bench(results, place, seconds)
        for number in range(rounds):
            for model in models:
                for entrant in ENTRANTS:
                    bench.take(number, model, entrant)
        for model in models:
            for calls in CALLS:
                say(results, _against("", "calls a second", bench.rates, model, calls))
                say(
                    results,
                    _against(", by processor time", "calls a processor second", bench.costs, model, calls),
                )
    print(f"written: {results.file}", flush=True)


Rates = dict[tuple[str, str, Model, int], list[float]]
"""By peer, setting, model and calls: one rate for each round."""


class _Bench:
    """Takes one server after the other and writes down what it sees."""

    def __init__(self, results: Results, place: Path, seconds: float) -> None:
        self.rates: Rates = defaultdict(list)
        self.costs: Rates = defaultdict(list)
        self._results = results
        self._place = place
        self._seconds = seconds

    def take(self, number: int, model: Model, entrant: Entrant) -> None:
        case = Case(peer=entrant.peer, setting=entrant.setting, model=model)
        with started(case, self._place / "peer") as running:
            running.first_answer()
            if entrant.peer.ready is not None:
                entrant.peer.ready(running.site)
            body = entrant.message(model).SerializeToString()
            port = entrant.port(running.site)
            closed_loop(port, body, calls=CALLS[0], seconds=WARM_SECONDS)
            for calls in CALLS:
                before = _processor_seconds(running)
                load = closed_loop(port, body, calls=calls, seconds=self._seconds)
                spent = _processor_seconds(running) - before
                self._keep(number, case, calls, load, spent)

    def _keep(self, number: int, case: Case, calls: int, load: Load, spent: float) -> None:
        key = (case.peer.name, case.setting, case.model, calls)
        self.rates[key].append(load.per_second)
        self.costs[key].append(load.requests / spent)
        micros = spent / load.requests * 1e6
        rate = f"{load.per_second:,.0f}/s, p50 {load.p50_ms:.2f} ms"
        print(f"{case.title}, {calls} calls: {rate}, {micros:.0f} µs of processor time", flush=True)
        self._results.add(
            Measure(
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
        )


def _processor_seconds(running: Running) -> float:
    """What all processes of the server have spent so far."""
    ticks = 0
    for pid in running.server.family():
        with suppress(OSError):  # gone meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _against(how: str, unit: str, rates: Rates, model: Model, calls: int) -> Figure:
    medians = {key: median(found) for key, found in rates.items() if key[2:] == (model, calls)}
    mine = medians.pop((PODIUM.name, "plain", model, calls))
    (_, setting, _, _), theirs = max(medians.items(), key=lambda entry: entry[1])
    note = f"{mine:,.0f} {unit} against {theirs:,.0f} of MLServer, {setting}"
    name = f"gRPC, {model}, {calls} calls at a time, against MLServer{how}"
    return Figure(name=name, value=mine / theirs, unit="×", note=note)


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
