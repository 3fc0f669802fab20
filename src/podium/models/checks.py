"""What every suite of `podium check` shares: its report, and the rows that it asks about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np

from podium.models.examples import Examples
from podium.models.values import rows_of, take
from podium.schema import Columns, Field, Kind, Schema

TEXTS = ("", 'a "quoted" \\ word', "two\nlines", "Köln", "𝔘")
"""What may go wrong on its way."""

_SAME = 1e-9


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a report; `todo` says what to do, and is empty where nothing failed."""

    name: str
    verdict: Verdict
    said: str
    todo: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and how it came out: it is `ok` when nothing failed."""

    subject: str
    ok: bool
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, subject: str, checks: Iterable[Check]) -> Report:
        all_of_them = tuple(checks)
        ok = not any(check.verdict is Verdict.FAILED for check in all_of_them)
        return cls(subject=subject, ok=ok, checks=all_of_them)


class Failed(Exception):
    """A check that failed: what was seen, and what to do."""

    def __init__(self, said: str, todo: str) -> None:
        super().__init__(said)
        self.todo = todo


class Skipped(Exception):
    """A check that says nothing about this model."""


def same(field: Field, a: Any, b: Any, *, within: float = _SAME) -> bool:
    """Whether two values of an output are the same; numbers to a relative and absolute `within`."""
    if field.type is Kind.FLOAT:
        return bool(np.allclose(a, b, rtol=within, atol=within, equal_nan=True))
    return bool(np.all(a == b))


def compare_alone(
    ask: Callable[[Columns], Columns], rows: Columns, outputs: Schema, *, todo: str, within: float = _SAME
) -> str:
    """Raise Failed unless each row gets the same score by itself as among the others."""
    together = ask(rows)
    for index in range(rows_of(rows)):
        alone = ask(take(rows, slice(index, index + 1)))
        for field in outputs.fields:
            one, other = alone[field.name][0], together[field.name][index]
            if not same(field, other, one, within=within):
                raise Failed(
                    f"row {index} gives {field.name} = {one} alone and {other} among {rows_of(rows)}", todo
                )
    return f"{rows_of(rows)} rows give the same one by one"


def rows_like(examples: Examples, count: int) -> dict[str, np.ndarray]:
    """The examples over and over; made up where there are none."""
    if examples.declared:
        return {field.name: _made_up(field, count) for field in examples.inputs.fields}
    return take(examples.columns, np.arange(count) % rows_of(examples.columns))


def _made_up(field: Field, count: int) -> np.ndarray:
    """Different values in each row, and nothing that is known to fit the model."""
    shape = (count, *(max(size, 1) for size in field.shape))
    steps: np.ndarray = np.arange(np.prod(shape)).reshape(shape)
    match field.type:
        case Kind.FLOAT:
            found: np.ndarray = steps % 1000 / 1000
        case Kind.INT:
            found = steps % 10
        case Kind.BOOL:
            found = steps % 2 == 1
        case Kind.STRING:
            found = np.where(steps % 2 == 1, "text", "").astype(object)
    return found
