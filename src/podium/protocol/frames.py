"""Frames: many requests, or many scores, in one MessagePack message (`docs/protocol.md`).

Times are microseconds since the Unix epoch, UTC. Columns are typed, little-endian, contiguous, with
the rows of all the frame's requests one after the other on the first axis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from podium.errors import BadInput

if TYPE_CHECKING:
    from podium.schema import Columns

VERSION = 1

DIGESTED_BYTES = 16 * 1024
"""Of an input frame as large as this the decoy sends the digest, not the bytes."""


class Tensor(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One column: `dtype` is `f8`, `i8`, `b1` or `str`; strings are a list, the rest bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | list[str]


class Reference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where the data of a large column is: an object in the stream's store, its SHA-256, its bytes."""

    object: str
    digest: bytes
    size: int


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """The envelope that all frames share.

    `source` and `seq` number what one process publishes, in order: a reader drops what it has seen.
    `ids` are the requests of the frame; `rows` says how many rows each one has, and is left out where
    each has one, not sent as a list.
    """

    v: int = VERSION
    endpoint: str
    revision: int
    source: str
    seq: int


class InputFrame(Frame, frozen=True, kw_only=True, omit_defaults=True, tag="input"):
    """Requests on their way to every contender.

    `reply` is the return address. `arrived` and `deadline` are times of each request; nobody waits
    for a score after `expires`, and what was not scored by then counts as an error. `contenders` maps
    the name of each one that is to score it to its role; where it is absent, all who hear it do.
    `large` says of columns without data where their data is (`podium.protocol.large`).
    """

    reply: str
    ids: list[str]
    rows: list[int] | None = None
    arrived: list[int]
    deadline: list[int]
    sent: int
    expires: int
    keys: list[str | None] | None = None
    callers: list[str | None] | None = None
    traces: list[str | None] | None = None
    contenders: dict[str, str] | None = None
    large: dict[str, Reference] | None = None
    columns: dict[str, Tensor]


class Work(Frame, frozen=True, kw_only=True, tag="input"):
    """An input frame as a worker reads it: what it only passes on stays encoded."""

    reply: str
    ids: msgspec.Raw
    rows: list[int] | None = None
    deadline: list[int]
    sent: int
    expires: int
    contenders: dict[str, str] | None = None
    large: dict[str, Reference] | None = None
    columns: dict[str, Tensor]


class ScoresFrame(Frame, frozen=True, kw_only=True, omit_defaults=True, tag="scores"):
    """One contender's scores for one input frame, named by `origin` (its source) and `frame` (its seq).

    `errors` maps the index of a failed request to what happened, `late` lists the indices of those
    scored after their deadline; the rows of a failed request hold zeros. `error` is all of them.
    `queue_ms` is from sending to the start of the computation, `compute_ms` the computation.
    """

    origin: str
    frame: int
    model: str
    version: str
    role: str
    ids: msgspec.Raw
    rows: list[int] | None = None
    error: str | None = None
    errors: dict[int, str] | None = None
    late: list[int] | None = None
    done: int
    queue_ms: float
    compute_ms: float
    columns: dict[str, Tensor]


class AnswersFrame(Frame, frozen=True, kw_only=True, omit_defaults=True, tag="answers"):
    """Answers as they were returned; `rules` and `total_ms` are of each request."""

    model: str
    version: str
    ids: list[str]
    rows: list[int] | None = None
    rules: list[str]
    total_ms: list[float]
    done: int
    columns: dict[str, Tensor]


class DecoyFrame(Frame, frozen=True, kw_only=True, tag="decoy"):
    """What a model was sent: the bytes of an input frame as they reached the decoy."""

    done: int
    input: bytes


class SeenFrame(Frame, frozen=True, kw_only=True, tag="seen"):
    """What a model was sent, where that is large: the `digest` of an input frame's bytes as they
    reached the decoy. `origin` and `frame` are that frame's source and seq.
    """

    origin: str
    frame: int
    done: int
    digest: bytes


