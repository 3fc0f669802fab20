"""What the lines of a period come to: in all, by contender, by rule, by caller, by hour and by day."""

from __future__ import annotations

import msgspec


class OutputErrors(msgspec.Struct, frozen=True, kw_only=True):
    """How wrong the scores of one output were, of the rows whose outcome is known.

    Of a number the mean absolute error and the root of the mean squared one, of a label the part that is
    wrong.
    """

    output: str
    judged: int
    mae: float | None = None
    rmse: float | None = None
    wrong: float | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts are requests, but `rows`, `compared` and `disagreements`, which are rows.

    Scores are those of all contenders in the group, whoever answered; how wrong is said of what was answered,
    and in a contender's figures of all that it scored. Quantiles are of the time to the answer, within 4.5 %;
    None where nothing was answered.
    """

    requests: int
    rows: int
    answers: int
    defaults: int
    scored: int
    late: int
    errors: int
    compared: int
    disagreements: int
    compute_s: float
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    against_outcomes: tuple[OutputErrors, ...]

    @property
    def unanswered(self) -> int:
        return self.requests - self.answers - self.defaults

    @property
    def disagreement(self) -> float | None:
        return self.disagreements / self.compared if self.compared else None


class OfContender(Figures, frozen=True, kw_only=True):
    """By whose scores they were, and whose answers; its answers are its requests."""

    model: str
    version: str


class OfRule(Figures, frozen=True, kw_only=True):
    """By why an answer was given, and whose it was; None where there was no answer."""

    rule: str | None
    model: str | None
    version: str | None


class OfCaller(Figures, frozen=True, kw_only=True):
    """None is whoever did not say."""

    caller: str | None


class OfTime(Figures, frozen=True, kw_only=True):
    """An hour or a day, by its first moment."""

    since: str


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Whole hours, from `since` up to, and without, `until`.

    `is_current` is false where another process was bringing the lines up to date.
    """

    endpoint: str
    since: str
    until: str
    is_current: bool
    total: Figures
    contenders: tuple[OfContender, ...]
    rules: tuple[OfRule, ...]
    callers: tuple[OfCaller, ...]
    hours: tuple[OfTime, ...]
    days: tuple[OfTime, ...]
