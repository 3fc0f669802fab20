"""Plots as SVG: small pure functions from figures to markup, with no script and no other file.

Colours are CSS variables of the page, so a plot is light or dark with it. Every plot has a title and a
description for those who do not see it, and its figures are in the table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from zlib import crc32

from podium.trials.comparison import Bar, Comparison, Segment, Side
from podium.trials.errors import ReliabilityBin
from podium.trials.quantiles import Point

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 44
BAR = 22
"""Height of a line of a chart of lines."""

LABELS = 220
THINNEST = 3.0
"""Of a bar, so that one of a single value is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From values to pixels; `ticks` are round values within."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (self._of(each) for each in (self.low, self.high, value))
        part = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + part * (self.end - self.start), 2)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def ticks(self) -> Iterator[float]:
        if self.logarithmic:
            yield from _powers(self.low, self.high)
            return
        step = _step((self.high - self.low) / 5)
        value = math.ceil(self.low / step) * step
        while value <= self.high + step * 1e-9:
            yield 0.0 if abs(value) < step * 1e-9 else value
            value += step


def _step(rough: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * by for by in (1, 2, 5, 10) if power * by >= rough * 0.999)


def _powers(low: float, high: float) -> Iterator[float]:
    power = 10.0 ** math.floor(math.log10(low))
    while power <= high:
        yield from (power * by for by in (1, 2, 5) if low <= power * by <= high)
        power *= 10


# --- the plots ------------------------------------------------------------------------------


def quantile_quantile(found: Comparison, points: Sequence[Point], output: str) -> str:
    """Q–Q: on the diagonal both are distributed alike."""
    values = [value for point in points for value in (point.a, point.b)]
    low, high = _padded(min(values), max(values))
    x = Scale(low=low, high=high, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=low, high=high, start=HEIGHT - BOTTOM, end=TOP)
    parts = [
        *_axes(x, y, found.a.name, found.b.name),
        _line(x(low), y(low), x(high), y(high), "diagonal"),
        *(_dot(x(p.a), y(p.b), "b", f"{p.q:.1%}: {_figure(p.a)}, {_figure(p.b)}") for p in points),
    ]
    return _svg(
        f"Q–Q plot of {output}",
        f"Quantiles of {found.b.name} over those of {found.a.name}. On the diagonal both are distributed "
        "alike.",
        parts,
    )


def differences(found: Comparison, bars: Sequence[Bar], output: str) -> str:
    """How far b is from a, row by row."""
    edges = [edge for bar in bars for edge in (bar.low, bar.high) if edge is not None]
    low, high = min(edges), max(edges)
    if low == high:
        low, high = _padded(low, high)
    step = (high - low) / max(1, len(bars) - 2)
    x = Scale(low=low - step, high=high + step, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=0, high=max(bar.count for bar in bars) or 1, start=HEIGHT - BOTTOM, end=TOP)
    parts = [*_axes(x, y, f"{found.b.name} − {found.a.name}", "rows")]
    for bar in bars:
        start = x(low - step if bar.low is None else bar.low)
        end = x(high + step if bar.high is None else bar.high)
        kind = "a" if bar.low is None or bar.high is None else "b"
        words = f"{_bounds(bar)}: {bar.count:,} rows"
        parts.append(
            _rectangle(start, y(bar.count), max(THINNEST, end - start - 1), y(0) - y(bar.count), kind, words)
        )
    return _svg(
        f"Differences of {output}",
        f"How many rows have which difference between {found.b.name} and {found.a.name}. The outermost bars "
        "hold everything that lies further out.",
        parts,
    )


def latencies(found: Comparison) -> str:
    """From the median to the 99th percentile, for each part of the time and each contender."""
    lines = [
        (f"{what}, {side.model}", kind, getattr(side.latency, what))
        for what in ("queue", "compute", "total")
        for side, kind in ((found.a, "a"), (found.b, "b"))
    ]
    known = [(label, kind, q) for label, kind, q in lines if q.p50 and q.p99]
    if not known:
        return ""
    low = min(q.p50 for _, _, q in known) * 0.8
    high = max(q.p99 for _, _, q in known) * 1.25
    x = Scale(low=low, high=high, start=LABELS, end=WIDTH - RIGHT, logarithmic=True)
    height = TOP + BAR * len(known) + BOTTOM
    parts = [*_vertical(x, height, "ms, from the median (large dot) over p90 and p95 to p99")]
    for number, (label, kind, q) in enumerate(known):
        at = TOP + BAR * number + BAR / 2
        parts += [_label(label, at), _line(x(q.p50), at, x(q.p99), at, kind)]
        quantiles = (("p50", q.p50), ("p90", q.p90), ("p95", q.p95), ("p99", q.p99))
        parts += [
            _dot(x(value), at, kind, f"{label}, {name}: {_figure(value)} ms", 6 if name == "p50" else 3.5)
            for name, value in quantiles
        ]
    return _svg(
        "Latency quantiles",
        f"Median, p90, p95 and p99 of the time in the queue, of the computation and of both: {found.a.name} "
        f"and {found.b.name}, on a logarithmic scale.",
        parts,
        height,
    )