class OutcomesFrame(Frame, frozen=True, kw_only=True, omit_defaults=True, tag="outcomes"):
    """What really happened, taken in at `done`.

    Each of `ids` is one row: `numbers` says which of its request's, and is left out where all are row
    0; `observed` is when each one happened. All have the same outputs; one that is not among the
    columns is not known (yet). No row is there twice.
    """

    ids: list[str]
    numbers: list[int] | None = None
    observed: list[int]
    done: int
    columns: dict[str, Tensor]

    @property
    def rows(self) -> None:
        """Each of `ids` has one row."""
        return None


class LookupFrame(Frame, frozen=True, kw_only=True, tag="lookup"):
    """Asks the archiver, for `reply`, whether there are such requests; it is not kept."""

    reply: str
    ids: list[str]


class FoundFrame(Frame, frozen=True, kw_only=True, tag="found"):
    """The answer to a lookup, named by `origin` and `frame`; it is not kept.

    `rows` says how many rows each request has: 0 where there is none, None where the archive is not
    far enough to know.
    """

    origin: str
    frame: int
    rows: list[int | None]


class ProbeFrame(Frame, frozen=True, kw_only=True, tag="probe"):
    """Asks one contender to score its own sample requests, for `reply`; it is not kept."""

    reply: str


KeptFrame = InputFrame | ScoresFrame | AnswersFrame | DecoyFrame | SeenFrame | OutcomesFrame

_encoder = msgspec.msgpack.Encoder()
F = TypeVar("F", bound=Frame)


def encode(frame: Frame) -> bytes:
    return _encoder.encode(frame)


def digest(payload: bytes) -> bytes:
    """The SHA-256 of a message, 32 bytes."""
    return hashlib.sha256(payload).digest()


class Reader:
    """Decodes frames of one type (or of several: `Reader(KeptFrame)`)."""

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)

    def read(self, payload: bytes) -> Any:
        """Raises BadInput for what is no such frame, or is of a newer protocol."""
        try:
            frame = self._decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(f"not a frame: {error}") from None
        if frame.v > VERSION:
            raise BadInput(f"the frame is of protocol {frame.v}, this is {VERSION}")
        return frame


# --- columns --------------------------------------------------------------------------------

_CODES = {"f": "f8", "i": "i8", "u": "i8", "b": "b1"}
_DTYPES = {"f8": np.dtype("<f8"), "i8": np.dtype("<i8"), "b1": np.dtype("bool")}


def tensor(values: np.ndarray) -> Tensor:
    """Pack one column. Raises TypeError for a type that frames do not carry."""
    if values.dtype.kind in "OUT":
        flat = values.ravel().tolist()
        if not all(type(value) is str for value in flat):
            raise TypeError("a column of objects that are not all strings")
        return Tensor("str", values.shape, flat)
    if values.dtype.kind not in _CODES:
        raise TypeError(f"a column of {values.dtype}")
    code = _CODES[values.dtype.kind]
    return Tensor(code, values.shape, values.astype(_DTYPES[code], copy=False).tobytes())


def array(packed: Tensor) -> np.ndarray:
    """Unpack one column (read-only, no copy). Raises BadInput where bytes and shape disagree."""
    try:
        if isinstance(packed.data, list) and packed.dtype == "str":
            found = np.array(packed.data, dtype=object).reshape(packed.shape)
        else:
            found = np.frombuffer(packed.data, _DTYPES[packed.dtype]).reshape(packed.shape)  # type: ignore[arg-type]
        if found.shape != packed.shape:
            raise ValueError("a negative size")
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"not a tensor of {packed.dtype}{list(packed.shape)}: {error}") from None
    return found


def pack(columns: Columns) -> dict[str, Tensor]:
    return {name: tensor(values) for name, values in columns.items()}


def unpack(columns: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: array(packed) for name, packed in columns.items()}


def row_slices(count: int, rows: list[int] | None) -> list[slice]:
    """Where each of a frame's requests lies on the first axis of its columns."""
    if rows is None:
        return [slice(i, i + 1) for i in range(count)]
    ends = np.cumsum(rows).tolist()
    return [slice(end - n, end) for end, n in zip(ends, rows, strict=True)]
