"""Watches the live policy's guards, and rolls back when a bound is passed."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from types import TracebackType

from msgspec.structs import replace

from podium.counters import merged
from podium.errors import PolicyError, ProjectError, RevisionTaken, StreamAway
from podium.records import Guards, Policy
from podium.rendezvous.changes import check as check_policy
from podium.rendezvous.changes import good, restored
from podium.streams.policies import PolicyStore
from podium.trials.guards import Breach, Window, check, counted

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
AUTHOR = "guard"


class Guarding:
    """Reads the boards of all processes, and writes the policy store. `async with` starts.

    Each revision is judged by what was counted under it.
    """

    def __init__(self, policy: Policy, boards: Path, store: PolicyStore) -> None:
        self._policy = policy
        self._boards = boards
        self._store = store
        self._window = Window(policy.guards.window_s)
        self._told: int | None = None

    async def __aenter__(self) -> Guarding:
        self._task = asyncio.create_task(self._watch(), name="guards")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def follow(self, policy: Policy) -> None:
        if policy.revision > self._policy.revision:
            self._policy = policy
            self._window = Window(policy.guards.window_s)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            policy = self._policy
            if is_off(policy.guards):
                continue
            try:
                counts = self._window.add(time.monotonic(), counted(merged(self._boards), policy))
                if breach := check(policy.guards, counts):
                    await self._roll_back(policy, breach)
            except (StreamAway, RevisionTaken) as error:  # looked at again in a moment
                log.warning("guards: %s", error)
            except (OSError, ValueError) as error:  # a board that is being written
                log.warning("guards: the counts cannot be read: %s", error)

    async def _roll_back(self, policy: Policy, breach: Breach) -> None:
        past = [await self._store.read(number) for number in range(1, policy.revision + 1)]
        back = guarded(policy, [each for each in past if each is not None])
        if back is None:
            if self._told != policy.revision:
                self._told = policy.revision
                log.error("guard %s: %s; there is no revision to go back to", breach.guard, breach.words)
            return
        reason = f"{breach.guard} of {policy.champion.name}: {breach.words}"
        await self._store.write(replace(back, author=AUTHOR, reason=reason, changed=time.time_ns() // 1000))
        log.error("guard: rolled back to revision %s: %s", back.restores, reason)


def is_off(guards: Guards) -> bool:
    """Whether no bound is set."""
    return all(bound is None for bound in (guards.errors, guards.late, guards.defaults, guards.disagreement))


def guarded(policy: Policy, history: list[Policy]) -> Policy | None:
    """The revision with which a guard goes back: as the last good one whose champion was another one.

    Only who is live now is in it, for nobody waits here until somebody else is warm; and whoever was the
    champion gets no share any more. The default answer stays, since the endpoint's outputs may be others
    than they were then.
    """
    live = {contender.name for contender in policy.contenders}
    for old in good(history):
        if old.champion.name in live and old.champion.name != policy.champion.name:
            contenders = [
                replace(c, share=None) if c.name == policy.champion.name else c
                for c in old.contenders
                if c.name in live
            ]
            back = replace(restored(policy, old), contenders=tuple(contenders), default=policy.default)
            return _followable(back, policy)
    return None


def _followable(back: Policy, live: Policy) -> Policy:
    """With the live schedule where the older one names somebody who is not in it any more."""
    try:
        check_policy(back)
    except (PolicyError, ProjectError):
        return replace(back, schedule=live.schedule)
    return back
