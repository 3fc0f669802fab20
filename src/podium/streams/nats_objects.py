"""Large objects in a JetStream object store: any NATS client's own object store reads them.

The connection is one of its own, so that no frame waits behind an object, and opened with the first
object: who has none pays nothing. How an object lies in its bucket is NATS's convention:
https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-20.md
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType

from podium.errors import BodyLost, StoreFull, StreamAway
from podium.streams.jetstream import NoRoom, Reader, ensure_bucket, message_at, purge_subject, receipt
from podium.streams.nats_address import Address
from podium.streams.wire import Message, Wire, new_inbox

CHUNK_BYTES = 256 * 1024
WINDOW = 16
"""Chunks on their way at once: enough to keep the broker busy, little to wait behind."""

FIRST_SECONDS = 5.0
ANSWER_SECONDS = 5.0


class NatsObjectStore:
    """See `podium.streams.objects.ObjectStore`. `ttl` is in seconds, `max_bytes` of all objects."""

    def __init__(self, url: str, endpoint: str, *, ttl: float, max_bytes: int) -> None:
        self._url = url
        self._bucket = f"podium-{endpoint}"
        self._stream = f"OBJ_{self._bucket}"
        self._ttl = ttl
        self._max_bytes = max_bytes
        self._wire: Wire | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> NatsObjectStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wire is not None:
            self._wire.close()

    async def put(self, name: str, content: bytes, *, sha256: bytes) -> None:
        with self._translated():
            wire = await self._connected()
            try:
                await self._send(wire, name, content, sha256)
            except NoRoom as error:
                await self._purge(wire, name)
                raise StoreFull(
                    f"the store for large inputs is full ({error}), {len(content)} bytes find no room; "
                    "try again in a moment, or let it be larger: store_bytes in [large]"
                ) from None
            except BaseException:
                self._purge_later(wire, name)
                raise

    async def get(self, name: str) -> bytes:
        with self._translated():
            wire = await self._connected()
            about = await message_at(wire, self._stream, self._meta(name))
            if about is None:
                raise BodyLost(f"there is no object {name} (any more)")
            return await self._read(wire, name, int(json.loads(about)["chunks"]))

    async def delete(self, name: str) -> None:
        with self._translated():
            await self._purge(await self._connected(), name)

    # --- chunks -----------------------------------------------------------------------------

    async def _send(self, wire: Wire, name: str, content: bytes, sha256: bytes) -> None:
        receipts = _Receipts(wire)
        try:
            view = memoryview(content)
            for start in range(0, len(content), CHUNK_BYTES):
                chunk = bytes(view[start : start + CHUNK_BYTES])
                wire.publish(self._chunks(name), chunk, receipts.inbox)
                await receipts.sent(at_most=WINDOW)
            wire.publish(self._meta(name), self._about(name, len(content), sha256), receipts.inbox)
            await receipts.sent(at_most=0)
        finally:
            receipts.close()

    async def _read(self, wire: Wire, name: str, count: int) -> bytes:
        reader = await Reader.open(wire, self._stream, 0, subject=self._chunks(name))
        parts: list[bytes] = []
        try:
            while len(parts) < count:
                found = await reader.next(min(WINDOW, count - len(parts)), 0.0)
                if not found:
                    raise BodyLost(f"of the object {name} only {len(parts)} of {count} parts are there")
                parts += [chunk.payload for chunk in found]
        finally:
            reader.drop()
        return b"".join(parts)

    def _about(self, name: str, size: int, sha256: bytes) -> bytes:
        return json.dumps(
            {
                "name": name,
                "bucket": self._bucket,
                "nuid": name,
                "size": size,
                "mtime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "chunks": -(-size // CHUNK_BYTES),
                "digest": f"SHA-256={base64.urlsafe_b64encode(sha256).decode()}",
                "options": {"max_chunk_size": CHUNK_BYTES},
            }
        ).encode()

    def _chunks(self, name: str) -> str:
        return f"$O.{self._bucket}.C.{name}"

    def _meta(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    async def _purge(self, wire: Wire, name: str) -> None:
        for subject in (self._meta(name), self._chunks(name)):
            await purge_subject(wire, self._stream, subject)

    def _purge_later(self, wire: Wire, name: str) -> None:
        """What was put in part, by whoever cannot wait any more; else its time to live ends it."""
        if not wire.closed:
            for subject in (self._meta(name), self._chunks(name)):
                wire.publish(f"$JS.API.STREAM.PURGE.{self._stream}", json.dumps({"filter": subject}).encode())

    # --- the connection ---------------------------------------------------------------------

    async def _connected(self) -> Wire:
        async with self._opening:
            if self._wire is None or self._wire.closed:
                async with asyncio.timeout(FIRST_SECONDS):
                    wire = await Wire.open(self._url, ended=_nobody)
                    try:
                        await ensure_bucket(
                            wire,
                            self._bucket,
                            ttl=self._ttl,
                            max_bytes=self._max_bytes,
                            replicas=Address.parse(self._url).replicas,
                        )
                    except NoRoom as error:
                        wire.close()
                        raise StoreFull(
                            f"the broker has no room for a store of {self._max_bytes} bytes ({error}); "
                            "free some of the disk, or let it be smaller: store_bytes in [large]"
                        ) from None
                    except BaseException:
                        wire.close()
                        raise
                    self._wire = wire
            return self._wire

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, TimeoutError) as error:
            if self._wire is not None:
                self._wire.close()  # its server may hang, or be cut off: the next who asks finds another one
            raise StreamAway(f"the object store cannot be reached: {error!r}") from None


class _Receipts:
    """What the broker says to the chunks of one object."""

    def __init__(self, wire: Wire) -> None:
        self.inbox = new_inbox()
        self._wire = wire
        self._open = 0
        self._problem: Exception | None = None
        self._told: asyncio.Future[None] | None = None
        self._sid = wire.listen(self.inbox, self._on_message)

    async def sent(self, *, at_most: int) -> None:
        """One more was sent; return when no more than so many are on their way. Raises NoRoom, StreamAway."""
        self._open += 1
        while self._problem is None and self._open > at_most:
            self._told = self._wire.answer()
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._told
        if self._problem is not None:
            raise self._problem

    def _on_message(self, message: Message) -> None:
        self._open -= 1
        try:
            receipt(message)
        except StreamAway as error:
            self._problem = error
        if self._told is not None and not self._told.done():
            self._told.set_result(None)

    def close(self) -> None:
        self._wire.forget(self._sid)


def _nobody() -> None:
    """The next who uses the store connects again."""
