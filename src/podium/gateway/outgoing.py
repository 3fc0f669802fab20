"""Input frames made of requests."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from podium.gateway.lineup import Lineup
from podium.gateway.requests import Request
from podium.protocol.frames import InputFrame, Reference, Tensor, tensor
from podium.protocol.large import string_size
from podium.run import Large
from podium.schema import Field, Kind, Schema

FRAME_ROWS = 4096
"""A frame takes no further request beyond this; one request alone may be larger."""

FRAME_BYTES = 4 * 1024 * 1024
"""The same for what its columns, or the scores of it, weigh: the stream takes a few times as much."""

ROW_BYTES = 512
"""What a request weighs beside its columns, in a frame or in its answers, with room to spare."""


class FrameBuilder:
    """Puts requests that wait into input frames; `limit` is the stream's largest message, in bytes."""

    def __init__(
        self,
        schema: Schema,
        outputs: Schema,
        *,
        source: str,
        reply: str,
        patience: float,
        limit: int,
        threshold: int = Large().threshold,
    ) -> None:
        self._fields = schema.fields
        self._source = source
        self._reply = reply
        self._patience_us = int(patience * 1e6)
        self._open = [i for i, field in enumerate(schema.fields) if -1 in field.shape]
        self._varying = [i for i, field in enumerate(schema.fields) if not _fixed_bytes(field)]
        widest = max(sum(_fixed_bytes(field) for field in part.fields) for part in (schema, outputs))
        self._row_bytes = sum(_fixed_bytes(field) for field in schema.fields)
        self._threshold = threshold
        # Not over the threshold, so that what is large is alone in its frame.
        self._frame_bytes = min(FRAME_BYTES, threshold, limit // 4)
        self._most_rows = min(FRAME_ROWS, self._frame_bytes // max(widest, 1), max(1, limit // ROW_BYTES))

    def loads(self, requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
        """Requests that fit one frame: of one row shape, not too many rows, not too many bytes."""
        for alike in self._alike(requests):
            load: list[Request] = []
            rows = size = 0
            for request in alike:
                own = self._varying_bytes(request)
                if load and (rows + request.rows.count > self._most_rows or size + own > self._frame_bytes):
                    yield load
                    load, rows, size = [], 0, 0
                load.append(request)
                rows += request.rows.count
                size += own
            yield load

    def is_large(self, load: Sequence[Request]) -> bool:
        """Whether the columns of this load are too large for a message, about."""
        request = load[0]
        return len(load) == 1 and (
            request.rows.count * self._row_bytes + self._varying_bytes(request) > self._threshold
        )

    def _varying_bytes(self, request: Request) -> int:
        """What the columns weigh that do not weigh the same in each row."""
        if not self._varying:
            return 0
        return sum(_bytes(request.rows.columns[i]) for i in self._varying)

    def _alike(self, requests: Sequence[Request]) -> Iterable[Sequence[Request]]:
        if not self._open:
            return [requests]
        by_shape: dict[tuple[Any, ...], list[Request]] = {}
        for request in requests:
            shape = tuple(np.shape(request.rows.columns[i])[1:] for i in self._open)
            by_shape.setdefault(shape, []).append(request)
        return by_shape.values()

    def columns(self, load: Sequence[Request]) -> dict[str, Tensor]:
        """All that the requests ask about, packed."""
        parts = zip(*[request.rows.columns for request in load], strict=True)
        return {field.name: _column(field, values) for field, values in zip(self._fields, parts, strict=True)}

    def frame(
        self,
        load: Sequence[Request],
        *,
        seq: int,
        line: Lineup,
        columns: dict[str, Tensor],
        large: dict[str, Reference] | None = None,
    ) -> InputFrame:
        """The frame of one load, stamped with this moment's clock."""
        policy = line.policy
        now, sent = time.monotonic(), time.time_ns() // 1000
        arrived = [sent - int((now - request.began) * 1e6) for request in load]
        whole = int(policy.deadline_ms * 1000)
        deadline = [
            start + (whole if request.deadline is None else int(min(whole, request.deadline * 1000)))
            for start, request in zip(arrived, load, strict=True)
        ]
        return InputFrame(
            endpoint=policy.endpoint,
            revision=policy.revision,
            source=self._source,
            seq=seq,
            reply=self._reply,
            ids=[request.id for request in load],
            rows=row_counts(load),
            arrived=arrived,
            deadline=deadline,
            sent=sent,
            expires=max(deadline) + self._patience_us,
            keys=_unless_none([request.key for request in load]),
            callers=_unless_none([request.caller for request in load]),
            traces=_unless_none([request.trace for request in load]),
            contenders=line.roles,
            large=large or None,
            columns=columns,
        )


def row_counts(requests: Sequence[Request]) -> list[int] | None:
    """Rows of each request, or None where each is a single row."""
    counts = [request.rows.count for request in requests]
    return None if counts.count(1) == len(counts) else counts


def _fixed_bytes(field: Field) -> int:
    """What a row of this field weighs; 0 where rows differ."""
    if field.type is Kind.STRING or -1 in field.shape:
        return 0
    return field.dtype.itemsize * math.prod(field.shape)


def _bytes(part: Sequence[Any] | np.ndarray) -> int:
    """What numbers of an open shape, or strings, weigh at most."""
    if isinstance(part, np.ndarray) and part.dtype.kind != "O":
        return part.nbytes
    return sum(map(string_size, part.flat if isinstance(part, np.ndarray) else part))


def _unless_none(values: list[str | None]) -> list[str | None] | None:
    return values if any(values) else None


def _column(field: Field, parts: Sequence[Any]) -> Tensor:
    if any(isinstance(part, np.ndarray) for part in parts):
        arrays = [np.asarray(part, field.dtype) for part in parts]
        return tensor(arrays[0] if len(arrays) == 1 else np.concatenate(arrays))
    values = list(chain.from_iterable(parts))
    if field.type is Kind.STRING:
        return Tensor("str", (len(values),), values)
    return tensor(np.array(values, field.dtype))
