"""Large input frames and what the decoy says it saw of them, brought together.

The decoy sends a digest in place of many bytes. Where the frame that was kept has the same digest,
its rows are what a model was sent. Usually the frame comes first; after a broker's crash either may.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from podium.archive import names
from podium.archive.entries import Entry
from podium.protocol.frames import DIGESTED_BYTES, InputFrame, SeenFrame, digest
from podium.records import DECOY

WAIT_SECONDS = 60.0
"""The decoy gives way to everybody: under load it may be far behind."""

WAIT_BYTES = 64 * 1024 * 1024
"""More than the broker lets wait for a decoy that is behind."""

Key = tuple[str, int]
"""An input frame's source and seq."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A frame that was kept, until it is known what the decoy saw."""

    entry: Entry[InputFrame]
    digest: bytes
    size: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the decoy saw, until the frame comes."""

    entry: Entry[SeenFrame]
    until: float


class Sightings:
    """What waits for its other half. Times are seconds of any one clock.

    A frame that no decoy says it saw is forgotten in the end: the table lacks what the decoy did not
    see. What a decoy saw, and cannot be shown to be what was kept, is `unproven`.
    """

    def __init__(self) -> None:
        self._sent: OrderedDict[Key, _Sent] = OrderedDict()
        self._seen: OrderedDict[Key, _Seen] = OrderedDict()
        self._bytes = 0
        self._last: dict[str, int] = {}
        self._unproven: list[Entry[SeenFrame]] = []

    def sent(self, entry: Entry[InputFrame], payload: bytes, now: float) -> Sequence[Entry[InputFrame]]:
        """An input frame was kept; the rows of the decoy's table that this completes."""
        key = (entry.source, entry.seq)
        if not _is_awaited(entry.frame, payload) or self._is_repeated(entry):
            return ()
        sent = _Sent(entry=entry, digest=digest(payload), size=len(payload), until=now + WAIT_SECONDS)
        if key in self._seen:
            return self._paired(sent, self._seen.pop(key).entry)
        self._sent[key] = sent
        self._bytes += sent.size
        while self._bytes > WAIT_BYTES:
            self._forget(next(iter(self._sent)))
        return ()

    def seen(self, entry: Entry[SeenFrame], now: float) -> Sequence[Entry[InputFrame]]:
        """The decoy saw a frame; the rows of its table that this completes."""
        if self._is_repeated(entry):
            return ()
        key = (entry.frame.origin, entry.frame.frame)
        sent = self._sent.get(key)
        if sent is None:
            self._seen[key] = _Seen(entry=entry, until=now + WAIT_SECONDS)
            return ()
        self._forget(key)
        return self._paired(sent, entry)

    def unproven(self, now: float) -> Sequence[Entry[SeenFrame]]:
        """What has become unproven since this was asked last."""
        for key in [key for key, sent in self._sent.items() if sent.until <= now]:
            self._forget(key)
        late = [key for key, seen in self._seen.items() if seen.until <= now]
        found = [*self._unproven, *(self._seen.pop(key).entry for key in late)]
        self._unproven.clear()
        return found

    def whole(self, upto: int) -> int:
        """The position up to which nothing waits for its other half, at most `upto`."""
        waiting: list[Any] = [*self._sent.values(), *self._seen.values()]
        return min((each.entry.position - 1 for each in waiting), default=upto)

    def _paired(self, sent: _Sent, seen: Entry[SeenFrame]) -> Sequence[Entry[InputFrame]]:
        if sent.digest != seen.frame.digest:
            self._unproven.append(seen)
            return ()
        return (_row_entry(sent.entry, seen),)

    def _is_repeated(self, entry: Entry[Any]) -> bool:
        """What a returning broker repeats has found its other half, or waits for it."""
        last = self._last.get(entry.source, -1)
        self._last[entry.source] = max(last, entry.seq)
        return entry.seq <= last

    def _forget(self, key: Key) -> None:
        sent = self._sent.pop(key, None)
        if sent is not None:
            self._bytes -= sent.size


def mark_of(seen: Entry[SeenFrame]) -> Key:
    """What the decoy's table remembers of a sighting, as source and seq.

    The frames of one gateway come in order, and so do sightings of them by one decoy, but not those
    of two gateways' frames, or by two decoys.
    """
    return f"{seen.source}/{seen.frame.origin}", seen.frame.frame


def _row_entry(sent: Entry[InputFrame], seen: Entry[SeenFrame]) -> Entry[InputFrame]:
    source, seq = mark_of(seen)
    return Entry(
        table=names.DECOY,
        position=max(sent.position, seen.position),  # of the later half, so that positions grow
        source=source,
        seq=seq,
        frame=sent.frame,
        ids=sent.ids,
        total=sent.total,
        seen=seen.seen,
        large=sent.large,
    )


def _is_awaited(frame: InputFrame, payload: bytes) -> bool:
    return len(payload) >= DIGESTED_BYTES and (frame.contenders is None or DECOY in frame.contenders)
