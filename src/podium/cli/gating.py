"""What the archive says about a promotion, against the policy's gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from podium.cli import compare
from podium.period import Period
from podium.project import Project
from podium.records import Contender, Gates, Policy
from podium.trials import gates
from podium.trials.gates import GateResult


def results(project: Project, history: Sequence[Policy], contender: Contender) -> tuple[GateResult, ...]:
    """Each gate of the live policy, on what both have scored since the contender joined.

    `history` is all revisions, the oldest first. Raises what `podium compare` raises where there is
    nothing to compare yet.
    """
    live = history[-1]
    if not any_set(live.gates):
        return ()
    joined = datetime.fromtimestamp(joined_at(history, contender) / 1e6, UTC)
    found = compare.read(
        project,
        live.champion.name,
        contender.name,
        period=Period(since=joined, until=datetime.now(UTC)),
        tolerance=project.endpoint.agreement,
    )
    return gates.check(live.gates, found)


def any_set(wanted: Gates) -> bool:
    """Whether there is a gate at all."""
    return bool(wanted.requests) or any(
        bound is not None for bound in (wanted.failures, wanted.error, wanted.segment, wanted.p99_ms)
    )


def joined_at(history: Sequence[Policy], contender: Contender) -> int:
    """When the contender came to the endpoint, for its stay until now (µs since the epoch)."""
    since = history[-1].changed
    for policy in reversed(history):
        if not any(there.name == contender.name for there in policy.contenders):
            break
        since = policy.changed
    return since


def words(found: Sequence[GateResult]) -> Iterator[str]:
    """A line for each gate."""
    for result in found:
        yield f"{'open' if result.passed else 'SHUT'}  {result.gate}: {result.words}"
