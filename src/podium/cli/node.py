"""`podium up` and `podium down`: the whole endpoint on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import click
import msgspec
from msgspec.structs import replace

from podium import project as projects
from podium import run as runs
from podium.cli.control import STAND_BY, STAND_DOWN, author, lineup
from podium.counters import Counts, merged, total
from podium.errors import AlreadyRunning, MissingExtra, NodeError, NotRunning, UnknownVersion
from podium.jobs import TRAIN, Jobs
from podium.node.broker import Broker
from podium.node.contenders import (
    Candidate,
    Contract,
    candidates_of,
    candidates_of_file,
    check_fit,
    contract_of,
    policy_of,
)
from podium.node.guarding import Guarding
from podium.node.keeper import Keeper
from podium.node.listening import address_of, listen, reserve, url_of
from podium.node.plan import run_of, specs_of
from podium.node.process import log_name
from podium.node.staffing import Staffing
from podium.node.starting import Start, newer, starting
from podium.node.state import RUN, Lock, NodeState, ProcessState, holder, read_state
from podium.node.supervisor import Supervisor
from podium.node.trainer import Trainer
from podium.project import Project
from podium.records import Contender, Policy
from podium.registry.folder import FolderRegistry
from podium.run import Run
from podium.schema import Kind, Schema
from podium.streams.connect import connect, policies
from podium.streams.policies import PolicyStore

DOWN_SECONDS = 15.0
DETACHED_SECONDS = 120.0
POLL_SECONDS = 0.05
LAST_LINES = 6
UP_LOG = "up.log"
PORT = 8080


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where clients connect.")
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 is any free one."
)
@click.option(
    "--gateways", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes at the door."
)
@click.option(
    "--grpc-port", type=click.IntRange(0, 65535), help="Speak gRPC there too; 0 is any free one. Without: no."
)
@click.option("--detach", is_flag=True, help="Run in the background; return when it is ready.")
@click.option("--from-file", is_flag=True, help="Go back to podium.toml, whatever the live policy is.")
def up(*, host: str, port: int, gateways: int, grpc_port: int | None, detach: bool, from_file: bool) -> None:
    """Run the endpoint here: broker, gateway, a worker for each contender, archiver."""
    if grpc_port is not None:
        _check_grpc()
    folder = projects.find(Path.cwd())
    project = projects.load(folder)
    if detach:
        options = ["--host", host, "--port", str(port), "--gateways", str(gateways)]
        options += [] if grpc_port is None else ["--grpc-port", str(grpc_port)]
        _detach(project, [*options, *(["--from-file"] if from_file else [])])
        return
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    with Lock(project.run_dir):
        wanted = _wanted(project)
        source = _source(project)
        with ExitStack() as sockets:
            listening = sockets.enter_context(listen(host, port))
            held = None if grpc_port is None else sockets.enter_context(reserve(host, grpc_port))
            doors = Doors(listening, gateways, address_of(held) if held else None)
            asyncio.run(_serve(project, wanted, source, doors, file_wins=from_file))


class Doors(NamedTuple):
    """Where clients connect: HTTP's socket, how many gateways serve it, and gRPC's address, if any."""

    listening: socket.socket
    gateways: int
    grpc: str | None


class Source(NamedTuple):
    """The message stream: its URL, and the broker to run for it, unless it runs elsewhere."""

    url: str
    broker: Broker | None


def _source(project: Project) -> Source:
    if project.stream:
        return Source(project.stream, None)
    broker = Broker.choose(
        run_dir=project.run_dir,
        store=project.podium_dir / "stream",
        sync_always=project.archive.sync == "always",
    )
    return Source(broker.url, broker)


def _check_grpc() -> None:
    """Raises MissingExtra here, where somebody reads it, and not in each gateway's log."""
    for module, package in (("grpc", "grpcio"), ("grpc_reflection", "grpcio-reflection")):
        if find_spec(module) is None:
            raise MissingExtra(package, "grpc")


