"""`podium run`: one process, started by a node's supervisor or by an image. Not for people.

With `--settings` it is told by that file alone, which a supervisor has written; without, by its environment
(docs/images.md).
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from pathlib import Path

import click
from msgspec.structs import replace

from podium import environment
from podium import run as runs
from podium.cli.process import Job, Probes, objects_of, process
from podium.cli.run_report import report
from podium.cli.run_store import store
from podium.cli.run_worker import worker
from podium.counters import Board
from podium.errors import PackageError, RevisionTaken
from podium.records import Policy
from podium.run import Run
from podium.streams.base import Stream
from podium.streams.connect import policies
from podium.streams.policies import PolicyStore


@click.group(hidden=True)
def run() -> None:
    """Run one process of a node, or of an image."""


run.add_command(worker)
run.add_command(store)
run.add_command(report)


@run.command()
@click.option("--number", default=1)
@click.option("--fd", type=int)
@click.option("--grpc", default=None)
@click.option("--settings", type=Path)
def gateway(number: int, fd: int | None, grpc: str | None, settings: Path | None) -> None:
    """The front door."""
    if settings is not None:
        assert fd is not None  # the supervisor gives both
        told = runs.load(settings)
        process(f"gateway {number}", told, _gateway(told, fd, grpc))
        return
    from podium.node.listening import listen  # each process imports only what it runs

    environment.check_names(os.environ)
    told = environment.run_of(os.environ)
    host, port, grpc_port = environment.door_of(os.environ)
    grpc = None if grpc_port is None else f"{host}:{grpc_port}"
    with listen(host, port) as listening:
        job = _gateway(told, listening.detach(), grpc, first=told.policy)
        process(f"gateway {environment.number_of(os.environ)}", told, job)


def _gateway(run: Run, fd: int, grpc: str | None, *, first: Policy | None = None) -> Job:
    """`first` is the policy that an empty store gets; on a node the supervisor has seen to that."""

    async def job(stream: Stream, board: Board, stop: asyncio.Event) -> None:
        from podium.gateway.server import serve  # each process imports only what it runs

        async with policies(run.stream, run.endpoint) as store, objects_of(run) as large:
            if first is not None:
                await _begin(store, first)
            await serve(run, stream, store, large, board, fd=fd, stop=stop, grpc=grpc)

    return job


async def _begin(store: PolicyStore, first: Policy) -> None:
    if await store.read() is None:
        try:
            await store.write(replace(first, changed=time.time_ns() // 1000))
        except RevisionTaken:
            return  # another gateway was quicker; everybody follows the store


@run.command()
@click.option("--settings", type=Path)
def archiver(settings: Path | None) -> None:
    """The stream into tables."""
    if settings is not None:
        told = runs.load(settings)
        process("archiver", told, partial(_archiver, told), counts_dead=True)
        return
    environment.check_names(os.environ)
    told = environment.run_of(os.environ)
    probes = Probes(environment.health_port_of(os.environ), wait_for_ready=False)
    process("archiver", told, partial(_archiver, told), counts_dead=True, probes=probes)


async def _archiver(run: Run, stream: Stream, board: Board, stop: asyncio.Event) -> None:
    from podium.archive.archiver import Archiver  # each process imports only what it runs
    from podium.archive.drift import DriftWatch
    from podium.archive.lookups import Lookups
    from podium.models import manifest
    from podium.profiles import Profiles
    from podium.registry.folder import FolderRegistry

    def profiles_of(model: str, version: str) -> Profiles:
        if not run.registry:
            raise PackageError("this archiver has no registry")
        return manifest.read(FolderRegistry(Path(run.registry)).find(model, version).path).profiles

    async with objects_of(run) as store:
        archiver = Archiver(
            stream,
            archive=run.archive,
            endpoint=run.endpoint,
            inputs=run.inputs,
            outputs=run.outputs,
            board=board,
            store=store if run.large.keep else None,
            watch=DriftWatch(
                run.inputs, run.outputs, profiles_of, folder=run.counters, window=run.drift_window_s
            ),
        )
        async with Lookups(
            stream, archive=run.archive, endpoint=run.endpoint, position=lambda: archiver.position
        ):
            await archiver.run(stop)
