"""`bench policy`: from a command to the last gateway's use of it, and joins and leaves over and over.

Two gateways answer a steady load meanwhile, on whatever cores there are, as on a user's machine.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from statistics import median

from click.testing import CliRunner

from bench.openloop import OpenLoop
from bench.project import ENDPOINT
from bench.results import Figure, Results
from bench.running import own_status, podium, recording, say
from bench.serving import Running
from podium.cli import podium as commands
from podium.node.state import running as state_of

POLL_SECONDS = 0.05
GATEWAYS = 2
RATE = 100.0
AT_ONCE = 10
"""So many join before they leave: most of a leave is the wait until the process may end."""

NAMES = tuple(f"challenger{number}" for number in range(1, AT_ONCE + 1))
IN_USE = re.compile(r"is in use by 2 gateways after ([\d.]+) s")


def measure(folder: Path, *, changes: int, joins: int) -> None:
    with (
        recording("policy", folder, changes=changes, joins=joins, rate=RATE, gateways=GATEWAYS) as results,
        podium("linear", challengers=AT_ONCE, core=None, options=("--gateways", str(GATEWAYS))) as running,
    ):
        with _load(running) as errors:
            _change(running, results, changes)
            _churn(running, results, joins)
        say(results, Figure(name="failed requests", value=sum(errors), unit="", note=f"at {RATE:g}/s"))


@contextmanager
def _load(running: Running) -> Iterator[list[int]]:
    """A steady load in the background; the list gets the errors of each second."""
    errors: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            errors.append(OpenLoop(running.site.port, running.request(), rate=RATE).run(1.0).errors)

    thread = threading.Thread(target=ask, name="load")
    thread.start()
    try:
        yield errors
    finally:
        over.set()
        thread.join()


def _change(running: Running, results: Results, changes: int) -> None:
    took = []
    for number in range(changes):
        words = ("promote", "challenger1") if number % 2 == 0 else ("rollback", "--to", "1")
        took.append(float(IN_USE.findall(_podium(running, *words))[0]))
    if changes % 2:
        _podium(running, "rollback", "--to", "1")
    ms = sorted(1000 * seconds for seconds in took)
    say(results, Figure(name="from the change to its use, median", value=median(ms), unit="ms"))
    say(
        results,
        Figure(name="from the change to its use, longest", value=ms[-1], unit="ms", note=f"of {changes}"),
    )


def _churn(running: Running, results: Results, joins: int) -> None:
    """The same versions join and leave; what is there afterwards is what was there before."""
    _leave(running)
    _round(running)
    before = _footprint(running)
    for _ in range(0, joins, AT_ONCE):
        _round(running)
    after = _footprint(running)
    for name, value in before.items():
        note = f"{value:,} before, {after[name]:,} after {joins} joins and leaves"
        say(results, Figure(name=f"{name}, more than before", value=after[name] - value, unit="", note=note))


def _round(running: Running) -> None:
    """All join, one after the other, and leave again; returns when their processes are gone."""
    for name in NAMES:
        _podium(running, "join", name)
    _leave(running)


def _leave(running: Running) -> None:
    for name in NAMES:
        _podium(running, "leave", name)
    run_dir = running.site.scratch / "project" / ".podium" / "run"
    while any(process.name.startswith("worker challenger") for process in state_of(run_dir).processes):
        time.sleep(POLL_SECONDS)


def _footprint(running: Running) -> dict[str, int]:
    processes = own_status(running)["processes"]
    folder = running.site.scratch / "project" / ".podium"
    long_lived = [p for p in processes if p["name"].startswith(("gateway", "supervisor"))]
    return {
        "processes": len(processes),
        "files beside archive and stream": sum(
            len(list((folder / part).rglob("*"))) for part in ("run", "logs", "registry")
        ),
        "open files of gateways and supervisor": sum(
            len(list(Path(f"/proc/{process['pid']}/fd").iterdir())) for process in long_lived
        ),
        "MB of gateways and supervisor": sum(process["rss_mb"] for process in long_lived),
    }


def _podium(running: Running, command: str, *words: str) -> str:
    """A command as on a terminal, without the start of a Python for each."""
    with chdir(running.site.scratch / "project"):
        done = CliRunner().invoke(commands, [command, ENDPOINT, *words], catch_exceptions=False)
    if done.exit_code:
        raise SystemExit(f"podium {command}: {done.output}")
    return done.output
