"""Connections for `AsyncClient`: the same as `podium.client.sockets` on an event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from podium.client.calls import Address
from podium.client.sockets import PIECE, explained
from podium.client.wire import Reply, ReplyReader


class AsyncConnections:
    """Those to one gateway. Any number of tasks of one event loop may ask at the same time."""

    def __init__(self, address: Address, context: Callable[[], ssl.SSLContext]) -> None:
        self._address = address
        self._context = context
        self._kept: deque[AsyncConnection] = deque()

    async def ask(self, request: bytes, seconds: float) -> Reply:
        """The reply. Raises Unreachable, GatewayFailed; after `seconds` at the latest."""
        with explained(self._address, seconds):
            async with asyncio.timeout(seconds):
                return await self._ask(request)

    async def _ask(self, request: bytes) -> Reply:
        while self._kept:
            try:
                return await self._asked(self._kept.pop(), request)
            except (ConnectionError, EOFError):
                pass  # closed since it was used last, which says nothing of the gateway now
        return await self._asked(await self._opened(), request)

    async def close(self) -> None:
        while self._kept:
            kept = self._kept.pop()
            kept.close()
            await kept.closed()

    async def _asked(self, connection: AsyncConnection, request: bytes) -> Reply:
        try:
            reply = await connection.ask(request)
        except BaseException:
            connection.close()  # nobody knows what would come over it next
            raise
        if reply.reusable:
            self._kept.append(connection)
        else:
            connection.close()
        return reply

    async def _opened(self) -> AsyncConnection:
        address = self._address
        context = self._context() if address.tls else None
        return AsyncConnection(*await asyncio.open_connection(address.host, address.port, ssl=context))


class AsyncConnection:
    """One connection, for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> Reply:
        """Raises OSError, EOFError, GatewayFailed."""
        self._writer.write(request)
        await self._writer.drain()
        reader = ReplyReader()
        reply = None
        while reply is None:
            reply = reader.feed(await self._reader.read(PIECE))
        return reply

    def close(self) -> None:
        self._writer.close()

    async def closed(self) -> None:
        """Wait until it is."""
        with suppress(OSError):  # it was over before
            await self._writer.wait_closed()
