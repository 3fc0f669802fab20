"""A comparison as one HTML file that opens from a disk, with no script and no other file."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from podium.errors import MissingExtra
from podium.reports import plots
from podium.reports.comparison import Section, headline, sections
from podium.trials.comparison import Comparison, OutputComparison
from podium.trials.errors import ClassErrors

TEMPLATE = "comparison.html"


def render(found: Comparison) -> str:
    """The page. Whatever a model or a caller wrote stays text. Raises MissingExtra without Jinja2."""
    try:
        from jinja2 import Environment, StrictUndefined  # an extra: only who wants a page needs it
        from markupsafe import Markup
    except ModuleNotFoundError:
        raise MissingExtra("Jinja2", "reports") from None
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((files("podium.reports") / TEMPLATE).read_text("utf-8"))
    # Only what `plots` drew is markup, and that escapes each text in it.
    parts = [(section, [Markup(plot) for plot in _plots(found, section)]) for section in sections(found)]
    return template.render(title=headline(found), found=found, parts=parts)


def _plots(found: Comparison, section: Section) -> Iterator[str]:
    match section.kind:
        case "latency":
            yield plots.latencies(found)
        case "segments":
            yield plots.segments(found, [part for part in found.segments if part.output == section.output])
        case "numbers":
            output = _output(found, section)
            yield plots.quantile_quantile(found, output.points, output.name)
            yield plots.differences(found, output.differences, output.name)
        case "errors":
            yield from _calibration(found, _output(found, section))


def _calibration(found: Comparison, output: OutputComparison) -> Iterator[str]:
    errors = output.errors
    if errors and isinstance(errors.a, ClassErrors) and isinstance(errors.b, ClassErrors):
        a, b = errors.a.calibration, errors.b.calibration
        if a and b:
            yield plots.reliability(found, [(found.a, a.bins), (found.b, b.bins)], output.name)


def _output(found: Comparison, section: Section) -> OutputComparison:
    return next(output for output in found.outputs if output.name == section.output)
