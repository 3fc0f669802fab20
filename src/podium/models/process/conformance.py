"""Whether a command keeps the process door's protocol: one check after the other, each failure explained."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from podium.errors import ModelFailed
from podium.models.checks import TEXTS, Check, Failed, Skipped, Verdict, compare_alone, rows_like, same
from podium.models.digest import digest_of
from podium.models.examples import Examples
from podium.models.process.child import Child, Ended, Launch, Slow, TooLong
from podium.models.process.lines import LAST_ID, Answer, Reader, answer_in, question, shown
from podium.models.values import rows_of, take
from podium.schema import Columns, Kind, Schema

START_SECONDS = 50.0
ANSWER_SECONDS = 5.0
END_SECONDS = 2.0
MANY, LARGE = 100, 10_000


class Suite:
    """The checks of one command. `run` yields them as they are made; it starts the command anew at need.

    `packed` says that its folder is a package's, and has to stay as it is.
    """

    def __init__(
        self, launch: Launch, inputs: Schema, outputs: Schema, examples: Examples, *, packed: bool
    ) -> None:
        self._launch = launch
        self._inputs = inputs
        self._outputs = outputs
        self._examples = examples
        self._packed = packed
        self._reader = Reader(outputs)
        self._child: Child | None = None
        self._starts = True
        self._noise: list[bytes] = []
        self._number = 0

    def run(self) -> Iterator[Check]:
        before = self._files()
        for named in CHECKS:
            if self._starts:
                yield self._made(named)
            else:
                yield Check(name=named.name, verdict=Verdict.SKIPPED, said="it does not start")
        self._end()
        if self._packed:
            changed = self._files() != before
            yield Check(
                name="its folder stays as it is",
                verdict=Verdict.FAILED if changed else Verdict.OK,
                said="it writes into its folder" if changed else "nothing was written there",
                todo="a package cannot change: write to a temporary folder" if changed else "",
            )

    def _files(self) -> str:
        """What tells whether its folder was changed."""
        folder = self._launch.folder
        there = self._packed and any(path.is_file() for path in folder.rglob("*"))
        return digest_of(folder) if there else ""

    def _made(self, named: _Named) -> Check:
        try:
            said = named.check(self)
        except Skipped as error:
            return Check(name=named.name, verdict=Verdict.SKIPPED, said=str(error))
        except Failed as error:
            return Check(name=named.name, verdict=Verdict.FAILED, said=str(error), todo=error.todo)
        except Slow as error:
            self._end()
            said, todo = f"no answer within {ANSWER_SECONDS:g} s{error}", _FLUSH
            return Check(name=named.name, verdict=Verdict.FAILED, said=said, todo=todo)
        except Ended as error:
            self._end()
            return Check(name=named.name, verdict=Verdict.FAILED, said=str(error), todo=_LIVE_ON)
        except (ModelFailed, TooLong) as error:
            return Check(name=named.name, verdict=Verdict.FAILED, said=str(error), todo=named.todo)
        return Check(name=named.name, verdict=Verdict.OK, said=said)

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    # --- asking -------------------------------------------------------------------------------

    def _running(self) -> Child:
        if self._child is None:
            self._starts = False
            self._child = Child(self._launch)
            try:
                self._ask(self._rows(1), seconds=START_SECONDS)
            except Slow as error:
                self._end()
                raise Failed(f"no answer within {START_SECONDS:g} s of its start{error}", _FLUSH) from None
            self._starts = True
        return self._child

    def _ask(self, columns: Columns, *, seconds: float = ANSWER_SECONDS) -> Answer:
        self._number += 1
        return self._asked(question(self._number, columns), self._number, seconds)

    def _asked(self, line: bytes, number: int, seconds: float = ANSWER_SECONDS) -> Answer:
        child = self._running()
        child.send(line)
        return self._answer(child, number, time.monotonic() + seconds)

    def _answer(self, child: Child, number: int, until: float) -> Answer:
        """The next answer; what is none is remembered for the check of standard output."""
        while True:
            line = child.line(until)
            try:
                answer = answer_in(line)
            except ModelFailed:
                self._noise.append(line)
                continue
            if answer.id != number:
                raise Failed(
                    f"it answered the id {answer.id:.12g}, but was asked {number}",
                    "copy `id` from the question into its answer, and answer once, in the questions' order",
                )
            return answer

    def _read(self, answer: Answer, rows: int) -> dict[str, np.ndarray]:
        if answer.error is not None:
            todo = "give rows that it can score, as in examples = [{ bmi = 0.05 }]" if self._declared else ""
            raise Failed(
                f"it answered the error {answer.error!r}", todo or "see why: it should score its examples"
            )
        return self._reader.read(answer, rows)

    @property
    def _declared(self) -> bool:
        return self._examples.declared

    def _rows(self, count: int) -> dict[str, np.ndarray]:
        return rows_like(self._examples, count)

    # --- the checks ---------------------------------------------------------------------------

    def starts(self) -> str:
        began = time.monotonic()
        self._running()
        return f"the first answer came after {time.monotonic() - began:.2f} s"

    def one_row(self) -> str:
        self._read(self._ask(self._rows(1)), 1)
        return "a list with one value"

    def many_rows(self) -> str:
        self._read(self._ask(self._rows(MANY)), MANY)
        return f"{MANY} rows, {MANY} values"

    def alone_and_together(self) -> str:
        def ask(rows: Columns) -> Columns:
            return self._read(self._ask(rows), rows_of(rows))

        todo = "score each row by itself: a model has no memory, and rows do not know of each other"
        return compare_alone(ask, self._rows(3), self._outputs, todo=todo)

    def texts(self) -> str:
        fields = [field for field in self._inputs.fields if field.type is Kind.STRING]
        if not fields:
            raise Skipped("no input is text")
        rows = self._rows(len(TEXTS))
        for field in fields:
            for index, text in enumerate(TEXTS):
                rows[field.name][index] = text
        answer = self._ask(rows)
        if answer.error is not None:
            return "empty text, line ends and letters beyond ASCII arrive; it has no score for them"
        self._read(answer, len(TEXTS))
        return "empty text, line ends and letters beyond ASCII"

    def missing(self) -> str:
        fields = [field for field in self._inputs.fields if field.missing]
        if not fields:
            raise Skipped("no input may be missing")
        rows = self._rows(2)
        for field in fields:
            rows[field.name][1] = np.nan
        self._read(self._ask(rows), 2)
        return "null among the numbers"

    def ids(self) -> str:
        for number in (1, 100_000, LAST_ID):
            self._asked(question(number, self._rows(1)), number)
        return f"up to {LAST_ID}"

    def unknown_words(self) -> str:
        self._number += 1
        line = question(self._number, self._rows(1)).rstrip().removesuffix(b"}")
        answer = self._asked(line + b',"later":{"a":[1]}}\n', self._number)
        if answer.error is not None:
            raise Failed(f"it answered the error {answer.error!r}", "ignore keys that you do not know")
        self._read(answer, 1)
        return "a key that it does not know is ignored"

    def nonsense(self) -> str:
        self._number += 1
        line = msgspec.json.encode({"id": self._number, "columns": {"no such column": ["?"]}}) + b"\n"
        answer = self._asked(line, self._number)
        if answer.error is None:
            raise Failed(
                "it answered columns to a question without its inputs",
                'answer {"id": …, "error": "why"} when a column is not there',
            )
        self._read(self._ask(self._rows(1)), 1)
        return f"it says {answer.error!r:.60} and lives on"

    def two_at_once(self) -> str:
        rows = self._rows(2)
        first, second = (take(rows, slice(index, index + 1)) for index in range(2))
        expected = [self._read(self._ask(each), 1) for each in (first, second)]
        numbers = [self._number + 1, self._number + 2]
        self._number += 2
        child = self._running()
        child.send(question(numbers[0], first) + question(numbers[1], second))
        until = time.monotonic() + ANSWER_SECONDS
        for number, wanted in zip(numbers, expected, strict=True):
            found = self._read(self._answer(child, number, until), 1)
            for field in self._outputs.fields:
                if not same(field, wanted[field.name][0], found[field.name][0]):
                    raise Failed(
                        f"question {number} got the answer of another", "answer in the order of the questions"
                    )
        return "both are answered, in their order"

    def large_frame(self) -> str:
        began = time.monotonic()
        self._read(self._ask(self._rows(LARGE)), LARGE)
        return f"{LARGE:,} rows in {(time.monotonic() - began) * 1000:.0f} ms"

    def standard_output(self) -> str:
        if self._noise:
            raise Failed(
                f"{len(self._noise)} lines on standard output are no answers; one is {shown(self._noise[0])}",
                "print whatever is no answer to standard error",
            )
        return "nothing but answers"

    def end_of_input(self) -> str:
        child = self._running()
        began = time.monotonic()
        child.end_input()
        if child.wait(END_SECONDS) is None:
            self._end()
            raise Failed(
                f"still there {END_SECONDS:g} s after the end of its standard input",
                "end when there is no next line: that is how it is stopped",
            )
        self._end()
        return f"it ends within {max(0.01, time.monotonic() - began):.2f} s"

    def terminated(self) -> str:
        child = self._running()
        child.terminate()
        status, said = child.wait(END_SECONDS / 4), "it ends"
        if status is None:  # some languages see a signal only once they have a line
            child.end_input()
            status, said = child.wait(END_SECONDS), "it ends, once its standard input has ended too"
        self._end()
        if status == -signal.SIGKILL:
            raise Failed(
                "still there a second after SIGTERM and the end of its standard input, so it was killed",
                "do not ignore SIGTERM; a program that does nothing about it ends by itself",
            )
        return said


class _Named(NamedTuple):
    """A check, and what to do where its failure does not say it."""

    name: str
    check: Callable[[Suite], str]
    todo: str


_FLUSH = "answer each line before reading the next one, and flush standard output after each answer"
_LIVE_ON = (
    "go on reading lines until standard input ends; where a question cannot be answered, answer "
    '{"id": …, "error": "why"}'
)
_LISTS = "answer a list for each output, with a value for each row, also where there is only one row"

CHECKS = (
    _Named("starts", Suite.starts, _LIVE_ON),
    _Named("one row", Suite.one_row, _LISTS),
    _Named("many rows", Suite.many_rows, _LISTS),
    _Named("rows alone and together", Suite.alone_and_together, _LISTS),
    _Named("text", Suite.texts, _LISTS),
    _Named("missing values", Suite.missing, "null is a missing number; it can be an input like any other"),
    _Named("ids", Suite.ids, "copy `id` from the question, as an integer"),
    _Named("unknown words", Suite.unknown_words, _LISTS),
    _Named("nonsense", Suite.nonsense, _LIVE_ON),
    _Named("two questions at once", Suite.two_at_once, _LISTS),
    _Named("a large frame", Suite.large_frame, _LISTS),
    _Named("standard output", Suite.standard_output, ""),
    _Named("the end of input", Suite.end_of_input, ""),
    _Named("SIGTERM", Suite.terminated, ""),
)
