"""Programs that take part in the process door, well or badly."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from podium.models.process.child import Launch
from podium.models.process.runtime import Runtime
from podium.schema import Field, Kind, Schema

INPUTS = Schema((Field(name="x", type=Kind.FLOAT),))
OUTPUTS = Schema((Field(name="y", type=Kind.FLOAT),))

GOOD = """
    import json, sys
    for line in sys.stdin:
        asked = json.loads(line)
        y = [2 * x for x in asked["columns"]["x"]]
        print(json.dumps({"id": asked["id"], "columns": {"y": y}}), flush=True)
"""

MOODY = """
    import json, os, signal, subprocess, sys, time

    def say(text, end="\\n"):
        sys.stdout.write(text + end)
        sys.stdout.flush()

    for line in sys.stdin:
        asked = json.loads(line)
        id, x = asked["id"], asked["columns"]["x"]
        good = json.dumps({"id": id, "columns": {"y": [2 * value for value in x]}})
        mood = x[0]
        %s
        else:
            say(good)
"""
"""For x = 13 it does what is put in."""


def launch(folder: Path, source: str, *arguments: str) -> Launch:
    file = folder / "program.py"
    file.write_text(textwrap.dedent(source))
    return Launch(name="rule", argv=(sys.executable, "-I", "-S", str(file), *arguments), folder=folder)


def moody(folder: Path, action: str) -> Launch:
    lines = textwrap.indent(textwrap.dedent(action).strip(), " " * 12)
    return launch(folder, MOODY % ("if mood == 13:\n" + lines))


@contextmanager
def runtime(launched: Launch, *, timeout: float = 2.0) -> Iterator[Runtime]:
    """One that has answered. An answer is awaited for 1.2 s, if `timeout` is not given."""
    made = Runtime(launched, INPUTS, OUTPUTS, first={"x": np.zeros(1)}, timeout=timeout)
    try:
        made.start()
        yield made
    finally:
        made.close()


def ask(asked: Runtime, *values: float) -> list[float]:
    found: list[float] = asked.predict({"x": np.array(values)})["y"].tolist()
    return found
