"""A request checked against a schema, once, at the door.

Whatever the transport (a JSON object, a list of them, a query string, tensors), the result is
`Rows`: columns in the schema's order, every value of the right type. After this nobody checks again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
import numpy as np

from podium.errors import InvalidInput, NotJSON
from podium.schema import Field, Kind, Schema, same_shape

INT64 = msgspec.Meta(ge=-(2**63), le=2**63 - 1)
_TYPES: dict[Kind, Any] = {
    Kind.FLOAT: float,
    Kind.INT: Annotated[int, INT64],
    Kind.BOOL: bool,
    Kind.STRING: str,
}

_values = msgspec.structs.astuple


class Rows(msgspec.Struct, frozen=True, gc=False):
    """Checked input.

    `columns` are in the schema's order, each `count` long: arrays for tensors and large
    requests, plain lists for scalars. `single` says that the caller sent one row, not a list.
    """

    columns: Sequence[Sequence[Any] | np.ndarray]
    count: int
    single: bool


class Validator:
    """Checks requests against one schema; built once for each endpoint."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        row: Any = row_type(schema)
        rows: Any = list[row]
        self._row = row
        self._body: Any = row | rows
        self._decoder = msgspec.json.Decoder(self._body)
        self._plain = all(not field.shape and not field.missing for field in schema.fields)
        self._required = sum(not field.optional for field in schema.fields)

    def json(self, body: bytes) -> Rows:
        """Check a JSON object (one row) or list of objects.

        Raises NotJSON for what no parser reads, InvalidInput with path and expectation otherwise.
        """
        try:
            decoded = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise self._explain(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            decoded = self._lenient(body, error)
        count = len(decoded) if isinstance(decoded, list) else 1
        # Every key once means as many colons as fields; anything else is looked at closely.
        if body.count(b":") != count * self._required:
            refuse_duplicates(body)
        return self._rows(decoded)

    def query(self, text: str) -> Rows:
        """Check the query string of a GET: one row, with JSON in the value of a tensor."""
        given: dict[str, Any] = {}
        for name, value in parse_qsl(text, keep_blank_values=True):
            if name in given:
                raise InvalidInput(f"{name!r} is given twice", path=f"$.{name}", expected="once")
            given[name] = self._query_value(name, value)
        try:
            row = msgspec.convert(given, self._row, strict=False)
        except msgspec.ValidationError as error:
            raise self._explain(error) from None
        self._refuse_infinite([row])
        return self._rows(row)

    def _query_value(self, name: str, value: str) -> Any:
        if name not in self.schema or not self.schema[name].shape:
            return value
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            expected = f"JSON for {self.schema[name]}"
            raise InvalidInput(f"{name!r} is not JSON", path=f"$.{name}", expected=expected) from None

    def arrays(self, given: Mapping[str, np.ndarray]) -> Rows:
        """Check columns that arrive as arrays, each with the rows on its first axis."""
        for name in given:
            if name not in self.schema:
                raise self._unknown(name, "$")
        counts = {name: len(array) for name, array in given.items()}
        if len(set(counts.values())) > 1:
            raise InvalidInput(f"inputs have different numbers of rows: {counts}", expected="one number")
        count = next(iter(counts.values()), 0)
        if not count:
            raise InvalidInput("no rows", expected="at least one row")
        columns = [self._column(field, given, count) for field in self.schema.fields]
        return Rows(columns, count, single=False)

    def _column(self, field: Field, given: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        if field.name in given:
            return _checked_array(field, given[field.name])
        if not field.optional:
            raise self._missing(field.name, "$")
        default = np.empty((count, *np.shape(field.default)), field.dtype)
        default[...] = field.default
        return default

    def _rows(self, decoded: Any) -> Rows:
        single = not isinstance(decoded, list)
        if single and self._plain:  # nearly every request
            return Rows([(value,) for value in _values(decoded)], 1, True)
        rows = [decoded] if single else decoded
        if not rows:
            raise InvalidInput("an empty list has no rows", expected="at least one row")
        columns = zip(*map(_values, rows), strict=True)
        if self._plain:
            return Rows(list(columns), len(rows), single)
        checked = [
            _checked_values(field, values, single)
            for field, values in zip(self.schema.fields, columns, strict=True)
        ]
        return Rows(checked, len(rows), single)

    def _lenient(self, body: bytes, error: Exception) -> Any:
        try:
            decoded = msgspec.convert(read_leniently(body, error, self.schema), self._body)
        except msgspec.ValidationError as problem:
            raise self._explain(problem) from None
        self._refuse_infinite(decoded if isinstance(decoded, list) else [decoded])
        return decoded

    def _refuse_infinite(self, rows: Sequence[Any]) -> None:
        for row in rows:
            for field, value in zip(self.schema.fields, _values(row), strict=True):
                if not field.missing and not is_finite(value):
                    raise not_finite(field)

    def _explain(self, error: msgspec.ValidationError) -> InvalidInput:
        return explained(error, self.schema)

    def _missing(self, name: str, path: str) -> InvalidInput:
        return _is_missing(self.schema, name, path)

    def _unknown(self, name: str, path: str) -> InvalidInput:
        return _is_unknown(self.schema, name, path, "an input")


# --- what is wrong --------------------------------------------------------------------------


def read_leniently(body: bytes, error: Exception, schema: Schema) -> Any:
    """Tell `NaN` and numbers past a float, which some clients write, from what is not JSON."""
    try:
        found = json.loads(body.decode("utf-8-sig"))
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise NotJSON(f"the body is not JSON: {error}", expected=str(schema)) from None
    return found


def path_of(error: msgspec.ValidationError) -> tuple[str, str]:
    """msgspec's message, and the path that it ends with."""
    message, _, at = str(error).partition(" - at `")
    return message, at.rstrip("`") or "$"


def explained(
    error: msgspec.ValidationError, schema: Schema, *, what: str = "an input", below: str = ""
) -> InvalidInput:
    """msgspec's message with the field's own path, and what the schema expects there.

    `below` is where in an item of the body the fields are, as in `.outcome`.
    """
    message, path = path_of(error)
    name = re.search(r"field `(.*)`$", message)
    if name and "missing" in message:
        return _is_missing(schema, name[1], path)
    if name and "unknown" in message:
        return _is_unknown(schema, name[1], path, what)
    field = next((f for f in schema.fields if _is_at(path, f.name, below)), None)
    return InvalidInput(f"{message} at {path}", path=path, expected=str(field or schema))


def _is_missing(schema: Schema, name: str, path: str) -> InvalidInput:
    return InvalidInput(f"{name!r} is missing", path=f"{path}.{name}", expected=str(schema[name]))


def _is_unknown(schema: Schema, name: str, path: str, what: str) -> InvalidInput:
    return InvalidInput(
        f"{name!r} is not {what}{schema.nearest(name)}", path=f"{path}.{name}", expected=str(schema)
    )


def not_finite(field: Field, path: str = "") -> InvalidInput:
    return InvalidInput(
        f"{field.name!r} is NaN or infinite", path=path or f"$.{field.name}", expected=f"a finite {field}"
    )


def is_finite(value: Any) -> bool:
    """Whether there is nothing else in a number, or in lists of them."""
    if isinstance(value, list):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _is_at(path: str, name: str, below: str) -> bool:
    return re.match(rf"\$(\[[^\]]*\])?{re.escape(below)}\.{re.escape(name)}(\[|$)", path) is not None


def refuse_duplicates(body: bytes) -> None:
    """JSON parsers keep the last of two equal keys; a client that sends both is mistaken."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in found]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput(f"{name!r} is given twice", path=f"$.{name}", expected="once")
        return dict(found)

    json.loads(body, object_pairs_hook=pairs)


# --- types built from a schema --------------------------------------------------------------


def row_type(schema: Schema, *, partial: bool = False) -> Any:
    """A msgspec type for one row: typed decoding is the validation.

    In a `partial` row any field may be left out, and is `msgspec.UNSET` then.
    """
    fields: list[Any] = []
    for index, field in enumerate(schema.fields):
        hint = _hint(field)
        if partial:
            fields.append((f"f{index}", hint | msgspec.UnsetType, msgspec.UNSET))
        elif field.optional:
            fields.append((f"f{index}", hint, _default(field)))
        else:
            fields.append((f"f{index}", hint))
    rename = {f"f{index}": field.name for index, field in enumerate(schema.fields)}
    return msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, gc=False, kw_only=True)


def _default(field: Field) -> Any:
    value = field.default
    return msgspec.field(default_factory=lambda: value)


def _hint(field: Field) -> Any:
    hint: Any = _TYPES[field.type]
    if field.missing:
        hint = hint | None
    for size in reversed(field.shape):
        meta = msgspec.Meta(min_length=size, max_length=size) if size >= 0 else None
        of_size: Any = list[hint]
        hint = Annotated[of_size, meta] if meta else of_size
    return hint


# --- values to arrays -----------------------------------------------------------------------


def _checked_values(field: Field, values: Sequence[Any], single: bool) -> Sequence[Any] | np.ndarray:
    """One column of decoded JSON; the types are right, shapes and missing values are not yet."""
    if field.missing and not field.shape:
        return [math.nan if value is None else value for value in values]
    if not field.shape:
        return values
    try:
        array = np.array(values, field.dtype)
    except ValueError:
        array = np.empty(0)
    if not same_shape(field.shape, array.shape[1:]):
        where = f"$.{field.name}" if single else f"$[*].{field.name}"
        raise InvalidInput(f"{field.name!r} is ragged or of another shape", path=where, expected=str(field))
    return array


def _checked_array(field: Field, array: np.ndarray) -> np.ndarray:
    path = f"$.{field.name}"
    if not field.shape and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # clients of the Open Inference Protocol write a column as [n, 1]
    if not same_shape(field.shape, array.shape[1:]):
        found = f"{field.name!r} has rows of shape {list(array.shape[1:])}"
        raise InvalidInput(found, path=path, expected=str(field))
    if not _can_be(field.type, array):
        raise InvalidInput(f"{field.name!r} is {array.dtype}", path=path, expected=str(field))
    if array.dtype == np.uint64 and field.type is Kind.INT and array.size and array.max() > 2**63 - 1:
        raise InvalidInput(f"{field.name!r} is over 2**63 - 1", path=path, expected=str(field))
    if array.dtype.kind == "f" and not field.missing and not np.isfinite(array).all():
        raise not_finite(field)
    return array.astype(field.dtype, copy=False)


def _can_be(kind: Kind, array: np.ndarray) -> bool:
    """Whether an array's values are of this type, or become so without a change that matters."""
    match kind:
        case Kind.STRING:
            texts = array.dtype.kind == "O" and all(type(value) is str for value in array.flat)
            return texts or array.dtype.kind in "UT"
        case Kind.FLOAT:
            return array.dtype.kind in "iu" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)
        case Kind.INT:
            return array.dtype.kind in "iu"
        case Kind.BOOL:
            return array.dtype.kind == "b"
