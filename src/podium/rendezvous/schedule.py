"""Which contenders' scores are acceptable as time passes.

The idea is from Dunning and Friedman, *Machine Learning Logistics* (O'Reilly, 2017), chapter 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from podium.errors import ProjectError
from podium.records import FORCED_RULE, SHARE_RULE, Contender, Policy, Role
from podium.schema import did_you_mean


@dataclass(frozen=True, slots=True)
class Accept:
    """This contender's score is the answer, let in by this word of the schedule."""

    contender: Contender
    rule: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing acceptable yet; decide again at `until` (ms since arrival) or when a score comes."""

    until: float


@dataclass(frozen=True, slots=True)
class Default:
    """Nobody was in time, or nobody is left who could be."""


Decision: TypeAlias = Accept | Wait | Default
_DEFAULT = Default()

PATIENCE = 0.6
"""The part of the deadline for which a share's contender is awaited, where there is no second step."""


class Schedule:
    """A policy's schedule, ready to decide.

    `decide` is a pure function of the scores so far and the time waited: the same scores and times
    always give the same decision.
    """

    __slots__ = ("_patience", "_scoring", "_steps", "deadline")

    def __init__(self, policy: Policy) -> None:
        self.deadline = policy.deadline_ms
        self._scoring = policy.scoring
        self._steps = tuple(
            (after, tuple(_accepts(words, policy))) for after, words in sorted(policy.schedule)
        )
        later = [after for after, _ in self._steps if after > 0]
        self._patience = min(later, default=PATIENCE * self.deadline)

    def decide(
        self,
        scores: Mapping[Contender, bool],
        waited: float,
        *,
        deadline: float | None = None,
        forced: Contender | None = None,
        preferred: Contender | None = None,
    ) -> Decision:
        """Decide for one request.

        `scores` says who has spoken, and whether with a usable score (True) or an error (False).
        `waited` and `deadline` are ms since arrival; a request's own deadline only ever shortens
        the policy's. With `forced`, only that contender's score will do, at any time. The score of
        `preferred`, the contender in whose share the request is, is acceptable from the start; the others
        have to wait for the schedule's second step, or until that contender has failed.
        """
        end = self.deadline if deadline is None else min(deadline, self.deadline)
        if waited >= end:
            return _DEFAULT
        if forced is not None:
            return _forced(forced, scores, end)
        if preferred is not None and scores.get(preferred):
            return Accept(preferred, SHARE_RULE)
        if preferred is not None and preferred not in scores and waited < self._patience:
            return Wait(min(self._patience, end))
        return self._scheduled(scores, waited, end)

    def _scheduled(self, scores: Mapping[Contender, bool], waited: float, end: float) -> Decision:
        until = end
        for after, accepts in self._steps:
            if waited < after:
                until = min(after, end)
                break
            for contender, rule in accepts:
                if scores.get(contender):
                    return Accept(contender, rule)
        if len(scores) == len(self._scoring) and not any(scores.values()):
            return _DEFAULT  # everybody failed: waiting longer would change nothing
        return Wait(until)


def _forced(forced: Contender, scores: Mapping[Contender, bool], end: float) -> Decision:
    match scores.get(forced):
        case None:
            return Wait(end)
        case True:
            return Accept(forced, FORCED_RULE)
        case _:
            return _DEFAULT


def _accepts(words: Sequence[str], policy: Policy) -> list[tuple[Contender, str]]:
    """The contenders that a step lets in, the most preferred first, each with its word."""
    return [
        (contender, word)
        for word in words
        for contender in policy.scoring
        if word in (contender.role.value, contender.model)
    ]


def accepted(policy: Policy) -> list[Contender]:
    """Those whose score may be the answer to a request that is in nobody's share."""
    in_time = [words for after, words in policy.schedule if after < policy.deadline_ms]
    able = {contender for words in in_time for contender, _ in _accepts(words, policy)}
    return [contender for contender in policy.scoring if contender in able]


def check_schedule(policy: Policy, *, where: str) -> None:
    """Raise ProjectError for a schedule that names nobody, or in which nobody can ever answer."""
    known = [role.value for role in Role if role is not Role.DECOY]
    known += [contender.model for contender in policy.scoring]
    for after, words in policy.schedule:
        for word in words:
            if word not in known:
                raise ProjectError(
                    f"{where}: {word!r} is neither a role nor a model of this endpoint"
                    f"{did_you_mean(word, known)}; known are {', '.join(known)}"
                )
        if after < 0:
            raise ProjectError(f"{where}: {after:g}ms is before the request arrives")
    if not accepted(policy):
        raise ProjectError(
            f"{where}: accepts nobody's score before the deadline of {policy.deadline_ms:g}ms, "
            'so every answer would be the default; name a role, as in "0ms" = ["champion"]'
        )
