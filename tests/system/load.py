"""Steady load over raw keep-alive connections, that remembers what every single request met."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 3.0
"""Seconds until a client gives up: to it the gateway hangs."""

JOIN_SECONDS = 15.0
ROW = b'{"bmi": 0.05}'

HUNG, BROKEN, REFUSED = "hung", "broken", "refused"
"""What can happen instead of a status: no answer in time, the connection ended, nobody listens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What one request met: `what` is the status, or one of the three words above.

    `body` says which of the load's bodies it was; `headers` are those of a refusal; `began` and `ended` are
    on the monotonic clock, in seconds.
    """

    id: str
    body: int
    what: int | str
    rule: str = ""
    model: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    began: float
    ended: float


class Load:
    """Sends requests, each with an id of its own, until told to stop. `with` starts it in a thread.

    `rate` is for all connections together, per second; `bodies` take turns. No request is sent twice.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint: str = "diabetes",
        connections: int = 16,
        rate: float = 300.0,
        bodies: Sequence[bytes] = (ROW,),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.seen: list[Seen] = []
        self._address = urlsplit(url)
        self._path = f"/score/{endpoint}"
        self._connections = connections
        self._pause = connections / rate
        self._bodies = bodies
        self._turns = count()
        self._headers = dict(headers or {})
        self._name = secrets.token_hex(4)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(JOIN_SECONDS)
        assert not self._thread.is_alive(), "the load did not end"

    # --- what was seen ----------------------------------------------------------------------

    @property
    def counts(self) -> Counter[int | str]:
        """Requests by what they met."""
        return Counter(seen.what for seen in self.seen)

    @property
    def rules(self) -> Counter[str]:
        """Answers by the rule that let them in."""
        return Counter(seen.rule for seen in self.seen if seen.what == 200)

    @property
    def answered(self) -> set[str]:
        """The ids that were answered."""
        return {seen.id for seen in self.seen if seen.what == 200}

    def since(self, moment: float) -> list[Seen]:
        """Those that began after a moment of the monotonic clock."""
        return [seen for seen in list(self.seen) if seen.began >= moment]

    @property
    def slowest(self) -> float:
        """Seconds that the slowest answer took."""
        return max(seen.ended - seen.began for seen in self.seen if isinstance(seen.what, int))

    def __repr__(self) -> str:
        return f"{dict(self.counts)}, by rule {dict(self.rules)}, slowest {self.slowest * 1000:.0f} ms"

    # --- sending ----------------------------------------------------------------------------

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._connections):
                group.create_task(self._send_from(number))

    async def _send_from(self, number: int) -> None:
        """One connection's requests; a new connection where the old one ended."""
        connection: Connection | None = None
        count = 0
        while not self._stop.is_set():
            began = time.monotonic()
            connection = connection or Connection(self._address.hostname or "", self._address.port or 0)
            count += 1
            seen = await self._ask(connection, f"{self._name}-{number}-{count}", began)
            self.seen.append(seen)
            if not isinstance(seen.what, int) or connection.over:
                connection.close()
                connection = None
            await asyncio.sleep(max(0.005, began + self._pause - time.monotonic()))
        if connection:
            connection.close()

    async def _ask(self, connection: Connection, id: str, began: float) -> Seen:
        what: int | str
        body = next(self._turns) % len(self._bodies)
        rule = model = ""
        refusal: Mapping[str, str] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                reply = await connection.ask(
                    "POST", self._path, self._bodies[body], {"podium-id": id, **self._headers}
                )
        except TimeoutError:
            what = HUNG
        except ConnectionRefusedError:
            what = REFUSED
        except (OSError, EOFError):
            what = BROKEN
        else:
            what = reply.status
            if what == 200:
                answer = reply.json()
                assert answer["id"] == id
                rule, model = answer["rule"], answer["model"] or ""
            else:
                refusal = reply.headers
        ended = time.monotonic()
        return Seen(
            id=id, body=body, what=what, rule=rule, model=model, headers=refusal, began=began, ended=ended
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """One response; names of headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One HTTP/1.1 connection, opened by the first request."""

    def __init__(self, host: str, port: int) -> None:
        self.over = False
        self._host = host
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Raises OSError or EOFError where the connection ends first."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._host}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return await self._read()

    async def _read(self) -> Reply:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self._reader.readexactly(int(headers["content-length"]))
        self.over = headers.get("connection") == "close"
        return Reply(int(head[0].split()[1]), headers, body)

    @property
    def ended(self) -> bool:
        """Whether the other side has ended it."""
        return self._writer is not None and (self._reader.at_eof() or self._reader.exception() is not None)

    def close(self) -> None:
        if self._writer:
            self._writer.close()
