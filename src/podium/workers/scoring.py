"""Frames to scores: one vectorised prediction for all that waits, and errors kept apart.

Pure but for the model itself: no stream, no clock.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from podium.errors import BadInput, ModelFailed
from podium.protocol.frames import Work, array, row_slices
from podium.schema import Columns, Field, Kind, Schema, same_shape

log = logging.getLogger(__name__)

ERROR_LENGTH = 500
"""Characters of a model's error that are kept."""


class Scorer(Protocol):
    """A loaded model: vectorised, stateless."""

    @property
    def inputs(self) -> Schema: ...

    @property
    def outputs(self) -> Schema: ...

    def predict(self, columns: Columns) -> Mapping[str, np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Scored:
    """One frame's outcome: columns with zeros in the rows of `errors`, or `error` for all of them."""

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    error: str | None = None


def score_frames(scorer: Scorer, frames: Sequence[Work], counts: Sequence[int]) -> list[Scored]:
    """Score frames (with `counts` requests each) in one prediction where their shapes allow it."""
    try:
        slices = [_slices(frame, count) for frame, count in zip(frames, counts, strict=True)]
        inputs = [_inputs(scorer.inputs, f, s[-1].stop) for f, s in zip(frames, slices, strict=True)]
    except (BadInput, ModelFailed, ValueError) as error:
        if len(frames) == 1:
            return [Scored(error=_text(error))]
        return [score_frames(scorer, [f], [n])[0] for f, n in zip(frames, counts, strict=True)]
    if len(frames) > 1 and not _alike(inputs):
        return [score_frames(scorer, [f], [n])[0] for f, n in zip(frames, counts, strict=True)]
    if len(frames) == 1:
        return [score_requests(scorer, inputs[0], slices[0])]
    return _score_together(scorer, inputs, slices)


def _slices(frame: Work, count: int) -> list[slice]:
    if not count or (frame.rows is not None and (len(frame.rows) != count or min(frame.rows) < 1)):
        raise BadInput("the frame's requests and their rows disagree")
    return row_slices(count, frame.rows)


def _inputs(schema: Schema, frame: Work, rows: int) -> dict[str, np.ndarray]:
    """The model's own inputs; an optional one that the endpoint does not have is its default."""
    columns = {}
    for wanted in schema.fields:
        packed = frame.columns.get(wanted.name)
        if packed is None and not wanted.optional:
            raise ModelFailed(f"the frame has no input {wanted.name!r}")
        if packed is None:
            columns[wanted.name] = np.full((rows, *np.shape(wanted.default)), wanted.default, wanted.dtype)
        elif packed.shape[:1] != (rows,):
            raise BadInput(
                f"the frame's {wanted.name!r} has shape {list(packed.shape)}, expected {rows} rows"
            )
        else:
            columns[wanted.name] = array(packed).astype(wanted.dtype, copy=False)
    return columns


def _alike(inputs: Sequence[Mapping[str, np.ndarray]]) -> bool:
    first = {name: values.shape[1:] for name, values in inputs[0].items()}
    return all({name: values.shape[1:] for name, values in other.items()} == first for other in inputs[1:])


def _score_together(
    scorer: Scorer, inputs: Sequence[Mapping[str, np.ndarray]], slices: Sequence[Sequence[slice]]
) -> list[Scored]:
    joined = {name: np.concatenate([columns[name] for columns in inputs]) for name in inputs[0]}
    sizes = [of_frame[-1].stop for of_frame in slices]
    try:
        outputs, bad = predict(scorer, joined, sum(sizes))
    except ModelFailed:
        return [score_requests(scorer, c, s) for c, s in zip(inputs, slices, strict=True)]
    found = []
    start = 0
    for size, of_frame in zip(sizes, slices, strict=True):
        rows = slice(start, start + size)
        found.append(_scored({name: v[rows] for name, v in outputs.items()}, _part(bad, rows), of_frame))
        start += size
    return found


def score_requests(scorer: Scorer, columns: Columns, slices: Sequence[slice]) -> Scored:
    """Score requests, of which the slices are the rows, as one batch.

    Where the model refuses it, the requests that are to blame are found by halving.
    """
    try:
        outputs, bad = predict(scorer, columns, slices[-1].stop)
    except ModelFailed as error:
        if len(slices) == 1:
            return Scored(error=_text(error))
        return _halved(scorer, columns, slices)
    return _scored(outputs, bad, slices)


def _halved(scorer: Scorer, columns: Columns, slices: Sequence[slice]) -> Scored:
    middle = len(slices) // 2
    left = score_requests(scorer, _rows(columns, slices[:middle]), _moved(slices[:middle]))
    right = score_requests(scorer, _rows(columns, slices[middle:]), _moved(slices[middle:]))
    if left.error is not None and right.error is not None and left.error == right.error:
        return Scored(error=left.error)
    errors = _all_errors(left, range(middle)) | {
        index + middle: text for index, text in _all_errors(right, range(len(slices) - middle)).items()
    }
    sizes = [part[-1].stop - part[0].start for part in (slices[:middle], slices[middle:])]
    try:
        return Scored(columns=_joined(scorer.outputs, left, right, sizes), errors=errors)
    except ValueError:  # an open shape that depends on the rows: no column holds both
        return Scored(error="the model's outputs have different shapes for different requests")


def _rows(columns: Columns, slices: Sequence[slice]) -> Columns:
    return {name: values[slices[0].start : slices[-1].stop] for name, values in columns.items()}


def _moved(slices: Sequence[slice]) -> list[slice]:
    start = slices[0].start
    return [slice(part.start - start, part.stop - start) for part in slices]


def _all_errors(scored: Scored, indices: range) -> dict[int, str]:
    return scored.errors if scored.error is None else dict.fromkeys(indices, scored.error)


def _joined(outputs: Schema, left: Scored, right: Scored, sizes: Sequence[int]) -> dict[str, np.ndarray]:
    found = {}
    for output in outputs.fields:
        known = [part.columns[output.name] for part in (left, right) if part.error is None]
        shape = known[0].shape[1:] if known else tuple(max(n, 0) for n in output.shape)
        blank = "" if output.type is Kind.STRING else 0
        parts = [
            part.columns[output.name] if part.error is None else np.full((size, *shape), blank, output.dtype)
            for part, size in zip((left, right), sizes, strict=True)
        ]
        found[output.name] = np.concatenate(parts)
    return found


def _part(bad: np.ndarray | None, rows: slice) -> np.ndarray | None:
    return None if bad is None else bad[rows]


def _scored(outputs: dict[str, np.ndarray], bad: np.ndarray | None, slices: Sequence[slice]) -> Scored:
    if bad is None or not bad.any():
        return Scored(columns=outputs)
    text = "the model's output is NaN or infinite"
    return Scored(
        columns={name: _zeroed(values, bad) for name, values in outputs.items()},
        errors={index: text for index, rows in enumerate(slices) if bad[rows].any()},
    )


def _zeroed(values: np.ndarray, bad: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    cleaned = values.copy()
    cleaned[bad] = 0.0
    return cleaned


# --- one prediction, checked ----------------------------------------------------------------


def predict(scorer: Scorer, columns: Columns, rows: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The model's outputs with the declared types, and a mask of rows that are NaN where they must not be.

    Raises ModelFailed for an exception in the model and for junk: a missing output, another number
    of rows, another type or shape.
    """
    try:
        outputs = scorer.predict(columns)
    except ModelFailed:
        raise
    except Exception as error:  # whatever a model raises is its score
        raise ModelFailed(f"{type(error).__name__}: {error}") from error
    if not isinstance(outputs, Mapping):
        raise ModelFailed(f"the model returned {type(outputs).__name__}, expected a mapping of columns")
    found: dict[str, np.ndarray] = {}
    bad: np.ndarray | None = None
    for wanted in scorer.outputs.fields:
        values = found[wanted.name] = _output(wanted, outputs, rows)
        if wanted.type is Kind.FLOAT and not wanted.missing and not np.isfinite(values).all():
            wrong = ~np.isfinite(values).reshape(rows, -1).all(axis=1)
            bad = wrong if bad is None else bad | wrong
    return found, bad


def _output(wanted: Field, outputs: Mapping[str, Any], rows: int) -> np.ndarray:
    if wanted.name not in outputs:
        raise ModelFailed(f"the model returned {sorted(outputs)}, expected {wanted.name!r}")
    values = np.asarray(outputs[wanted.name])
    if values.ndim == 0 or len(values) != rows:
        found = f"{len(values)} rows" if values.ndim else "no rows"
        raise ModelFailed(f"{wanted.name!r} has {found}, expected {rows}")
    if not same_shape(wanted.shape, values.shape[1:]):
        raise ModelFailed(f"{wanted.name!r} has shape {list(values.shape[1:])}, expected {wanted}")
    if wanted.type is Kind.STRING:
        return _texts(wanted, values)
    if values.dtype.kind not in "fiub":
        raise ModelFailed(f"{wanted.name!r} is {values.dtype}, expected {wanted.type.value}")
    return values.astype(wanted.dtype, copy=False)


def _texts(wanted: Field, values: np.ndarray) -> np.ndarray:
    texts = values.astype(object)
    if not all(type(text) is str for text in texts.flat):
        raise ModelFailed(f"{wanted.name!r} is {values.dtype} and not all strings, expected {wanted}")
    return texts


def _text(error: Exception) -> str:
    return str(error)[:ERROR_LENGTH]
