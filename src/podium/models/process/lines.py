"""The lines that Podium and a process say to each other, as `docs/protocol.md` has them. No I/O."""

from __future__ import annotations

import msgspec
import numpy as np

from podium.errors import ModelFailed
from podium.models.values import lists_of, of_lists
from podium.schema import Columns, Field, Schema

LAST_ID = 2**31 - 1
"""Questions are numbered up to here, then from 1 again: every language has such an integer."""

LONGEST = 64 * 1024 * 1024
"""Bytes of an answer's line. What goes on the stream is shorter still."""

_SHOWN = 60
"""Characters of a bad line that an error shows."""


class Answer(msgspec.Struct):
    """A line from the process. A number may be written as any JSON number that is equal to it."""

    id: int | float
    columns: dict[str, msgspec.Raw] | None = None
    error: str | None = None


_answers = msgspec.json.Decoder(Answer)


def question(number: int, columns: Columns) -> bytes:
    """One line. NaN, which stands for a missing value, is written as null."""
    lists = {name: values.tolist() for name, values in columns.items()}
    return msgspec.json.encode({"id": number, "columns": lists}) + b"\n"


def answer_in(line: bytes) -> Answer:
    """Raises ModelFailed for a line that is no answer."""
    try:
        answer = _answers.decode(line)
    except UnicodeDecodeError:
        raise ModelFailed(f"its standard output is not UTF-8: {shown(line)}") from None
    except msgspec.DecodeError as error:
        raise ModelFailed(
            f"its standard output has {shown(line)} where an answer belongs ({error}); whatever else it has "
            "to say goes to standard error"
        ) from None
    if answer.columns is None and answer.error is None:
        raise ModelFailed(f"its answer {shown(line)} has neither `columns` nor `error`")
    return answer


def shown(line: bytes | bytearray) -> str:
    """The beginning of a line, in quotes, on one line."""
    text = line.decode(errors="replace")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


class Reader:
    """From an answer's columns to arrays, exactly as the schema declares them."""

    def __init__(self, outputs: Schema) -> None:
        self._fields = outputs.fields
        self._decoders = {field.name: msgspec.json.Decoder(lists_of(field)) for field in outputs.fields}

    def read(self, answer: Answer, rows: int) -> dict[str, np.ndarray]:
        """Raises ModelFailed for an `error`, and for columns that are not what was declared.

        Columns beyond the declared ones are ignored.
        """
        if answer.error is not None:
            raise ModelFailed(" ".join(answer.error.split()) or "it answered an error without a text")
        given = answer.columns or {}
        return {field.name: self._column(field, given, rows) for field in self._fields}

    def _column(self, field: Field, given: dict[str, msgspec.Raw], rows: int) -> np.ndarray:
        if field.name not in given:
            raise ModelFailed(f"it answered the columns {sorted(given)}, expected {field.name!r}")
        try:
            values = self._decoders[field.name].decode(given[field.name])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = "a list with a value for each row, also of one row"
            raise ModelFailed(f"output {field.name!r}: {error}; expected {what}, of {field}") from None
        return of_lists(field, values, rows)
