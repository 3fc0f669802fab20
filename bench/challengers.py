"""`bench challengers`: the champion's answers with ten challengers beside it and with none.

The challengers get a core away from the gateway, the broker and the champion, because the question is what
scoring *beside* the champion costs it, and not what sharing its core does.
"""

import os
from pathlib import Path
from statistics import median

from bench.openloop import take_priority
from bench.processes import LOAD_CORE, SERVER_CORE
from bench.results import Figure
from bench.running import own_status, podium, recording, say
from bench.serving import Running
from bench.wrk import Load

MANY = 10
WARM_SECONDS = 2


def measure(folder: Path, *, rate: float, seconds: float, rounds: int, together: bool) -> None:
    settings = {"rate": rate, "seconds": seconds, "rounds": rounds, "together": together}
    with recording("challengers", folder, **settings) as results:
        # With two cores the load's core is also the challengers': the load must not wait behind them.
        first = take_priority()
        loads: dict[int, list[Load]] = {0: [], MANY: []}
        for _ in range(rounds):
            for number, seen in loads.items():
                seen.append(_once(number, rate, seconds, together=together))
        for number, seen in loads.items():
            p50 = median(load.p50_ms for load in seen)
            note = f"p50 {p50:.2f} ms, {sum(load.errors for load in seen)} errors"
            p99 = median(load.p99_ms for load in seen)
            say(results, Figure(name=f"p99 with {number} challengers", value=p99, unit="ms", note=note))
        none, many = (median(load.p99_ms for load in loads[number]) for number in (0, MANY))
        where = "on the champion's core" if together else "on another core"
        note = f"at {rate:g}/s, challengers {where}" + ("" if first else ", the load without priority")
        more = (many / none - 1) * 100
        name = f"p99 with {MANY} challengers, more than with none"
        say(results, Figure(name=name, value=more, unit="%", note=note))


def _once(challengers: int, rate: float, seconds: float, *, together: bool) -> Load:
    with podium("linear", challengers=challengers) as running:
        if not together:
            _move_challengers(running)
        running.open(rate, WARM_SECONDS)
        load = running.open(rate, seconds)
        print(f"  {challengers} challengers: p50 {load.p50_ms:.2f} ms, p99 {load.p99_ms:.2f} ms", flush=True)
        return load


def _move_challengers(running: Running) -> None:
    others = set(range(os.cpu_count() or 1)) - {SERVER_CORE, LOAD_CORE} or {LOAD_CORE}
    for process in own_status(running)["processes"]:
        if process["name"].startswith("worker challenger"):
            # Affinity belongs to a thread, not to a process.
            for thread in Path(f"/proc/{process['pid']}/task").iterdir():
                os.sched_setaffinity(int(thread.name), others)
