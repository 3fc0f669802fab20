"""An archiver in a process of its own, to be killed: `python archive_process.py URL ARCHIVE BOARD`.

Its batches are small, so that a kill falls between commits, and within them, as often as possible.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.unit.archive.traffic import ENDPOINT, INPUTS, OUTPUTS

from podium.archive import archiver, tables
from podium.archive.archiver import Archiver
from podium.counters import Board
from podium.streams.connect import connect


async def main(url: str, archive: str, board: Board) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with connect(url, ENDPOINT) as stream:
        await Archiver(
            stream, archive=archive, endpoint=ENDPOINT, inputs=INPUTS, outputs=OUTPUTS, board=board
        ).run(stop)


if __name__ == "__main__":
    archiver.BATCH_SECONDS = 0.05
    archiver.POLL_SECONDS = 0.02
    archiver.BATCH_MESSAGES = 40
    archiver.HIGHEST_LIMIT = 40
    archiver.TRIM_SECONDS = 0.2
    tables.COMPACT_FILES = 10
    with Board(Path(sys.argv[3])) as board:
        asyncio.run(main(sys.argv[1], sys.argv[2], board))
