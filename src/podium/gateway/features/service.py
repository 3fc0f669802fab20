"""Features looked up at an HTTP service: all keys in one request, a row for each in its answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from functools import cache
from typing import Any, Self
from urllib.parse import quote, urlsplit

import msgspec

from podium.client.async_sockets import AsyncConnections
from podium.client.calls import Address
from podium.client.wire import Reply, request_bytes
from podium.errors import FeaturesFailed, GatewayFailed, Unreachable
from podium.gateway.features.values import Found, keys_of, of_rows
from podium.run import Features
from podium.schema import Schema
from podium.validation import Rows

CONNECTIONS = 8
LONGEST_SECONDS = 60.0
"""The budget ends a question before this does."""

_KEPT = "/:%~@!$&'()*+,;=?"
_encode = msgspec.json.Encoder().encode


class _Answer(msgspec.Struct):
    rows: list[dict[str, Any] | None]


_decode = msgspec.json.Decoder(_Answer).decode


class ServiceSource:
    """`POST {"keys": […]}` is answered by `{"rows": [{…}, null, …]}`, over at most so many connections."""

    def __init__(self, features: Features, asked: Schema) -> None:
        self._fields = features.fields
        self._place = asked.names.index(features.key)
        self._url = features.at
        self._address = Address.of(features.at)

    async def __aenter__(self) -> Self:
        self._connections = AsyncConnections(self._address, cache(ssl.create_default_context))
        self._turns = asyncio.Semaphore(CONNECTIONS)
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._connections.close()

    async def find(self, parts: Sequence[Rows]) -> Found:
        keys, places = keys_of(parts, self._place)
        try:
            async with self._turns:
                reply = await self._connections.ask(self._question(keys), LONGEST_SECONDS)
        except (Unreachable, GatewayFailed) as error:
            raise FeaturesFailed(str(error)) from None
        return of_rows(self._fields, self._rows(reply, len(keys))).taken(places)

    def _question(self, keys: Sequence[object]) -> bytes:
        parts = urlsplit(self._url)
        target = quote(f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", safe=_KEPT)
        headers = {
            "host": self._address.netloc,
            "content-type": "application/json",
            "accept": "application/json",
        }
        return request_bytes("POST", target, headers, _encode({"keys": keys}))

    def _rows(self, reply: Reply, count: int) -> list[dict[str, Any] | None]:
        if reply.status != 200:
            raise FeaturesFailed(f"{self._url} answered {reply.status}")
        try:
            rows = _decode(reply.body).rows
        except msgspec.DecodeError as error:
            raise FeaturesFailed(f'{self._url} answered no {{"rows": […]}}: {error}') from None
        if len(rows) != count:
            raise FeaturesFailed(f"{self._url} answered {len(rows)} rows for {count} keys")
        return rows
