"""A comparison in words says what matters, and as a page nothing that was written by others is markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

import msgspec
import pytest

from podium.reports import plots
from podium.reports.comparison import Section, headline, in_short, sections
from podium.reports.page import render
from podium.reports.plots import Scale
from podium.trials.agreement import agreement
from podium.trials.comparison import (
    Bar,
    CanaryDrift,
    Comparison,
    Crossing,
    Disagreement,
    ErrorComparison,
    Latency,
    OutputComparison,
    Segment,
    Side,
    paired,
)
from podium.trials.drift import ColumnDrift, Level
from podium.trials.errors import Calibration, ClassErrors, Loss, NumberErrors, ReliabilityBin
from podium.trials.quantiles import Point, Quantiles
from podium.trials.sequential import PairMoments

HOSTILE = '</svg><script>alert("x")</script>&\''
TIMES = Quantiles(count=10, p50=0.5, p90=1, p95=2, p99=9)
NO_TIMES = Quantiles(count=0)


def side(model: str, **more: object) -> Side:
    found = Side(
        model=model,
        version="9f2c1ab04d5e",
        number=2,
        role="champion",
        scored=1000,
        late=5,
        errors=1,
        latency=Latency(queue=TIMES, compute=TIMES, total=TIMES),
    )
    return msgspec.structs.replace(found, **more)


def judged(count: int = 1000, *, b: float = 9.0) -> ErrorComparison:
    pair = PairMoments(count=count, mean_a=10.0, mean_b=b, variance_a=1.0, variance_b=1.0, covariance=0.9)
    errors = NumberErrors(count=count, mae=10.0, rmse=12.0, bias=-1.0)
    return ErrorComparison(outcomes=count, a=errors, b=errors, judged=paired(Loss.ABSOLUTE, pair))


def drift(level: Level | None, psi: float | None) -> ColumnDrift:
    return ColumnDrift(
        column="bmi",
        count=100,
        psi=psi,
        missing_before=0.0,
        missing_now=0.0,
        others_before=0.0,
        others_now=0.0,
        level=level,
    )


def canary(level: Level | None, psi: float | None = 0.3) -> CanaryDrift:
    return CanaryDrift(
        model="reference",
        version="29ac1561f3c2",
        reference="the first half",
        scores=(drift(level, psi),),
        inputs=(drift(level, psi),),
    )


def comparison(name: str = "progression", **more: object) -> Comparison:
    errors = judged()
    numbers = OutputComparison(
        name=name,
        agreement=agreement(1000, 800, 0.05),
        a=TIMES,
        b=TIMES,
        points=tuple(Point(q=q, a=100 * q, b=110 * q - 5) for q in (0.001, 0.01, 0.25, 0.5, 0.99, 0.999)),
        differences=(
            Bar(low=None, high=-1, count=2),
            Bar(low=-1, high=0, count=50),
            Bar(low=0, high=1, count=40),
            Bar(low=1, high=None, count=3),
        ),
        errors=errors,
    )
    classes = OutputComparison(
        name=f"{name}_probability",
        agreement=agreement(1000, 900, 0.05),
        crossings=(Crossing(a=name, b="other", count=100),),
        errors=msgspec.structs.replace(errors, a=of_classes(), b=of_classes()),
    )
    found = Comparison(
        endpoint="diabetes",
        since=1_700_000_000_000_000,
        until=1_700_003_600_000_000,
        a=side("linear"),
        b=side("forest"),
        common=990,
        rows=1000,
        agreement=agreement(1000, 800, 0.05),
        outputs=(numbers, classes),
        worst=(
            Disagreement(
                id=name,
                row=0,
                output=name,
                inputs={name: name, "image": [[0.5] * 40] * 40},
                a=name,
                b=2.5,
                distance=3.0,
            ),
        ),
        segments=(Segment(input=name, values=name, output=name, judged=errors.judged),),
        canary=canary("stable", 0.01),
    )
    return msgspec.structs.replace(found, **more)


def of_classes() -> ClassErrors:
    one = ReliabilityBin(low=0.9, high=1.0, count=10, predicted=0.95, observed=0.9)
    return ClassErrors(count=10, accuracy=0.9, auc=0.8, calibration=Calibration(bins=(one,), error=0.05))


def short(found: Comparison) -> str:
    return " ".join(in_short(found))


# --- words ----------------------------------------------------------------------------------


def test_the_headline_says_who_is_compared_with_whom() -> None:
    found = comparison(b=side("forest", role="challenger", replayed=True, number=0))
    assert headline(found) == (
        "diabetes: forest@9f2c1ab04d5e (challenger, replayed) compared with "
        "linear@9f2c1ab04d5e (number 2, champion)"
    )


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (judged(), "forest@9f2c1ab04d5e is better than linear@9f2c1ab04d5e"),
        (judged(b=11.0), "is worse than"),
        (judged(b=10.0), "is not shown to be better or worse than"),
        (judged(10), "on 10 outcomes: too few to tell"),
    ],
)
def test_errors_are_a_sentence_with_their_interval(errors: ErrorComparison, said: str) -> None:
    (numbers, _) = comparison().outputs
    found = comparison(outputs=(msgspec.structs.replace(numbers, errors=errors),))
    assert said in short(found)
    assert ("95% confidence" in short(found)) == (errors.judged.interval is not None)


def test_without_outcomes_it_says_how_to_send_them() -> None:
    (numbers, _) = comparison().outputs
    found = comparison(outputs=(msgspec.structs.replace(numbers, errors=None),), segments=())
    assert "`podium outcome`" in short(found)
    assert not [section for section in sections(found) if section.kind in ("errors", "segments")]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (canary("drifted"), "The inputs moved within the period (most of all bmi)"),
        (canary("stable", 0.01), "The inputs did not move"),
        (canary(None, None), "has too few scores"),
        (None, "no canary has scored them"),
    ],
)
def test_moved_inputs_are_told_from_models_that_differ(seen: CanaryDrift | None, said: str) -> None:
    words = short(comparison(canary=seen))
    assert said in words
    assert "the models' own" in words


def test_every_table_has_a_cell_under_each_heading() -> None:
    for section in sections(comparison()):
        assert all(len(row) == len(section.columns) for row in section.rows), section.title


def test_long_values_are_cut_and_lines_stay_lines() -> None:
    found = comparison("a\nb\x1b[31m" * 100)
    (worst,) = [section for section in sections(found) if section.kind == "worst"]
    for cell in (worst.rows[0][3], *worst.rows[0][6].split(", ")):
        assert cell.isprintable()
        assert len(cell) < 400


# --- the page -------------------------------------------------------------------------------


def test_what_others_wrote_is_text_and_never_markup() -> None:
    page = render(comparison(HOSTILE, a=side(HOSTILE), endpoint=HOSTILE))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10
    assert not re.search(r"""(?:href|src)=|url\(|@import|\son\w+=""", page)


def test_each_plot_is_whole_markup_with_a_title_and_a_description() -> None:
    page = render(comparison(HOSTILE))
    drawn = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawn) == 5  # Q–Q, differences, segments, latency, calibration
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        names = [root.find(tag) for tag in ("title", "desc")]
        assert all(name is not None and name.text for name in names)
        assert root.get("aria-labelledby") == " ".join(str(n.get("id")) for n in names if n is not None)
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_page_of_little_is_still_a_page() -> None:
    one = OutputComparison(
        name="x",
        agreement=agreement(1, 1, 0.05),
        a=TIMES,
        b=TIMES,
        points=(Point(q=0.5, a=1.0, b=1.0),),
        differences=(Bar(low=None, high=0.0, count=1), Bar(low=0.0, high=None, count=0)),
    )
    empty = Latency(queue=NO_TIMES, compute=NO_TIMES, total=NO_TIMES)
    found = comparison(
        outputs=(one,),
        segments=(),
        worst=(),
        canary=None,
        a=side("linear", latency=empty),
        b=side("forest", latency=empty),
    )
    assert "NaN" not in render(found)


# --- scales ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(low=0, high=10, start=0, end=100), [0, 2, 4, 6, 8, 10]),
        (Scale(low=-0.3, high=0.31, start=0, end=100), [-0.2, 0, 0.2]),
        (Scale(low=0.3, high=30, start=0, end=100, logarithmic=True), [0.5, 1, 2, 5, 10, 20]),
    ],
)
def test_ticks_are_round_values_within(scale: Scale, ticks: Sequence[float]) -> None:
    assert list(scale.ticks()) == pytest.approx(ticks)
    assert (scale(scale.low), scale(scale.high)) == (scale.start, scale.end)


def test_a_line_of_a_chart_is_as_long_as_its_difference() -> None:
    segment = comparison().segments[0]
    root = ElementTree.fromstring(plots.segments(comparison(), [segment]))
    (span,) = [line for line in root.findall("line") if line.get("class") == "span"]
    dots = [float(dot.get("cx", "0")) for dot in root.findall("circle")]
    assert [float(span.get(end, "0")) for end in ("x1", "x2")] == dots
    assert dots[0] > dots[1]  # a's loss is the larger one


def test_a_section_without_a_plot_has_none() -> None:
    section = Section(title="x", kind="short")
    assert (section.rows, section.columns) == ((), ())
