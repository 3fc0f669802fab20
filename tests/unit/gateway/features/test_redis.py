"""Features from Redis: a server that is there, as `redis-server` brings it, and one that is not."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as client
from tests.unit.gateway.features.asked import ASKED, FIELDS, PLACE, features, request, shown
from tests.unit.workers.stage import PATIENCE

from podium.errors import FeaturesFailed
from podium.gateway.features.redis import RedisSource
from podium.schema import Field, Kind, Schema


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis of its own, on a socket in a folder."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    path = tmp_path / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with client.Redis.from_url(
            f"unix://{path}", retry=client.retry.Retry(client.backoff.ConstantBackoff(0.05), 100)
        ) as redis:
            redis.ping()
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait(10)


async def found(url: str, *customers: str, fields: Schema = FIELDS) -> list[tuple[Any, ...]]:
    settings = features("redis", url, fields, name="c:{key}")
    async with RedisSource(settings, ASKED) as source, asyncio.timeout(PATIENCE):
        return shown(await source.find([request(customer) for customer in customers]))


async def test_a_hash_is_a_customer_and_what_is_not_there_is_a_default(server: str) -> None:
    with client.Redis.from_url(server) as redis:
        redis.hset("c:a", mapping={"income": "1.5", "segment": "é"})
        redis.hset("c:b", mapping={"income": "junk"})
        redis.set("c:text", "no hash")
        redis.hset("c:nan", mapping={"income": "nan", "segment": b"\xff"})
    absent = (-1.0, "unknown", "missing")
    wrong = (-1.0, "unknown", "wrong")
    seen = await found(server, "a", "nobody", "b", "text", "nan", "a")
    assert seen == [(1.5, "é", "nothing"), absent, wrong, wrong, wrong, (1.5, "é", "nothing")]


async def test_every_type_is_read_from_text(server: str) -> None:
    fields = Schema(
        (
            Field(name="good", type=Kind.BOOL, optional=True, default=False),
            Field(name="age", type=Kind.INT, optional=True, default=-1),
            PLACE,
        )
    )
    with client.Redis.from_url(server) as redis:
        redis.hset("c:a", mapping={"good": "True", "age": "41", "place": "[1, 2.5]"})
        redis.hset("c:b", mapping={"good": "yes", "age": "4.1", "place": "[1"})
    seen = await found(server, "a", "b", fields=fields)
    assert seen == [(True, 41, [1.0, 2.5], "nothing"), (False, -1, [0.0, 0.0], "wrong")]


async def test_a_redis_that_is_not_there_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(FeaturesFailed, match=r"Redis: Error .* connecting to 127.0.0.1"):
            await found(f"redis://127.0.0.1:{taken.getsockname()[1]}", "a")


async def test_one_that_says_nothing_can_be_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = features("redis", f"redis://127.0.0.1:{silent.getsockname()[1]}", name="{key}")
        async with RedisSource(settings, ASKED) as source:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await source.find([request("a")])
