"""Whether a server answers as Podium will ask it: one check after the other, each failure explained."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from podium.errors import ModelFailed
from podium.models.checks import TEXTS, Check, Failed, Skipped, Verdict, compare_alone, rows_like
from podium.models.examples import Examples
from podium.models.server.base import Door
from podium.models.server.http import Pool, Reply, Request, Slow
from podium.models.server.replies import checked
from podium.models.server.runtime import learn
from podium.models.values import rows_of, take
from podium.schema import Columns, Kind, Schema

ANSWER_SECONDS = 5.0
MANY, LARGE = 100, 10_000
_ALIKE = 1e-6
_NONSENSE = b'{"podium": "asks what this is"}'


class Suite:
    """The checks of one model's server. `run` yields them as they are made."""

    def __init__(
        self, url: str, door: Door, outputs: Schema, examples: Examples, *, connections: int
    ) -> None:
        self._url = url
        self._door = door
        self._outputs = outputs
        self._examples = examples
        self._pool = Pool(url, connections=connections)
        self._reached = False

    def run(self) -> Iterator[Check]:
        try:
            for named in CHECKS:
                if self._reached or named.check is Suite.address:
                    yield self._made(named)
                else:
                    yield Check(name=named.name, verdict=Verdict.SKIPPED, said="nothing listens there")
        finally:
            self._pool.close()

    def _made(self, named: _Named) -> Check:
        try:
            said = named.check(self)
        except Skipped as error:
            return Check(name=named.name, verdict=Verdict.SKIPPED, said=str(error))
        except Failed as error:
            return Check(name=named.name, verdict=Verdict.FAILED, said=str(error), todo=error.todo)
        except Slow as error:
            said = f"no answer within {ANSWER_SECONDS:g} s{error}"
            return Check(name=named.name, verdict=Verdict.FAILED, said=said, todo=named.todo)
        except ModelFailed as error:
            return Check(name=named.name, verdict=Verdict.FAILED, said=str(error), todo=named.todo)
        return Check(name=named.name, verdict=Verdict.OK, said=said)

    # --- asking -------------------------------------------------------------------------------

    def _replies(self, columns: Columns) -> list[Reply]:
        return self._pool.ask(self._door.questions(columns), time.monotonic() + ANSWER_SECONDS)

    def _ask(self, columns: Columns) -> dict[str, np.ndarray]:
        found = self._door.answers(self._replies(columns), rows_of(columns))
        for field in self._outputs.fields:
            if field.type is Kind.FLOAT and not field.missing and not np.isfinite(found[field.name]).all():
                raise Failed(f"{field.name!r} is null for some rows", "a score is a number for each row")
        return found

    def _rows(self, count: int) -> dict[str, np.ndarray]:
        return rows_like(self._examples, count)

    # --- the checks ---------------------------------------------------------------------------

    def address(self) -> str:
        self._pool.reach(time.monotonic() + ANSWER_SECONDS)
        self._reached = True
        learn(self._door, self._pool, time.monotonic() + ANSWER_SECONDS)
        return f"{self._url} can be reached"

    def health(self) -> str:
        route = self._door.health
        if not route:
            raise Skipped('no route is known that says so; `health = "/path"` names one')
        (reply,) = self._pool.ask([Request(method="GET", target=route)], time.monotonic() + ANSWER_SECONDS)
        checked(reply)
        return f"{route} says that it is ready"

    def one_row(self) -> str:
        self._ask(self._rows(1))
        return "a value for each output"

    def many_rows(self) -> str:
        rows = self._rows(MANY)
        self._ask(rows)
        asked = len(self._door.questions(rows))
        return f"{MANY} rows in {asked} request{'s' if asked > 1 else ''}"

    def alone_and_together(self) -> str:
        todo = "score each row by itself, in the order of the rows"
        return compare_alone(self._ask, self._rows(3), self._outputs, todo=todo, within=_ALIKE)

    def texts(self) -> str:
        fields = [field for field in self._examples.inputs.fields if field.type is Kind.STRING]
        if not fields:
            raise Skipped("no input is text")
        rows = self._rows(len(TEXTS))
        for field in fields:
            for index, text in enumerate(TEXTS):
                rows[field.name][index] = text
        try:
            self._ask(rows)
        except Slow:
            raise
        except ModelFailed as error:
            return f"it has no score for strange texts: {error}"
        return "empty text, line ends and letters beyond ASCII"

    def missing(self) -> str:
        fields = [field for field in self._examples.inputs.fields if field.missing]
        if not fields:
            raise Skipped("no input may be missing")
        rows = self._rows(2)
        for field in fields:
            rows[field.name][1] = np.nan
        self._ask(rows)
        return "a missing number among the others"

    def nonsense(self) -> str:
        first = self._door.questions(self._rows(1))[0]
        route = first.target.partition("?")[0] if first.body is None else first.target
        body = None if first.body is None else _NONSENSE
        asked = Request(method=first.method, target=route, body=body, headers=first.headers)
        replies = self._pool.ask([asked], time.monotonic() + ANSWER_SECONDS)
        try:
            self._door.answers(replies, 1)
        except ModelFailed as error:
            self._ask(self._rows(1))
            return f"{error!s:.80}; the next question is fine"
        raise Failed(
            "it answered scores to a question without its inputs",
            "answer 400 or 422: else a mistake in a name is taken for a score",
        )

    def large_frame(self) -> str:
        rows = self._rows(LARGE)
        if len(self._door.questions(take(rows, slice(0, 2)))) > 1:
            raise Skipped("each row is a request of its own")
        began = time.monotonic()
        self._ask(rows)
        return f"{LARGE:,} rows in {(time.monotonic() - began) * 1000:.0f} ms"


class _Named(NamedTuple):
    """A check, and what to do where its failure does not say it."""

    name: str
    check: Callable[[Suite], str]
    todo: str


_ROWS = "compare what it answers with `protocol`, `layout` and `outputs` in podium.toml"

CHECKS = (
    _Named("address", Suite.address, "start the server, or correct `url`"),
    _Named("health", Suite.health, "answer 200 there once the model is loaded, or name another `health`"),
    _Named("one row", Suite.one_row, f"{_ROWS}; give rows that it can score in `examples`"),
    _Named("many rows", Suite.many_rows, f"{_ROWS}: each row needs its own score"),
    _Named("rows alone and together", Suite.alone_and_together, _ROWS),
    _Named("text", Suite.texts, _ROWS),
    _Named("missing values", Suite.missing, "score a row with a missing number, or leave `missing` out"),
    _Named("nonsense", Suite.nonsense, "answer 400 to what is no question, and go on answering"),
    _Named("a large frame", Suite.large_frame, "set `batch_rows` to what it takes at once"),
)
