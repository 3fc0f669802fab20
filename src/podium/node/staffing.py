"""Which worker processes run: those of the policy's contenders, and of those who stand by to join.

Who joins is started before the policy names it; who has left is ignored first (frames do not name it any
more), then finishes what it has in hand, then stops.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from types import TracebackType

from podium.node.keeper import Keeper
from podium.node.plan import worker_settings, workers_of
from podium.node.supervisor import Supervisor
from podium.records import Contender, Policy
from podium.run import Run

log = logging.getLogger(__name__)

STAND_BY_SECONDS = 5.0
"""How long somebody stands by after the last call, where nobody says that it need not."""

LEAVE_SECONDS = 2.0
"""From a revision that does not name a contender to the end of its processes: gateways follow in less."""

LOOK_SECONDS = 0.25


class Staffing:
    """Keeps a supervisor's workers as the policy says. `async with` starts the first ones.

    Called from the supervisor's event loop only.
    """

    def __init__(self, run: Run, settings: Path, supervisor: Supervisor) -> None:
        self._run = run
        self._settings = settings
        self._supervisor = supervisor
        self._policy = run.policy
        self._standing: dict[str, tuple[Contender, float]] = {}
        self._working: dict[str, list[Keeper]] = {}
        self._leaving: dict[str, float] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Staffing:
        for contender in self._policy.contenders:
            self._start(contender, awaited=True)
        self._task = asyncio.create_task(self._keep(), name="staffing")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, *self._stopping, return_exceptions=True)

    def follow(self, policy: Policy) -> None:
        """A newer revision: start who is new, let go of who is not named any more."""
        if policy.revision > self._policy.revision:
            self._policy = policy
            self._changed.set()

    def stand_by(self, contender: Contender) -> None:
        """Start this contender's processes, and keep them for a while though no policy names it."""
        self._standing[contender.name] = (contender, time.monotonic() + STAND_BY_SECONDS)
        self._changed.set()

    def stand_down(self, contender: Contender) -> None:
        """Who stands by is not wanted after all: its processes stop at once, unless a policy names it.

        A later attempt is not told of the failures of this one.
        """
        named = {named.name for named in self._policy.contenders}
        if self._standing.pop(contender.name, None) and contender.name not in named:
            self._leaving[contender.name] = time.monotonic()
            self._changed.set()

    # --- from time to time, and when something has changed ------------------------------------

    async def _keep(self) -> None:
        while True:
            self._changed.clear()
            self._adjust(time.monotonic())
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()

    def _adjust(self, now: float) -> None:
        self._standing = {name: s for name, s in self._standing.items() if s[1] > now}
        wanted = {c.name: c for c in (*(s[0] for s in self._standing.values()), *self._policy.contenders)}
        for name, contender in wanted.items():
            self._leaving.pop(name, None)
            if name not in self._working:
                self._start(contender, awaited=False)
        for name in self._working.keys() - wanted.keys():
            if now >= self._leaving.setdefault(name, now + LEAVE_SECONDS):
                self._stop(name)

    def _start(self, contender: Contender, *, awaited: bool) -> None:
        """`awaited` are those of the start: later ones do not make a node that is ready unready."""
        log.info("%s: its processes start", contender.name)
        replicas = worker_settings(contender, self._run).replicas
        numbers = islice(self._free_numbers(contender.model), replicas)
        specs = workers_of(contender, self._run, self._settings, numbers=list(numbers), awaited=awaited)
        self._working[contender.name] = self._supervisor.add(specs)

    def _free_numbers(self, model: str) -> Iterator[int]:
        taken = {keeper.spec.name for keeper in self._supervisor.keepers}
        return (number for number in count(1) if f"worker {model} {number}" not in taken)

    def _stop(self, name: str) -> None:
        log.info("%s has left: its processes stop", name)
        del self._leaving[name]
        stopping = asyncio.create_task(self._supervisor.remove(self._working.pop(name)), name=f"stop {name}")
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
