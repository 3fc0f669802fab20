"""Gates: rules on a comparison that must hold before a contender is promoted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from podium.records import Gates
from podium.trials.comparison import Comparison, PairedLoss, relative_bound

Gate = Literal["requests", "failures", "error", "segment", "p99"]
SMALLEST_SEGMENT = 100
"""A segment with fewer outcomes shows nothing, and is not judged."""


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One gate: what was measured against its bound, and in words by how much it fails.

    Of `error` and `segment`, `measured` is how much larger than the champion's the error may still be at
    the gate's confidence, as a part of the champion's. `short` is what is missing to pass, in the unit of
    `bound` (requests, parts, ms): 0 where the gate passed, None where nothing could be measured, as
    `measured` then is.
    """

    gate: Gate
    passed: bool
    measured: float | None
    bound: float
    short: float | None
    words: str


def check(gates: Gates, comparison: Comparison) -> tuple[GateResult, ...]:
    """A result for each gate that is set, in their order."""
    return tuple(_results(gates, comparison))


def _results(gates: Gates, comparison: Comparison) -> Iterator[GateResult]:
    if gates.requests > 0:
        yield _requests(gates.requests, comparison)
    if gates.failures is not None:
        yield _failures(gates.failures, comparison)
    if gates.error is not None:
        yield _error(gates.error, gates.confidence, comparison)
    if gates.segment is not None:
        yield _segment(gates.segment, gates.confidence, comparison)
    if gates.p99_ms is not None:
        yield _p99(gates.p99_ms, comparison)


def _requests(bound: int, comparison: Comparison) -> GateResult:
    short = max(0, bound - comparison.common)
    said = f"{comparison.common:,} requests were scored by both, {bound:,} are asked"
    return GateResult(
        gate="requests",
        passed=not short,
        measured=comparison.common,
        bound=bound,
        short=short,
        words=said + (f": {short:,} are missing" if short else ""),
    )


def _failures(bound: float, comparison: Comparison) -> GateResult:
    side = comparison.b
    failed, asked = side.late + side.errors, side.scored + side.late + side.errors
    if not asked:
        return _unmeasured("failures", bound, f"{side.name} was asked to score nothing")
    measured = failed / asked
    short = max(0.0, measured - bound)
    said = (
        f"{side.name} scored {_percent(measured)} of {asked:,} requests late or not at all, "
        f"allowed is {_percent(bound)}"
    )
    return GateResult(
        gate="failures",
        passed=measured <= bound,
        measured=measured,
        bound=bound,
        short=short,
        words=said + (f": {100 * short:.2g} points too much" if short else ""),
    )


def _p99(bound: float, comparison: Comparison) -> GateResult:
    measured = comparison.b.latency.total.p99
    if measured is None:
        return _unmeasured("p99", bound, f"{comparison.b.name} has no scores, so no latency")
    short = max(0.0, measured - bound)
    said = f"99% of {comparison.b.name}'s scores took at most {measured:.3g} ms, allowed are {bound:g} ms"
    if bound <= 0:
        said = f"{said}, which no model keeps"
    return GateResult(
        gate="p99",
        passed=measured <= bound,
        measured=measured,
        bound=bound,
        short=short,
        words=said + (f": {short:.3g} ms too slow" if short else ""),
    )


# --- errors against outcomes ----------------------------------------------------------------


class _Judged(msgspec.Struct, frozen=True):
    """Whose error, how much larger it may still be (None: anything), and how large it is."""

    what: str
    loss: PairedLoss
    may_be: float | None


def _error(bound: float, confidence: float, comparison: Comparison) -> GateResult:
    losses = [(output.name, output.errors.judged) for output in comparison.outputs if output.errors]
    if not losses:
        return _unmeasured("error", bound, NO_OUTCOMES)
    return _worst(
        "error", bound, confidence, [_judged(what, loss, bound, confidence) for what, loss in losses]
    )


def _segment(bound: float, confidence: float, comparison: Comparison) -> GateResult:
    large = [segment for segment in comparison.segments if segment.outcomes >= SMALLEST_SEGMENT]
    small = len(comparison.segments) - len(large)
    if not large:
        few = f"no segment of an input has {SMALLEST_SEGMENT} outcomes"
        return _unmeasured("segment", bound, few if small else NO_OUTCOMES)
    judged = [
        _judged(f"{one.output} where {one.input} is {one.values}", one.judged, bound, confidence)
        for one in large
    ]
    result = _worst("segment", bound, confidence, judged)
    if not small:
        return result
    said = (
        f"{small} of {len(comparison.segments)} segments, with under {SMALLEST_SEGMENT} outcomes, not judged"
    )
    return msgspec.structs.replace(result, words=f"{result.words}; {said}")


def _judged(what: str, loss: PairedLoss, bound: float, confidence: float) -> _Judged:
    may_be = relative_bound(loss.loss, loss.pair, confidence, asked=bound) if confidence < 1 else None
    return _Judged(what, loss, may_be)


def _worst(gate: Gate, bound: float, confidence: float, judged: list[_Judged]) -> GateResult:
    """All must pass, so each is judged at the full confidence: a chance that lets one pass opens no gate."""
    worst = max(judged, key=lambda one: math.inf if one.may_be is None else one.may_be)
    failed = [one for one in judged if one.may_be is None or one.may_be > bound]
    words = _words(worst, bound, confidence)
    return GateResult(
        gate=gate,
        passed=not failed,
        measured=worst.may_be,
        bound=bound,
        short=None if worst.may_be is None else max(0.0, worst.may_be - bound),
        words=words + (f"; {len(failed)} of {len(judged)} fail, this the most" if len(failed) > 1 else ""),
    )


def _words(one: _Judged, bound: float, confidence: float) -> str:
    if confidence >= 1:
        return "a confidence of 100% is never reached, so this gate never opens: set one such as 95%"
    said = f"{one.what}: on {one.loss.pair.count:,} outcomes the error is {_compared(one.loss)}"
    sure = f"at {_percent(confidence)} confidence"
    if one.may_be is None:
        return f"{said}; {sure} it may be any times larger, allowed is {_percent(bound)}"
    said = f"{said}; {sure} {_at_most(one.may_be)}, allowed is {_percent(bound)}"
    if one.may_be <= bound:
        return said
    return f"{said}: {100 * (one.may_be - bound):.2g} points too much{_needed(one, bound)}"


def _compared(loss: PairedLoss) -> str:
    if loss.relative is None:
        return f"{loss.pair.mean_b:.3g}, the champion's is 0"
    return (
        f"{_percent(abs(loss.relative))} {'larger' if loss.relative > 0 else 'smaller'} than the champion's"
    )


def _at_most(may_be: float) -> str:
    if may_be <= 0:
        return f"it is smaller by {_percent(-may_be)} at least"
    return f"it is larger by {_percent(may_be)} at most"


def _needed(one: _Judged, bound: float) -> str:
    """How many outcomes it takes if the errors stay as they are: a margin shrinks with their root."""
    now = one.loss.relative
    if one.may_be is None or now is None or now >= bound:
        return ""
    count = one.loss.pair.count * ((one.may_be - now) / (bound - now)) ** 2
    return f"; if nothing else changes, about {float(f'{count:.1e}'):,.0f} outcomes will do"


def _percent(part: float) -> str:
    return f"{100 * part:.3g}%"


NO_OUTCOMES = "there are no outcomes of requests that both have scored: send them with `podium outcome`"


def _unmeasured(gate: Gate, bound: float, words: str) -> GateResult:
    return GateResult(gate=gate, passed=False, measured=None, bound=bound, short=None, words=words)