def _wanted(project: Project) -> Policy:
    """The project file's policy, with the newest versions where it pins none, if all of it fits."""
    candidates = candidates_of_file(FolderRegistry(project.registry_dir), project)
    _check_features(project)
    policy = policy_of(project, [each.contender for each in candidates])
    check_fit(policy, contract_of(project, candidates), candidates)
    return replace(
        policy, author=author(), changed=time.time_ns() // 1000, reason=f"{projects.FILE}, at `up`"
    )


def _check_features(project: Project) -> None:
    if project.features and project.endpoint.inputs:
        from podium.gateway.features import sources  # only who has features needs it

        sources.check(project.features, project.endpoint.inputs)


# --- in the foreground ----------------------------------------------------------------------


async def _serve(project: Project, wanted: Policy, source: Source, doors: Doors, *, file_wins: bool) -> None:
    began = time.monotonic()
    stop = asyncio.Event()
    supervisor = Supervisor(
        [source.broker.spec()] if source.broker else [],
        endpoint=project.name,
        url=url_of(doors.listening),
        grpc=doors.grpc,
        run_dir=project.run_dir,
        boards=project.counters_dir,
        logs=project.logs_dir,
        whole=False,
    )
    async with supervisor:
        before = merged(project.counters_dir)
        _on_signals(stop, supervisor)
        if not await _wait(supervisor, stop, lambda: supervisor.started):
            return
        async with (
            policies(source.url, project.name) as store,
            connect(source.url, project.name) as stream,
        ):
            run = await _run(project, wanted, source.url, store, file_wins=file_wins)
            settings = project.run_dir / RUN
            runs.save(run, settings)
            click.echo(f"{run.endpoint}: {lineup(run.policy)}")
            gateways = specs_of(
                run, settings, gateways=doors.gateways, fd=doors.listening.fileno(), grpc=doors.grpc
            )
            supervisor.add(gateways)
            async with (
                Staffing(run, settings, supervisor) as staffing,
                Guarding(run.policy, run.counters, store) as guarding,
                Trainer(Jobs(project.run_dir), project.folder) as trainer,
            ):
                supervisor.whole = True
                await store.follow(partial(_follow, run, settings, [staffing.follow, guarding.follow]))
                await stream.subscribe(STAND_BY, partial(_told_of, staffing.stand_by))
                await stream.subscribe(STAND_DOWN, partial(_told_of, staffing.stand_down))
                await stream.subscribe(TRAIN, trainer.ask)
                if await _wait(supervisor, stop, lambda: supervisor.ready):
                    click.echo(_ready_words(run, doors, time.monotonic() - began))
                await stop.wait()
        doors.listening.close()  # once the gateways are gone, clients are refused, and wait in no queue
        click.echo("Stopping: answering what is in flight, then keeping it …")
    click.echo(_totals(before, merged(project.counters_dir)))


async def _run(project: Project, wanted: Policy, stream: str, store: PolicyStore, *, file_wins: bool) -> Run:
    """Choose the policy to start with, and keep it if it is new."""
    told = _told(project)
    stored = await store.read()
    start = starting(newer(stored, told.policy if told else None), wanted, file_wins=file_wins)
    for line in start.changes:
        click.echo(f"{projects.FILE}  {line}")
    if start.drift:
        click.echo(_drift_words(project.name, start))
    candidates = _candidates(project, start)
    kept = Contract(inputs=told.inputs, outputs=told.outputs) if told and not start.new else None
    contract = contract_of(project, candidates, kept)
    check_fit(start.policy, contract, candidates)
    if stored is None or start.policy.revision > stored.revision:
        await store.write(start.policy)
    return run_of(project, start.policy, contract, stream)


