"""A supervisor over real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from podium.counters import merged, total
from podium.node.boards import BoardSign
from podium.node.keeper import Keeper, Pace
from podium.node.process import Life, ProcessSpec, Stage
from podium.node.state import ProcessReport, ProcessState, read_state
from podium.node.supervisor import Supervisor

PATIENCE = 20.0
PACE = Pace(steady=0.2, first_pause=0.02, longest_pause=0.1, look=0.05, poll=0.01)

CHILD = """
import os, signal, sys, time
from pathlib import Path
from podium.counters import Board
folder, name, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with Board(folder / f"{name.replace(' ', '-')}-{os.getpid()}.board") as board:
    board.counter("received").add(10)
    board.gauge("ready").set(1)
    if mode == "crash":
        print("no such model file", flush=True)
        sys.exit(3)
    while True:
        board.gauge("beat").set(time.time_ns() // 1000)
        time.sleep(0.02)
"""


class Node:
    """A supervisor's folders, and children that beat."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.boards = self.run_dir / "counters"
        self.logs = folder / "logs"
        self.script = folder / "child.py"
        self.script.write_text(CHILD)

    def spec(
        self, name: str, mode: str = "live", *, stage: Stage = Stage.WORKER, timeout: float = 30.0
    ) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            argv=(sys.executable, str(self.script), str(self.boards), name, mode),
            stage=stage,
            sign=BoardSign(self.boards),
            timeout=timeout,
            grace=5.0 if mode != "deaf" else 0.2,
        )

    def supervisor(self, *specs: ProcessSpec) -> Supervisor:
        self.run_dir.mkdir(exist_ok=True)
        return Supervisor(
            specs,
            endpoint="diabetes",
            url="http://127.0.0.1:8080",
            run_dir=self.run_dir,
            boards=self.boards,
            logs=self.logs,
            pace=PACE,
        )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)


async def come_up(supervisor: Supervisor) -> None:
    assert await settle(supervisor) == []


async def settle(supervisor: Supervisor) -> list[Keeper]:
    """Wait until the node is ready, or a process cannot be brought up: returns those."""

    def looping() -> list[Keeper]:
        return [keeper for keeper in supervisor.keepers if keeper.state is ProcessState.CRASH_LOOPING]

    await until(lambda: supervisor.ready or looping())
    return looping()


def report(supervisor: Supervisor, name: str) -> ProcessReport:
    return next(p for p in supervisor.state().processes if p.name == name)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_node_is_ready_when_its_processes_are_and_stops_them_at_the_end(node: Node) -> None:
    async with node.supervisor(node.spec("worker linear 1"), node.spec("gateway 1")) as supervisor:
        await come_up(supervisor)
        written = await _written(node, ready=True)
        assert [p.name for p in written] == ["worker linear 1", "gateway 1", "supervisor"]
        pids = [p.pid for p in written if p.name != "supervisor" and p.pid]
        assert all(map(alive, pids))
    assert not any(map(alive, pids))
    state = read_state(node.run_dir)
    assert state is not None
    assert {p.state for p in state.processes if p.name != "supervisor"} == {ProcessState.STOPPED}


async def _written(node: Node, *, ready: bool) -> tuple[ProcessReport, ...]:
    await until(lambda: (state := read_state(node.run_dir)) and state.ready is ready)
    state = read_state(node.run_dir)
    assert state is not None
    return state.processes


async def test_a_killed_process_is_replaced_and_its_counts_stay(node: Node) -> None:
    async with node.supervisor(node.spec("worker linear 1")) as supervisor:
        await come_up(supervisor)
        first = report(supervisor, "worker linear 1").pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: total(merged(node.boards), "received") == 20)
        await come_up(supervisor)
        now = report(supervisor, "worker linear 1")
        assert now.pid != first
        assert now.restarts == 1
        assert now.reason == "killed by SIGKILL"
    assert [path.name for path in sorted(node.boards.iterdir())] == ["base.board", "retired.board"]
    assert total(merged(node.boards), "received") == 20


