"""Universal Binary JSON, as XGBoost writes it: read here, so that what XGBoost gets was checked before."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from podium.models.formats.soundness import Unsound, require

_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_CONSTANTS = {"Z": None, "T": True, "F": False}
_DEEPEST = 50


def decode(content: bytes) -> Any:
    """Raises Unsound for what is no UBJSON, is cut off, or is nested deeper than any model."""
    reader = _Reader(content)
    try:
        found = reader.value(reader.marker(), 0)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise Unsound(f"no UBJSON: {error}") from None
    require(reader.at == len(content), "no UBJSON: there is more after its end")
    return found


class _Reader:
    """A place in the bytes; every length is compared with what is left."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0

    def marker(self) -> str:
        self.at += 1
        return chr(self._content[self.at - 1])

    def value(self, marker: str, depth: int) -> Any:
        require(depth < _DEEPEST, "no UBJSON: nested too deeply")
        if marker == "{":
            return self._object(depth)
        if marker == "[":
            return self._array(depth)
        if marker == "S":
            return self._text()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        return self._numbers(marker, 1)[0]

    def _numbers(self, marker: str, count: int) -> Any:
        require(marker in _NUMBERS, f"no UBJSON: a value of the kind {marker!r}")
        kind = np.dtype(_NUMBERS[marker])
        start, size = self.at, count * kind.itemsize
        require(0 <= size <= len(self._content) - start, "no UBJSON: longer than its file")
        self.at += size
        return _plain(np.frombuffer(self._content, kind, count, start))

    def _length(self) -> int:
        found = self._numbers(self.marker(), 1)[0]
        require(isinstance(found, int) and 0 <= found <= len(self._content), "no UBJSON: a length is none")
        return int(found)

    def _text(self) -> str:
        size = self._length()
        require(size <= len(self._content) - self.at, "no UBJSON: longer than its file")
        self.at += size
        return self._content[self.at - size : self.at].decode()

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._content[self.at] != ord("}"):
            name = self._text()
            require(name not in found, f"{name!r} is there twice")
            found[name] = self.value(self.marker(), depth + 1)
        self.at += 1
        return found

    def _array(self, depth: int) -> list[Any]:
        if self._content[self.at] == ord("$"):
            self.at += 1
            kind = self.marker()
            require(self.marker() == "#", "no UBJSON: a typed array without its length")
            count = self._length()
            return list(self._numbers(kind, count))
        if self._content[self.at] == ord("#"):
            self.at += 1
            return [self.value(self.marker(), depth + 1) for _ in range(self._length())]
        found = []
        while self._content[self.at] != ord("]"):
            found.append(self.value(self.marker(), depth + 1))
        self.at += 1
        return found


def _plain(numbers: np.ndarray) -> list[Any]:
    """Singles as the shortest decimal that is the same single: the same as XGBoost's own JSON."""
    if numbers.dtype.itemsize == 4 and numbers.dtype.kind == "f":
        return [float(str(number)) for number in numbers]
    return list(numbers.tolist())