def _candidates(project: Project, start: Start) -> list[Candidate]:
    """Raises UnknownVersion, with the way out, where a live policy names what is not in the registry."""
    try:
        return candidates_of(FolderRegistry(project.registry_dir), start.policy)
    except UnknownVersion as error:
        raise UnknownVersion(
            f"revision {start.policy.revision} is live and cannot be served: {error}. "
            f"`podium up --from-file` starts with {projects.FILE} instead"
        ) from None


def _told(project: Project) -> Run | None:
    """What the processes of the last run were told; None where there was none of this endpoint."""
    with suppress(OSError, msgspec.MsgspecError):
        told = runs.load(project.run_dir / RUN)
        return told if told.endpoint == project.name else None
    return None


def _drift_words(endpoint: str, start: Start) -> str:
    lines = "".join(f"\n    {line}" for line in start.drift)
    return (
        f"revision {start.policy.revision} is live, made by {start.policy.author} ({start.policy.reason}). "
        f"{projects.FILE} would change:{lines}\n"
        f"  `podium apply {endpoint}` does that; `podium up --from-file` starts with it"
    )


def _follow(run: Run, settings: Path, followers: Sequence[Callable[[Policy], None]], policy: Policy) -> None:
    """Told of a revision: everybody here follows it, and processes that start from now on are told it."""
    for follow in followers:
        follow(policy)
    try:
        runs.save(replace(run, policy=policy), settings)
    except OSError as error:  # a full disk: gateways follow the store itself
        logging.error("%s cannot be written: %s", settings, error)


def _told_of(do: Callable[[Contender], None], payload: bytes) -> None:
    with suppress(msgspec.MsgspecError):
        do(msgspec.msgpack.decode(payload, type=Contender))


def _on_signals(stop: asyncio.Event, supervisor: Supervisor) -> None:
    """The first asks for a clean stop, the second for an end at once."""

    def asked() -> None:
        if stop.is_set():
            supervisor.kill_all()
        stop.set()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, asked)


async def _wait(supervisor: Supervisor, stop: asyncio.Event, holds: Callable[[], bool]) -> bool:
    """Wait until it holds, telling once of each process that keeps crashing; False when told to stop."""
    told: set[str] = set()
    while not holds():
        for keeper in supervisor.keepers:
            if keeper.state is ProcessState.CRASH_LOOPING and keeper.spec.name not in told:
                told.add(keeper.spec.name)
                click.echo(_crash_words(keeper), err=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await stop.wait()
                return False
    return True


def _ready_words(run: Run, doors: Doors, seconds: float) -> str:
    url = url_of(doors.listening)
    too = f", and for gRPC at {doors.grpc}" if doors.grpc else ""
    key = "   (podium key create CALLER makes a KEY)" if run.keys_required else ""
    return (
        f"Ready in {seconds:.1f} s: every contender answers at {url}{too}\n"
        f"  try it    {_curl(run, url)}{key}\n"
        f"  look      podium status, or {url}/docs in a browser\n"
        f"  stop it   Ctrl-C here, or podium down"
    )


def _curl(run: Run, url: str) -> str:
    row = example_row(run.asked)
    address = f"{url}/score/{run.endpoint}"
    key = " -H 'X-API-Key: KEY'" if run.keys_required else ""
    if len(row) <= 3 and all(not field.shape for field in run.asked.fields):
        values = {name: json.dumps(v) if isinstance(v, bool) else v for name, v in row.items()}
        return f"curl{key} {shlex.quote(f'{address}?{urlencode(values)}')}"
    return f"curl{key} {address} -d {shlex.quote(json.dumps(row))}"


def example_row(schema: Schema) -> dict[str, object]:
    """A row that the schema lets in: the middle of what training saw."""
    row: dict[str, object] = {}
    for field in schema.fields:
        if field.optional:
            continue
        middle = ((field.minimum or 0.0) + (field.maximum or 0.0)) / 2
        values = {
            Kind.FLOAT: float(f"{middle:.3g}"),
            Kind.INT: int(middle),
            Kind.BOOL: True,
            Kind.STRING: "text",
        }
        value: object = values[field.type]
        for size in reversed(field.shape):
            value = [value] * max(size, 1)
        row[field.name] = value
    return row


def _crash_words(keeper: Keeper) -> str:
    report = keeper.report()
    lines = "".join(f"\n    {line}" for line in last_lines(keeper.log))
    return (
        f"{report.name} keeps crashing ({report.reason}); the others go on without it. "
        f"Its log, {keeper.log}, ends with:{lines or ' nothing'}"
    )


def last_lines(log: Path, count: int = LAST_LINES) -> list[str]:
    """The end of a log, without empty lines; nothing where there is none."""
    try:
        with log.open(errors="replace") as file:
            return list(deque((line.rstrip() for line in file if line.strip()), count))
    except OSError:
        return []


def _totals(before: Counts, after: Counts) -> str:
    received, answered, defaulted, unkept = (
        total(after, name) - total(before, name) for name in ("received", "answered", "defaulted", "unkept")
    )
    lost = f" {unkept:,} messages could not be kept." if unkept else ""
    return (
        f"Stopped. Received {received:,}, answered {answered:,} ({defaulted:,} with the default).{lost} "
        f"Of all time: answered {total(after, 'answered'):,}, archived {total(after, 'archived'):,}."
    )


# --- in the background ----------------------------------------------------------------------


def _detach(project: Project, options: list[str]) -> None:
    if (pid := holder(project.run_dir)) is not None:
        raise AlreadyRunning(f"this project runs already (pid {pid}); `podium down` stops it")
    log = project.logs_dir / UP_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "podium", "up", *options],
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    state = _wait_until_ready(process, project, log)
    process.returncode = 0  # it goes on without us: nothing is left to wait for
    click.echo(f"Ready at {state.url} (pid {process.pid}). `podium status` shows it, `podium down` stops it.")