def segments(found: Comparison, parts: Sequence[Segment]) -> str:
    """The loss of either in each segment, joined by a line."""
    values = [v for part in parts for v in (part.judged.pair.mean_a, part.judged.pair.mean_b)]
    x = Scale(low=0, high=max(values) * 1.05 or 1, start=LABELS, end=WIDTH - RIGHT)
    height = TOP + BAR * len(parts) + BOTTOM
    drawn = [*_vertical(x, height, "mean loss: further left is better")]
    for number, part in enumerate(parts):
        at = TOP + BAR * number + BAR / 2
        a, b = part.judged.pair.mean_a, part.judged.pair.mean_b
        name = f"{part.input}: {part.values}"
        drawn += [
            _label(name, at),
            _line(x(a), at, x(b), at, "span"),
            _dot(x(a), at, "a", f"{name}: {found.a.name} {_figure(a)}"),
            _dot(x(b), at, "b", f"{name}: {found.b.name} {_figure(b)}"),
        ]
    return _svg(
        f"Errors in segments of {parts[0].output}",
        f"The mean loss of {found.a.name} and of {found.b.name} in each segment of the inputs.",
        drawn,
        height,
    )


def reliability(found: Comparison, bins: Sequence[tuple[Side, Sequence[ReliabilityBin]]], output: str) -> str:
    """How often came true what was said with which probability."""
    x = Scale(low=0, high=1, start=LEFT, end=WIDTH - RIGHT)
    y = Scale(low=0, high=1, start=HEIGHT - BOTTOM, end=TOP)
    parts = [*_axes(x, y, "probability", "came true"), _line(x(0), y(0), x(1), y(1), "diagonal")]
    for (side, some), kind in zip(bins, "ab", strict=True):
        parts += [
            _dot(
                x(one.predicted),
                y(one.observed),
                kind,
                f"{side.name}: {one.predicted:.2f}, {one.observed:.2f}",
            )
            for one in some
        ]
    return _svg(
        f"Calibration of {output}",
        f"How often came true what {found.a.name} and {found.b.name} said with which probability. On the "
        "diagonal a probability is right.",
        parts,
    )


# --- their parts ----------------------------------------------------------------------------


def _svg(title: str, description: str, parts: Sequence[str], height: float = HEIGHT) -> str:
    number = crc32(title.encode())  # ids of a page differ, and are the same each time
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="t{number} d{number}">'
        f'<title id="t{number}">{escape(title)}</title><desc id="d{number}">{escape(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def _axes(x: Scale, y: Scale, under: str, beside: str) -> Iterator[str]:
    for tick in y.ticks():
        yield _line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid")
        yield _text(LEFT - 6, y(tick) + 4, _tick(tick), "end")
    yield from _vertical(x, HEIGHT, under)
    yield (
        f'<text class="axis" text-anchor="middle" transform="rotate(-90)" '
        f'x="{-(HEIGHT - BOTTOM + TOP) / 2:g}" y="13">{escape(_short(beside, 44))}</text>'
    )


def _vertical(x: Scale, height: float, under: str) -> Iterator[str]:
    for tick in x.ticks():
        yield _line(x(tick), TOP, x(tick), height - BOTTOM, "grid")
        yield _text(x(tick), height - BOTTOM + 16, _tick(tick), "middle")
    middle = (x.start + x.end) / 2
    yield f'<text class="axis" text-anchor="middle" x="{middle:g}" y="{height - 6:g}">{escape(under)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def _dot(x: float, y: float, kind: str, words: str, radius: float = 4) -> str:
    return (
        f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="{radius:g}"><title>{escape(words)}</title></circle>'
    )


def _rectangle(  # noqa: PLR0917 - SVG's own order
    x: float, y: float, width: float, height: float, kind: str, words: str
) -> str:
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}">'
        f"<title>{escape(words)}</title></rect>"
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text text-anchor="{anchor}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def _label(words: str, at: float) -> str:
    """Left of a line; what does not fit is in the table."""
    return _text(LABELS - 10, at + 4, _short(words, 32), "end")


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _bounds(bar: Bar) -> str:
    if bar.low is None or bar.high is None:
        return f"under {_figure(bar.high)}" if bar.low is None else f"over {_figure(bar.low)}"
    return f"{_figure(bar.low)} to {_figure(bar.high)}"


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return low - pad, high + pad


def _tick(value: float) -> str:
    return f"{value:,.6g}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
