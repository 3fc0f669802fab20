"""Features looked up in Redis: a hash for each key, with a field for each feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import msgspec

from podium.errors import FeaturesFailed, MissingExtra
from podium.features import KEY_SIGN
from podium.gateway.features.values import Found, keys_of, of_rows
from podium.run import Features
from podium.schema import Field, Kind, Schema
from podium.validation import Rows

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
except ModuleNotFoundError:
    raise MissingExtra("redis", "redis") from None

CONNECTIONS = 8
_TRUTH = {b"true": True, b"1": True, b"false": False, b"0": False}
_READ: dict[Kind, Callable[[bytes], Any]] = {
    Kind.FLOAT: float,
    Kind.INT: int,
    Kind.BOOL: lambda text: _TRUTH[text.lower()],
    Kind.STRING: bytes.decode,
}


class RedisSource:
    """All keys of a call in one round trip, over at most so many connections."""

    def __init__(self, features: Features, asked: Schema) -> None:
        self._features = features
        self._place = asked.names.index(features.key)

    async def __aenter__(self) -> Self:
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            self._features.at,
            max_connections=CONNECTIONS,
            timeout=None,  # the budget is the limit of every wait
            retry=Retry(NoBackoff(), 1),  # a connection that was idle may be over
        )
        self._redis = Redis(connection_pool=pool)
        self._pool = pool
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._redis.aclose()
        await self._pool.disconnect()

    async def find(self, parts: Sequence[Rows]) -> Found:
        keys, places = keys_of(parts, self._place)
        try:
            said = await self._hashes(keys)
        except (RedisError, OSError) as error:
            raise FeaturesFailed(f"Redis: {error}") from None
        fields = self._features.fields
        return of_rows(fields, [_row(fields, values) for values in said]).taken(places)

    async def _hashes(self, keys: Sequence[object]) -> list[Any]:
        """Of each key the texts of its fields, or the error that came for it."""
        names = self._features.fields.names
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(self._features.name.replace(KEY_SIGN, str(key)), names)
            said: list[Any] = await pipeline.execute(raise_on_error=False)
        return said


def _row(schema: Schema, said: Any) -> dict[str, Any]:
    """Values as JSON would have them; what is no hash has no usable value."""
    if isinstance(said, Exception):
        return dict.fromkeys(schema.names, said)
    return {field.name: _value(field, text) for field, text in zip(schema.fields, said, strict=True)}


def _value(field: Field, text: bytes | None) -> Any:
    """The value that a text stands for; one that stands for none stays as it is, which is no such value."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text) if field.shape else _READ[field.type](text)
    except (ValueError, KeyError, msgspec.DecodeError):
        return text
