"""Columns that go by reference: what of a frame does, and what an object holds (`docs/protocol.md`).

A column by reference keeps its dtype and shape in the frame, without data; the frame's `large` says
where the data is. Whoever does not know `large` refuses such a column, because its data is too short.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec

from podium.errors import BadInput, BodyLost
from podium.protocol.frames import Reference, Tensor, array, digest

HEAD_BYTES = 5
"""What is before the letters of a string in MessagePack, at most."""

_strings = msgspec.msgpack.Decoder(list[str])


def size(packed: Tensor) -> int:
    """What a column weighs in a message, at most."""
    if isinstance(packed.data, bytes):
        return len(packed.data)
    return sum(map(string_size, packed.data))


def string_size(text: str) -> int:
    """The same of a string: without encoding it, so up to four bytes a letter."""
    return HEAD_BYTES + (len(text) if text.isascii() else 4 * len(text))


def chosen(columns: Mapping[str, Tensor], threshold: int) -> list[str]:
    """The largest columns, as few as it takes for the others to weigh no more than the threshold."""
    sizes = {name: size(packed) for name, packed in columns.items()}
    left = sum(sizes.values())
    names = []
    for name in sorted(sizes, key=lambda each: -sizes[each]):
        if left <= threshold:
            break
        names.append(name)
        left -= sizes[name]
    return names


def content(packed: Tensor) -> bytes:
    """What the object of this column holds: its bytes, or its strings as a MessagePack array."""
    return packed.data if isinstance(packed.data, bytes) else msgspec.msgpack.encode(packed.data)


def emptied(packed: Tensor) -> Tensor:
    """The column without its data, as it stays in the frame."""
    return Tensor(packed.dtype, packed.shape, [] if packed.dtype == "str" else b"")


def reference(content: bytes) -> Reference:
    """Names an object for these bytes; no two ever have the same name."""
    return Reference(secrets.token_hex(16), digest(content), len(content))


def restored(packed: Tensor, reference: Reference, content: bytes) -> Tensor:
    """The column with the data that its object held. Raises BodyLost where that is other data."""
    if len(content) != reference.size or digest(content) != reference.digest:
        raise BodyLost(f"the object {reference.object} has not the bytes that its digest names")
    try:
        data = _strings.decode(content) if packed.dtype == "str" else content
        found = Tensor(packed.dtype, packed.shape, data)
        array(found)
    except (msgspec.DecodeError, UnicodeDecodeError, BadInput) as error:
        raise BodyLost(f"the object {reference.object} is no column: {error}") from None
    return found
