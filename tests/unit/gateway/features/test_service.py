"""Features from an HTTP service that does as it should, and one that does not."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.unit.gateway.features.asked import ASKED, features, request, shown
from tests.unit.workers.stage import PATIENCE

from podium.errors import FeaturesFailed
from podium.gateway.features.service import CONNECTIONS, ServiceSource
from podium.gateway.features.values import Found

ROWS = {"a": {"income": 1.5, "segment": "x", "more": 1}, "b": {"income": "junk", "segment": "y"}}
SAID: dict[str, tuple[int, str, int]] = {
    "broken": (500, "<h1>Internal Server Error</h1>", 0),
    "page": (200, "<h1>Please log in</h1>", 0),
    "half": (200, '{"rows": [', 100),
    "moved": (307, "", 0),
    "short": (200, '{"rows": []}', 0),
    "list": (200, "[null]", 0),
    "words": (200, '{"rows": ["a"]}', 0),
}


class Service(BaseHTTPRequestHandler):
    """It answers what it knows, and does what the first key says."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, Any]]
    under_way = most = 0
    gate = threading.Event()

    def do_POST(self) -> None:
        keys = json.loads(self.rfile.read(int(self.headers["content-length"])))["keys"]
        self.asked.append((self.path, keys))
        Service.under_way += 1
        Service.most = max(Service.most, Service.under_way)
        if keys[0] == "slow":
            self.gate.wait(PATIENCE)
        Service.under_way -= 1
        body = json.dumps({"rows": [ROWS.get(key) for key in keys]})
        status, text, more = SAID.get(keys[0], (200, body, 0))
        self.send_response(status)
        self.send_header("content-length", str(len(text) + more))
        self.end_headers()
        self.wfile.write(text.encode())
        self.close_connection = bool(more)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Service.asked, Service.under_way, Service.most = [], 0, 0
    Service.gate.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/customers?v=1"
        Service.gate.set()
        server.shutdown()
        thread.join()


async def found(url: str, *customers: str) -> Found:
    async with ServiceSource(features("url", url), ASKED) as source, asyncio.timeout(PATIENCE):
        return await source.find([request(customer) for customer in customers])


async def test_all_keys_are_asked_for_at_once_and_each_once(url: str) -> None:
    seen = shown(await found(url, "a", "nobody", "b", "a"))
    one, absent, wrong = (1.5, "x", "nothing"), (-1.0, "unknown", "missing"), (-1.0, "y", "wrong")
    assert seen == [one, absent, wrong, one]
    assert Service.asked == [("/customers?v=1", ["a", "nobody", "b"])]


@pytest.mark.parametrize(
    ("customer", "says"),
    [
        ("broken", r"^http://127.0.0.1:\d+/customers\?v=1 answered 500$"),
        ("page", r'answered no \{"rows": \[…\]\}: JSON is malformed'),
        ("half", "does not answer: the connection was closed before the answer was whole"),
        ("moved", "answered 307"),
        ("short", "answered 0 rows for 1 keys"),
        ("list", "answered no .*Expected `object`, got `array`"),
        ("words", r"Expected `object \| null`, got `str` - at `\$.rows\[0\]`"),
    ],
)
async def test_an_answer_that_is_none_is_said(url: str, customer: str, says: str) -> None:
    with pytest.raises(FeaturesFailed, match=says):
        await found(url, customer)


async def test_a_service_that_is_not_there_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(FeaturesFailed, match="does not answer"):
            await found(f"http://127.0.0.1:{taken.getsockname()[1]}", "a")


async def test_one_that_is_slow_can_be_given_up_and_asked_again(url: str) -> None:
    async with ServiceSource(features("url", url), ASKED) as source:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await source.find([request("slow")])
        async with asyncio.timeout(PATIENCE):
            assert shown(await source.find([request("a")])) == [(1.5, "x", "nothing")]


async def test_it_is_asked_over_so_many_connections_at_most(url: str) -> None:
    async with ServiceSource(features("url", url), ASKED) as source, asyncio.timeout(PATIENCE):
        asked = [asyncio.create_task(source.find([request("slow")])) for _ in range(2 * CONNECTIONS)]
        while Service.under_way < CONNECTIONS:
            await asyncio.sleep(0.01)
        Service.gate.set()
        await asyncio.gather(*asked)
    assert Service.most == CONNECTIONS
