"""What travels between the parts of Podium, apart from frames: contenders, scores, answers, policies."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from podium.errors import NotFound
from podium.schema import did_you_mean


class Role(StrEnum):
    """What a contender is on an endpoint for."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    CANARY = "canary"
    DECOY = "decoy"


DECOY = "decoy"
"""The model name of the decoy; no model of a project may have it."""

DEFAULT_RULE = "default"
FORCED_RULE = "forced"
SHARE_RULE = "share"


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A model version that is live on an endpoint.

    `version` is the first twelve digits of the package's digest, `number` the registry's count.
    The decoy has neither. `share` is the part of the traffic (0 to 1) for which a challenger's answer
    is preferred to the champion's.
    """

    model: str
    version: str = ""
    number: int = 0
    role: Role
    share: float | None = None

    @property
    def name(self) -> str:
        """`MODEL@VERSION`, the name that commands and headers use."""
        return f"{self.model}@{self.version}" if self.version else self.model

    def is_named(self, word: str) -> bool:
        """Whether `MODEL`, `MODEL@NUMBER` or `MODEL@DIGEST-PREFIX` means this contender."""
        model, at, version = word.partition("@")
        if model != self.model or not at:
            return word == self.model
        return version == str(self.number) or (len(version) >= 4 and self.version.startswith(version))


class Gates(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold before a contender is promoted; what is None is not asked.

    `requests` is how many requests both must have scored; `error` and `segment` how much larger than
    the champion's its error may be, overall and in any segment of an input (0.01 is one percent), at
    this `confidence`; `failures` bounds the part of its requests that it scored late or not at all,
    `p99_ms` its latency.
    """

    requests: int = 0
    failures: float | None = None
    error: float | None = None
    segment: float | None = None
    p99_ms: float | None = None
    confidence: float = 0.95


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """What makes an endpoint roll back by itself; what is None is not watched.

    Each bound is a part (0 to 1) of the last `window_s` seconds' requests, of which there must be
    `requests` at least: the champion's scores that are errors, or late, answers that are the default,
    rows in which the champion's score is not the canary's.
    """

    errors: float | None = None
    late: float | None = None
    defaults: float | None = None
    disagreement: float | None = None
    window_s: float = 60.0
    requests: int = 100


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's contenders and schedule: one small document with a revision number.

    `deadline_ms` and the schedule's times are milliseconds from a request's arrival. `schedule` maps
    a time to the words (roles or model names) whose scores are acceptable from then on, in order
    of preference. `default` is the answer when nobody is in time; without one there is none.
    `author`, `reason` and `changed` (µs since the epoch) say who made this revision, why and when;
    `restores` is the older revision that a rollback brought back, `from_file` says that it is as the
    project file said.
    """

    endpoint: str
    revision: int
    contenders: tuple[Contender, ...]
    deadline_ms: float
    schedule: tuple[tuple[float, tuple[str, ...]], ...]
    default: dict[str, Any] | None = None
    gates: Gates = Gates()
    guards: Guards = Guards()
    author: str = ""
    reason: str = ""
    changed: int = 0
    restores: int | None = None
    from_file: bool = False

    @property
    def champion(self) -> Contender:
        return next(c for c in self.contenders if c.role is Role.CHAMPION)

    def named(self, word: str) -> Contender:
        """The scoring contender that `MODEL` or `MODEL@VERSION` names, the first where several do.

        Raises NotFound with the names that exist.
        """
        for contender in self.scoring:
            if contender.is_named(word):
                return contender
        known = [contender.name for contender in self.scoring]
        near = did_you_mean(word, [*known, *(contender.model for contender in self.scoring)])
        raise NotFound(f"no contender {word!r} on {self.endpoint!r}{near}; there are {', '.join(known)}")

    @property
    def scoring(self) -> tuple[Contender, ...]:
        """The contenders that score: all but the decoy."""
        return tuple(c for c in self.contenders if c.role is not Role.DECOY)


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What goes back to the client.

    `columns` maps each output to values, a list or an array; this answer's are those in `rows`, as
    many as the request had. `model` and `version` are empty for a default answer, `ms` is since the
    request arrived.
    """

    id: str
    columns: Mapping[str, Any]
    rows: slice
    model: str
    version: str
    rule: str
    ms: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What really happened after one row of a request.

    `row` is the row's number within its request, `observed` when it happened (µs since the epoch; None:
    when it came in). `values` are the outputs that are known, at least one, checked against the schema.
    `path` is where it stood in the body.
    """

    id: str
    row: int = 0
    observed: int | None = None
    values: dict[str, Any]
    path: str = "$"
