"""`podium logs`: what processes have written, of the node here or of pods on a cluster."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import click

from podium.cli.control import project_here
from podium.errors import NotFound, NotRunning, PodiumError
from podium.project import Project
from podium.schema import did_you_mean

POLL_SECONDS = 0.2
WORKER = re.compile(r"worker-(.+)-(\d+)")
UP_LOG = "up"


class Log(NamedTuple):
    """What one process writes. `lines(count, follow)` gives its last lines, then those that come."""

    process: str
    lines: Callable[[int, bool], Iterator[str]]


@click.command()
@click.argument("processes", nargs=-1, metavar="[PROCESS]...")
@click.option(
    "--lines", "-n", default=20, show_default=True, type=click.IntRange(0), help="The last so many."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--context", help="The endpoint on this cluster: a context of the kubeconfig.")
def logs(processes: tuple[str, ...], lines: int, follow: bool, context: str | None) -> None:
    """Show what processes write: all, or those that are named as `podium status` names them.

    A first word will do (`gateway`, `worker`), or a model.
    """
    with _there(project_here(), context) as found:
        wanted = chosen(found, processes)
        show = _follow if follow else _show
        show(wanted, lines)


def chosen(found: Sequence[Log], words: Sequence[str]) -> list[Log]:
    """Those that one of the words names. Raises NotFound, with what there is, for one that names nobody."""
    for word in words:
        if not any(_names(word, log.process) for log in found):
            known = [log.process for log in found]
            raise NotFound(f"no process {word!r}{did_you_mean(word, known)}; there are {', '.join(known)}")
    return [log for log in found if not words or any(_names(word, log.process) for word in words)]


def _names(word: str, process: str) -> bool:
    """The whole name or its beginning, a worker's model, or a pod."""
    return word in (process, *process.split(" ")) or process.startswith(f"{word} ")


# --- to the screen --------------------------------------------------------------------------


def _show(logs: Sequence[Log], count: int) -> None:
    for log in logs:
        for line in log.lines(count, False):
            click.echo(_said(log, line, logs))


def _follow(logs: Sequence[Log], count: int) -> None:
    """Lines of all as they come; ends when no process is left that could write."""
    coming: SimpleQueue[tuple[Log, str | None]] = SimpleQueue()

    def read(log: Log) -> None:
        try:
            for line in log.lines(count, True):
                coming.put((log, line))
        except PodiumError as error:
            coming.put((log, f"podium: {error}"))
        coming.put((log, None))

    for log in logs:
        threading.Thread(target=read, args=(log,), daemon=True).start()
    left = len(logs)
    with suppress(KeyboardInterrupt):
        while left:
            log, line = coming.get()
            if line is None:
                left -= 1
            else:
                click.echo(_said(log, line, logs))


def _said(log: Log, line: str, logs: Sequence[Log]) -> str:
    return line if len(logs) == 1 else f"{log.process}: {line}"


# --- where they are -------------------------------------------------------------------------


@contextmanager
def _there(project: Project, context: str | None) -> Iterator[list[Log]]:
    """The logs of the node here, also of one that has stopped, or of a cluster's pods."""
    if context is None:
        yield _of_node(project)
        return
    from podium.cli.cluster_logs import pods  # an extra, and slow to import

    with pods(project, context) as found:
        yield [Log(process, lines) for process, lines in found.items()]


def _of_node(project: Project) -> list[Log]:
    files = sorted(project.logs_dir.glob("*.log"))
    if not files:
        raise NotRunning("nothing has run for this project yet; `podium up` starts it")
    return [Log(process_of(file.stem), _Tail(file).lines) for file in files]


def process_of(stem: str) -> str:
    """Whose log a file of this name is: the way back from `node.process.log_name`."""
    if found := WORKER.fullmatch(stem):
        return f"worker {found[1]} {found[2]}"
    if stem == UP_LOG:
        return "supervisor"
    return stem.replace("-", " ")


class _Tail(NamedTuple):
    """The end of a file that others append to, and now and then cut."""

    file: Path

    def lines(self, count: int, follow: bool) -> Iterator[str]:
        try:
            with self.file.open("rb") as file:
                last = deque(file, count)
                yield from (_text(line) for line in last)
                if follow:
                    yield from self._coming(file.tell())
        except OSError as error:
            raise NotFound(f"{self.file} cannot be read: {error.strerror}") from None

    def _coming(self, position: int) -> Iterator[str]:
        while True:
            time.sleep(POLL_SECONDS)
            if self.file.stat().st_size < position:
                position = 0  # it was full, and begins anew
            with self.file.open("rb") as file:
                file.seek(position)
                for line in takewhile(lambda line: line.endswith(b"\n"), file):
                    position += len(line)
                    yield _text(line)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n")
