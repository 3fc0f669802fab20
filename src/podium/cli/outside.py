"""Workers on the stream, put together for one command: a broker of their own, and one process of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import numpy as np

from podium.models.checks import Check
from podium.models.commands import Kept
from podium.models.declared import Described, pack_worker
from podium.models.examples import Examples
from podium.models.formats.process import launch_of
from podium.models.manifest import Manifest
from podium.models.modules import CODE
from podium.models.process.child import Launch
from podium.models.sealing import Packed
from podium.node.private import PrivateBroker
from podium.project import Command, Project
from podium.schema import Columns, Schema
from podium.streams.connect import connect
from podium.workers.conformance import Subject, Suite
from podium.workers.outside import Outside, Place

STDERR = 2
ENDPOINT = "alone"
CONTENDER = "model@000000000000"
"""A worker need not know that nobody else is there."""


def pack_outside(project: Project, said: Described, command: Command, *, into: Path) -> Packed:
    """Pack a worker on the stream with the scores that it gives on a stream of its own.

    Raises ProjectError, PackageError, or NodeError without a broker.
    """
    return pack_worker(said, command, root=project.folder, into=into, ask=_scores_of)


def checks(launch: Launch, outputs: Schema, examples: Examples, *, output: int = STDERR) -> Iterator[Check]:
    """The checks of a worker, each as it is made, over a broker of their own. Raises NodeError.

    `output` is a file descriptor for what the worker writes, or `subprocess.DEVNULL`.
    """
    subject = Subject(launch=launch, outputs=outputs, examples=examples, output=output)
    making = _checks(subject)
    with asyncio.Runner() as runner:
        try:
            while made := runner.run(_next(making)):
                yield made
        finally:
            runner.run(making.aclose())


async def _checks(subject: Subject) -> AsyncGenerator[Check]:
    async with PrivateBroker() as broker, connect(broker.url, ENDPOINT) as stream:
        place = Place(url=broker.url, endpoint=ENDPOINT, contender=CONTENDER)
        async for made in Suite(subject, broker, stream, place).run():
            yield made


async def _next(making: AsyncGenerator[Check]) -> Check | None:
    return await anext(making, None)


def _scores_of(package: Path, manifest: Manifest, kept: Kept, columns: Columns) -> dict[str, np.ndarray]:
    launch = launch_of(manifest.model, kept, package / CODE)
    return asyncio.run(_scores_on_a_stream(launch, manifest, columns))


async def _scores_on_a_stream(launch: Launch, manifest: Manifest, columns: Columns) -> dict[str, np.ndarray]:
    async with PrivateBroker() as broker, connect(broker.url, ENDPOINT) as stream:
        place = Place(url=broker.url, endpoint=ENDPOINT, contender=CONTENDER)
        async with Outside(place, launch, stream, output=STDERR) as worker:
            return await worker.first(columns, manifest.outputs)
