"""Formats: how a model's file is written and read. Each is imported when it is chosen."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from podium.errors import UnknownFormat
from podium.models.formats.base import Format
from podium.schema import did_you_mean


class Entry(NamedTuple):
    """A line of the table: the module, and what loading it would run, where it runs something.

    `alone` says that a package scores by itself; a worker on the stream scores only there.
    """

    module: str
    runs: str = ""
    alone: bool = True


FORMATS = {
    "onnx": Entry("podium.models.formats.onnx"),
    "skops": Entry("podium.models.formats.skops"),
    "pickle": Entry("podium.models.formats.pickle", runs="a pickle"),
    "python": Entry("podium.models.formats.python", runs="a Python class"),
    "process": Entry("podium.models.formats.process", runs="a command"),
    "sql": Entry("podium.models.formats.sql"),
    "stream": Entry("podium.models.formats.stream", runs="a command", alone=False),
    "server": Entry("podium.models.formats.server"),
}


def entry(name: str) -> Entry:
    """Raises UnknownFormat."""
    if name not in FORMATS:
        raise UnknownFormat(
            f"the package's format is {name!r}{did_you_mean(name, list(FORMATS))}; this Podium reads "
            f"{', '.join(FORMATS)}"
        )
    return FORMATS[name]


def format_of(name: str) -> Format:
    """The module of a format. Raises UnknownFormat, or MissingExtra where its library is missing."""
    module: Format = importlib.import_module(entry(name).module)
    return module
