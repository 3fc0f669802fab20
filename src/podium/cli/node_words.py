"""What `podium up` says: what to do next, who keeps crashing, and what was done at the end."""

from __future__ import annotations

import json
import shlex
from collections import deque
from pathlib import Path
from urllib.parse import urlencode

from podium.counters import Counts, total
from podium.node.keeper import Keeper
from podium.run import Run
from podium.schema import Kind, Schema

LAST_LINES = 6


def ready_words(run: Run, url: str, grpc: str | None, seconds: float) -> str:
    too = f", and for gRPC at {grpc}" if grpc else ""
    key = "   (podium key create CALLER makes a KEY)" if run.keys_required else ""
    return (
        f"Ready in {seconds:.1f} s: every contender answers at {url}{too}\n"
        f"  try it    {_curl(run, url)}{key}\n"
        f"  look      podium status, or {url}/docs in a browser\n"
        f"  stop it   Ctrl-C here, or podium down"
    )


def _curl(run: Run, url: str) -> str:
    row = example_row(run.asked)
    address = f"{url}/score/{run.endpoint}"
    key = " -H 'X-API-Key: KEY'" if run.keys_required else ""
    if len(row) <= 3 and all(not field.shape for field in run.asked.fields):
        values = {name: json.dumps(v) if isinstance(v, bool) else v for name, v in row.items()}
        return f"curl{key} {shlex.quote(f'{address}?{urlencode(values)}')}"
    return f"curl{key} {address} -d {shlex.quote(json.dumps(row))}"


def example_row(schema: Schema) -> dict[str, object]:
    """A row that the schema lets in: the middle of what training saw."""
    row: dict[str, object] = {}
    for field in schema.fields:
        if field.optional:
            continue
        middle = ((field.minimum or 0.0) + (field.maximum or 0.0)) / 2
        values = {
            Kind.FLOAT: float(f"{middle:.3g}"),
            Kind.INT: int(middle),
            Kind.BOOL: True,
            Kind.STRING: "text",
        }
        value: object = values[field.type]
        for size in reversed(field.shape):
            value = [value] * max(size, 1)
        row[field.name] = value
    return row


def crash_words(keeper: Keeper) -> str:
    report = keeper.report()
    lines = "".join(f"\n    {line}" for line in last_lines(keeper.log))
    return (
        f"{report.name} keeps crashing ({report.reason}); the others go on without it. "
        f"Its log, {keeper.log}, ends with:{lines or ' nothing'}"
    )


def last_lines(log: Path, count: int = LAST_LINES) -> list[str]:
    """The end of a log, without empty lines; nothing where there is none."""
    try:
        with log.open(errors="replace") as file:
            return list(deque((line.rstrip() for line in file if line.strip()), count))
    except OSError:
        return []


def totals(before: Counts, after: Counts) -> str:
    received, answered, defaulted, unkept = (
        total(after, name) - total(before, name) for name in ("received", "answered", "defaulted", "unkept")
    )
    lost = f" {unkept:,} messages could not be kept." if unkept else ""
    return (
        f"Stopped. Received {received:,}, answered {answered:,} ({defaulted:,} with the default).{lost} "
        f"Of all time: answered {total(after, 'answered'):,}, archived {total(after, 'archived'):,}."
    )
