"""Workers on the stream, put together for one command: a broker of their own, and one process of theirs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from podium.models.commands import Kept
from podium.models.declared import Described, pack_worker
from podium.models.formats.process import launch_of
from podium.models.manifest import Manifest
from podium.models.modules import CODE
from podium.models.process.child import Launch
from podium.models.sealing import Packed
from podium.node.private import PrivateBroker
from podium.project import Command, Project
from podium.schema import Columns
from podium.streams.connect import connect
from podium.workers.outside import Outside, Place

ENDPOINT = "packing"
CONTENDER = "packing@0"


def pack_outside(project: Project, said: Described, command: Command, *, into: Path) -> Packed:
    """Pack a worker on the stream with the scores that it gives on a stream of its own.

    Raises ProjectError, PackageError, or NodeError without a broker.
    """
    return pack_worker(said, command, root=project.folder, into=into, ask=_scores_of)


def _scores_of(package: Path, manifest: Manifest, kept: Kept, columns: Columns) -> dict[str, np.ndarray]:
    launch = launch_of(manifest.model, kept, package / CODE)
    return asyncio.run(_scores_on_a_stream(launch, manifest, columns))


async def _scores_on_a_stream(launch: Launch, manifest: Manifest, columns: Columns) -> dict[str, np.ndarray]:
    async with PrivateBroker() as broker, connect(broker.url, ENDPOINT) as stream:
        place = Place(url=broker.url, endpoint=ENDPOINT, contender=CONTENDER)
        async with Outside(place, launch, stream, output=sys.stderr.fileno()) as worker:
            return await worker.first(columns, manifest.outputs)
