"""Outcomes as clients send them, and as frames carry them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import numpy as np

from podium.errors import InvalidInput
from podium.protocol.frames import Tensor, tensor
from podium.records import Outcome
from podium.schema import Field, Kind, Schema, did_you_mean, same_shape
from podium.validation import (
    explained,
    is_finite,
    not_finite,
    path_of,
    read_leniently,
    refuse_duplicates,
    row_type,
)

ID = r"^[ -~]{1,200}$"
"""What an id may be: printable ASCII, so that it can be a header."""

HEADER = "podium-observed"
ROWS_PER_FRAME = 4096

_AN_OUTPUT = "an output"
_MEMBERS = {
    "id": "a request's id: 1 to 200 printable characters",
    "row": "the number of one of the request's rows, from 0",
    "observed": "a time with its zone, such as 2026-11-24T12:00:00Z",
    "outcome": "an object of outputs",
}
_Id = Annotated[str, msgspec.Meta(pattern=ID)]
_Row = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OutcomeReader:
    """Checks outcomes against an endpoint's outputs; built once.

    Any output may be left out, but not all. Raises NotJSON for what no parser reads, InvalidInput
    with path and expectation for what does not fit.
    """

    def __init__(self, outputs: Schema) -> None:
        self._outputs = outputs
        row: Any = row_type(outputs, partial=True)
        rows: Any = list[row]
        item: Any = msgspec.defstruct(
            "Item",
            [("id", _Id), ("outcome", row), ("row", _Row, 0), ("observed", _Time | None, None)],
            forbid_unknown_fields=True,
            kw_only=True,
        )
        items: Any = list[item]
        self._one = msgspec.json.Decoder(row | rows)
        self._many = msgspec.json.Decoder(items)

    def of_request(self, id: str, body: bytes, observed: str | None) -> list[Outcome]:
        """Of one request: an object of outputs, or a list of them for its rows in their order."""
        when = None if observed is None else _header_time(observed)
        decoded = self._decode(self._one, body, below="")
        single = not isinstance(decoded, list)
        rows = [decoded] if single else decoded
        if not rows:
            raise InvalidInput("an empty list has no rows", expected="a row for each of the request's")
        paths = ["$"] if single else [f"$[{number}]" for number in range(len(rows))]
        return [
            Outcome(id=id, row=number, observed=when, values=self._values(row, path), path=path)
            for number, (row, path) in enumerate(zip(rows, paths, strict=True))
        ]

    def of_many(self, body: bytes) -> list[Outcome]:
        """Of many requests: a list of objects with `id`, `outcome`, and perhaps `row` and `observed`."""
        found = []
        places: dict[tuple[str, int], int] = {}
        for index, item in enumerate(self._decode(self._many, body, below=".outcome")):
            if (before := places.setdefault((item.id, item.row), index)) != index:
                what = f"row {item.row} of {item.id!r} has an outcome at $[{before}] already"
                raise InvalidInput(what, path=f"$[{index}]", expected="each row once")
            path = f"$[{index}]"
            when = item.observed and _micros(item.observed)
            values = self._values(item.outcome, f"{path}.outcome")
            found.append(Outcome(id=item.id, row=item.row, observed=when, values=values, path=path))
        if not found:
            raise InvalidInput("an empty list has no outcomes", expected="at least one")
        return found

    def _decode(self, decoder: msgspec.json.Decoder[Any], body: bytes, *, below: str) -> Any:
        try:
            decoded = decoder.decode(body)
        except msgspec.ValidationError as error:
            raise self._explain(error, below) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            loose = read_leniently(body, error, self._outputs)
            try:
                decoded = msgspec.convert(loose, decoder.type)
            except msgspec.ValidationError as problem:
                raise self._explain(problem, below) from None
        refuse_duplicates(body)
        return decoded

    def _explain(self, error: msgspec.ValidationError, below: str) -> InvalidInput:
        message, path = path_of(error)
        if not below or below in path:
            return explained(error, self._outputs, what=_AN_OUTPUT, below=below)
        name = re.search(r"field `(.*)`$", message)
        if name and "unknown" in message:
            near = did_you_mean(name[1], tuple(_MEMBERS))
            expected = ", ".join(_MEMBERS)
            return InvalidInput(f"{name[1]!r} is not a member{near}", path=path, expected=expected)
        member = name[1] if name else path.rpartition(".")[2]
        return InvalidInput(f"{message} at {path}", path=path, expected=_MEMBERS.get(member, _ITEMS))

    def _values(self, row: Any, path: str) -> dict[str, Any]:
        values = {}
        for field, value in zip(self._outputs.fields, msgspec.structs.astuple(row), strict=True):
            if value is not msgspec.UNSET:
                values[field.name] = _checked(field, value, f"{path}.{field.name}")
        if not values:
            raise InvalidInput("no output is given", path=path, expected=str(self._outputs))
        return values


_ITEMS = 'a list such as [{"id": "…", "outcome": {…}}]'


def _checked(field: Field, value: Any, path: str) -> Any:
    """The value: a scalar, or an array for a tensor; the type is right, the shape is not known yet."""
    if not field.missing and not is_finite(value):
        raise not_finite(field, path)
    if not field.shape:
        return float("nan") if value is None else value
    try:
        array = np.array(value, field.dtype)
    except ValueError:
        array = np.empty(0)
    if not same_shape(field.shape, array.shape):
        raise InvalidInput(f"{field.name!r} is ragged or of another shape", path=path, expected=str(field))
    return array


def _header_time(text: str) -> int:
    try:
        return _micros(msgspec.convert(text.strip(), _Time))
    except msgspec.ValidationError:
        raise InvalidInput(
            f"{HEADER} is {text!r}", path=f"header {HEADER}", expected=_MEMBERS["observed"]
        ) from None


def _micros(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(microseconds=1)


def shown_time(micros: int) -> str:
    """As `2026-11-24T12:00:00Z`."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


# --- into frames ----------------------------------------------------------------------------


def loads(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """The outcomes that may share a frame: those with the same outputs, tensors of the same shape."""
    alike: dict[Any, list[Outcome]] = {}
    for outcome in outcomes:
        key = tuple((name, np.shape(value)) for name, value in outcome.values.items())
        alike.setdefault(key, []).append(outcome)
    for group in alike.values():
        for start in range(0, len(group), ROWS_PER_FRAME):
            yield group[start : start + ROWS_PER_FRAME]


def packed(outputs: Schema, load: Sequence[Outcome]) -> dict[str, Tensor]:
    """The columns of one load."""
    return {
        name: _column(outputs[name], [outcome.values[name] for outcome in load]) for name in load[0].values
    }


def _column(field: Field, values: Sequence[Any]) -> Tensor:
    if field.type is Kind.STRING and not field.shape:
        return Tensor("str", (len(values),), list(values))
    return tensor(np.array(values, field.dtype))


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for JSON."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()
    }
