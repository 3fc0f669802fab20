"""A report in sections, on a terminal in colour, else as lines for a pipe or a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from podium.cli.columns import aligned
from podium.reports.comparison import Section


def show(headline: str, sections: Iterable[Section]) -> None:
    if (console := Console()).is_terminal:
        console.print(_rich(headline, sections))
        return
    for line in plain(headline, sections):
        click.echo(line)


def plain(headline: str, sections: Iterable[Section]) -> Iterator[str]:
    yield headline
    for section in sections:
        yield from ("", section.title, *section.notes)
        if section.rows:
            yield from aligned([section.columns, *section.rows])


def _rich(headline: str, sections: Iterable[Section]) -> RenderableType:
    parts: list[RenderableType] = [Text(headline, style="bold")]
    for section in sections:
        parts += [Text(), Text(section.title, style="bold cyan"), *map(Text, section.notes)]
        if section.rows:
            parts.append(_table(section))
    return Group(*parts)


def _table(section: Section) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in section.columns:
        table.add_column(Text(column))
    for row in section.rows:
        table.add_row(*map(Text, row))
    return table