async def test_counts_are_of_all_runs_of_the_project(node: Node) -> None:
    for times in (1, 2):
        async with node.supervisor(node.spec("gateway 1")) as supervisor:
            await come_up(supervisor)
        assert total(merged(node.boards), "received") == 10 * times


async def test_a_crash_loop_is_called_so_and_leaves_the_others_alone(node: Node) -> None:
    good, bad = node.spec("worker linear 1"), node.spec("worker forest 1", "crash")
    async with node.supervisor(good, bad) as supervisor:
        looping = await settle(supervisor)
        assert [keeper.spec.name for keeper in looping] == ["worker forest 1"]
        assert "no such model file" in looping[0].log.read_text()
        now = report(supervisor, "worker forest 1")
        assert now.state is ProcessState.CRASH_LOOPING
        assert now.reason == "ended with exit status 3"
        await until(lambda: report(supervisor, "worker linear 1").state is ProcessState.RUNNING)
        assert report(supervisor, "worker linear 1").restarts == 0


async def test_a_program_that_is_not_there_is_a_crash_loop_with_the_reason(node: Node) -> None:
    spec = ProcessSpec(
        name="broker",
        argv=("/nowhere/nats-server",),
        stage=Stage.BROKER,
        sign=BoardSign(node.boards),
        timeout=1.0,
        grace=1.0,
    )
    async with node.supervisor(spec, node.spec("gateway 1")) as supervisor:
        await settle(supervisor)
        assert "cannot be started" in str(report(supervisor, "broker").reason)
        assert report(supervisor, "gateway 1").pid is None, "nothing starts without its broker"


async def test_a_process_that_hangs_is_killed_and_replaced(node: Node) -> None:
    async with node.supervisor(node.spec("worker linear 1", timeout=0.5)) as supervisor:
        await come_up(supervisor)
        first = report(supervisor, "worker linear 1").pid
        assert first
        os.kill(first, signal.SIGSTOP)
        await until(lambda: report(supervisor, "worker linear 1").restarts == 1)
        assert report(supervisor, "worker linear 1").reason == "no sign of life for 0.5 s, killed"
        await come_up(supervisor)


async def test_stopping_kills_a_process_that_does_not_listen(node: Node) -> None:
    async with node.supervisor(node.spec("worker linear 1", "deaf")) as supervisor:
        await come_up(supervisor)
        pid = report(supervisor, "worker linear 1").pid
        assert pid
        began = time.monotonic()
    assert not alive(pid)
    assert time.monotonic() - began < 10


async def test_the_door_closes_before_the_workers_and_the_broker_is_last(node: Node, tmp_path: Path) -> None:
    note = tmp_path / "order"
    specs = [
        ProcessSpec(
            name=stage.name,
            argv=(
                "/bin/sh",
                "-c",
                f"trap 'echo {stage.name} >> {note}; exit' TERM; while :; do sleep .02; done",
            ),
            stage=stage,
            sign=AlwaysThere(),
            timeout=30.0,
            grace=5.0,
        )
        for stage in Stage
    ]
    async with node.supervisor(*specs) as supervisor:
        await come_up(supervisor)
        await asyncio.sleep(0.2)  # a shell shows no sign that its trap is set
    assert note.read_text().split() == ["GATEWAY", "WORKER", "ARCHIVER", "BROKER"]


class AlwaysThere:
    async def look(self, pid: int) -> Life:
        return Life(time.monotonic_ns(), True)


ORPHAN = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_supervisor import Node
from podium.node.broker import Broker
async def main():
    node = Node(Path(sys.argv[1]))
    broker = Broker.choose(run_dir=node.run_dir, store=node.run_dir / "stream").spec()
    async with node.supervisor(broker, node.spec("worker linear 1", "deaf")) as supervisor:
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system ties children to their parent only on Linux")
async def test_a_supervisor_killed_hard_leaves_no_orphan(node: Node, tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ORPHAN, str(tmp_path), here)
    reports = await _written(node, ready=True)
    pids = [p.pid for p in reports if p.name != "supervisor" and p.pid]
    assert [p.name for p in reports][:2] == ["broker", "worker linear 1"]
    assert all(map(alive, pids))
    process.kill()
    await process.wait()
    await until(lambda: not any(map(alive, pids)))