def _wait_until_ready(process: subprocess.Popen[bytes], project: Project, log: Path) -> NodeState:
    """Raises NodeError, with nothing left running, when the node does not come up."""
    give_up = time.monotonic() + DETACHED_SECONDS
    while process.poll() is None:
        state = read_state(project.run_dir)
        if state is not None and state.pid == process.pid:
            if state.ready:
                return state
            if problem := _crash(project, state):
                _end(process)
                raise NodeError(f"not started: {problem}")
        if time.monotonic() > give_up:
            _end(process)
            raise NodeError(f"not ready within {DETACHED_SECONDS:g} s, stopped again; see {log}")
        time.sleep(POLL_SECONDS)
    said = last_lines(log, 1)
    raise NodeError(f"not started: {said[0].removeprefix('podium: ') if said else f'see {log}'}")


def _crash(project: Project, state: NodeState) -> str | None:
    for report in state.processes:
        if report.state is ProcessState.CRASH_LOOPING:
            said = last_lines(project.logs_dir / log_name(report.name), 1)
            tail = f"; its log ends with: {said[0]}" if said else ""
            return f"{report.name} keeps crashing ({report.reason}){tail}"
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(DOWN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# --- down -----------------------------------------------------------------------------------


@click.command()
def down() -> None:
    """Stop what `podium up` runs for this project."""
    run_dir = projects.find(Path.cwd()) / projects.RUN_DIR  # a broken podium.toml is no reason to go on
    pid = holder(run_dir)
    if pid is None:
        raise NotRunning("nothing runs for this project, so there is nothing to stop")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _within(DOWN_SECONDS, lambda: holder(run_dir) != pid):
        raise NodeError(
            f"pid {pid} has not stopped within {DOWN_SECONDS:g} s; `kill -9 {pid}` ends it with all it runs"
        )
    click.echo(f"Stopped (pid {pid}). `podium up` starts it again; nothing that was archived is lost.")


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up:
            return False
        time.sleep(POLL_SECONDS)
    return True
