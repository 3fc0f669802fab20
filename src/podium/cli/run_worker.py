"""`podium run worker`: one process of a contender, on a node or in an image."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from podium import environment
from podium import run as runs
from podium.cli.process import Probes, objects_of, process
from podium.counters import Board
from podium.environment import Packed
from podium.errors import ProjectError
from podium.records import DECOY, Contender, Role
from podium.registry.base import Version
from podium.run import Post
from podium.streams.base import Stream


@click.command()
@click.option("--number", default=1)
@click.option("--settings", type=Path)
@click.argument("contender")
def worker(number: int, settings: Path | None, contender: str) -> None:
    """One process of a contender: MODEL@VERSION, or the decoy."""
    model, _, version = contender.partition("@")
    if settings is None:
        _of_environment(model, version)
        return
    post = runs.load(settings).post(model)
    if model == DECOY:
        process("worker decoy", post, _decoy)
        return

    from podium.registry.folder import FolderRegistry  # each process imports only what it runs

    found = FolderRegistry(Path(runs.load(settings).registry)).find(model, version)
    _work(found, post, number=number)


def _of_environment(model: str, version: str) -> None:
    environment.check_names(os.environ)
    post = environment.post_of(os.environ, model)
    probes = Probes(environment.health_port_of(os.environ))
    if model == DECOY:
        process("worker decoy", post, _decoy, probes=probes)
        return
    found = _packaged(model, version, environment.packed_of(os.environ, post.run_dir))
    _work(found, post, number=environment.number_of(os.environ), probes=probes)


def _packaged(model: str, version: str, packed: Packed) -> Version:
    """The version whose package the image holds. Its bytes are verified when it is loaded."""
    from podium.models import manifest as manifests  # each process imports only what it runs

    path = _place(packed)
    manifest = manifests.read(path)
    if manifest.model != model or not packed.digest.startswith(version):
        raise ProjectError(
            f"{path} holds {manifest.model}@{packed.digest[:12]}, and {model}{'@' * bool(version)}{version} "
            "was asked for: another image, or another name"
        )
    return Version(
        model=model,
        number=packed.number,
        digest=packed.digest,
        format=manifest.format,
        created=datetime.fromtimestamp(0, UTC),
        path=path,
        metrics=manifest.metrics,
    )


def _place(packed: Packed) -> Path:
    if "://" not in packed.place:
        return Path(packed.place)
    from podium.cli.artifacts import packages_at  # only a worker with an empty disk pulls

    return packages_at(packed.place, packed.digest, Path(packed.run_dir) / "packages", os.environ)


def _work(found: Version, post: Post, *, number: int, probes: Probes | None = None) -> None:
    name = f"worker {found.model} {number}"
    if found.format == "stream":
        process(name, post, partial(_outside, found, post), beats=False, probes=probes)
    else:
        process(name, post, partial(_worker, found, post), probes=probes)


async def _worker(found: Version, post: Post, stream: Stream, board: Board, stop: asyncio.Event) -> None:
    from podium.models.loading import load  # each process imports only what it runs
    from podium.models.trust import Trust
    from podium.workers.worker import Worker

    own = post.worker
    scorer = load(
        found.path, trust=Trust.load(), threads=own.threads, timeout=own.timeout, digest=found.digest
    )
    async with (
        objects_of(post) as store,
        Worker(_contender(found), scorer, stream, board, store, batch_rows=own.batch_rows),
    ):
        await stop.wait()


async def _outside(found: Version, post: Post, stream: Stream, board: Board, stop: asyncio.Event) -> None:
    """A worker in another language: this process only stands beside it."""
    from podium.models import samples  # each process imports only what it runs
    from podium.models.commands import Kept
    from podium.models.formats.process import launch_of
    from podium.models.loading import trusted
    from podium.models.modules import CODE
    from podium.models.trust import Trust
    from podium.workers.companion import Companion
    from podium.workers.outside import Outside, Place

    manifest = trusted(found.path, trust=Trust.load(), digest=found.digest)
    launch = launch_of(found.model, Kept.read(found.path), found.path / CODE)
    contender = _contender(found)
    place = Place(
        url=post.stream,
        endpoint=post.endpoint,
        contender=contender.name,
        batch_rows=post.worker.batch_rows,
    )
    async with (
        Outside(place, launch, stream) as worker,
        Companion(worker, contender, stream, board) as companion,
    ):
        await companion.let_in(manifest, samples.read(found.path, manifest))
        await companion.stay(stop)


def _contender(found: Version) -> Contender:
    """Frames say what it is now; who only stands by to join scores none."""
    return Contender(model=found.model, version=found.short, number=found.number, role=Role.CHALLENGER)


async def _decoy(stream: Stream, board: Board, stop: asyncio.Event) -> None:
    from podium.workers.decoy import Decoy  # each process imports only what it runs

    async with Decoy(stream, board):
        await stop.wait()
