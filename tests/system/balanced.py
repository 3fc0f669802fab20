"""A client of several gateways, as one behind a load balancer is, and what each of its requests met.

`python -m tests.system.balanced FILE RATE HOST:PORT…` sends until SIGTERM. Each gateway that says it is ready
gets its turn; what is refused is sent to another one, and nothing else is sent twice.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tests.system.load import BROKEN, HUNG, REFUSED, ROW, Connection, Reply

PATIENCE = 1.0
"""Seconds until a request is given up."""

PROBE_SECONDS = 0.5
"""So often each gateway is asked whether it is ready, and so long it has to say so."""

PATH = "/score/diabetes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Met:
    """What one request met: a status, or HUNG, BROKEN or REFUSED. Times are monotonic, of this machine."""

    id: str
    began: float
    ended: float
    gateway: str
    what: int | str
    rule: str = ""
    retried: bool = False

    @property
    def scored(self) -> bool:
        """Answered by a contender."""
        return self.what == 200 and self.rule != "default"


def read(file: Path, start: int = 0) -> tuple[list[Met], int]:
    """What was met from this place in the file on, and the place up to which it was read.

    A line that is being written is left for the next look.
    """
    if not file.exists():
        return [], start
    with file.open("rb") as lines:
        lines.seek(start)
        whole = lines.read().rpartition(b"\n")[0]
    found = [Met(**json.loads(line)) for line in whole.splitlines()]
    return found, start + len(whole) + bool(whole)


def summary(met: Sequence[Met]) -> dict[str, int]:
    """Requests by what they met: of answers the rule, of others the status or the word."""
    counts = Counter(each.rule if each.what == 200 else str(each.what) for each in met)
    counts["retried"] += sum(each.retried for each in met)
    return dict(+counts)


class Gateway:
    """One of them: whether it has its turn, and its idle connections."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.ready = True
        host, _, port = place.rpartition(":")
        self._where = (host, int(port))
        self._idle: list[Connection] = []

    async def ask(self, method: str, path: str, body: bytes = b"", id: str = "") -> Reply:
        """Raises OSError, EOFError, TimeoutError."""
        connection = self._connection()
        try:
            reply = await connection.ask(method, path, body, {"podium-id": id} if id else {})
        except BaseException:
            connection.close()
            raise
        if connection.over:
            connection.close()
        else:
            self._idle.append(connection)
        return reply

    def _connection(self) -> Connection:
        while self._idle:
            found = self._idle.pop()
            if not found.ended:
                return found
            found.close()
        return Connection(*self._where)

    async def probe(self) -> None:
        """For ever."""
        while True:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    self.ready = (await self.ask("GET", "/ready")).status == 200
            except (OSError, EOFError, TimeoutError):
                self.ready = False
            if not self.ready:
                self._forget()
            await asyncio.sleep(PROBE_SECONDS)

    def _forget(self) -> None:
        """Connections to who is not there may never end by themselves."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class Balanced:
    """Sends `rate` requests a second, however long each takes; a line of `output` for each."""

    def __init__(self, gateways: Sequence[Gateway], rate: float, output: IO[str]) -> None:
        self._gateways = gateways
        self._rate = rate
        self._output = output
        self._name = secrets.token_hex(4)

    async def run(self, stop: asyncio.Event) -> None:
        probing = [asyncio.create_task(gateway.probe()) for gateway in self._gateways]
        due = time.monotonic()
        count = 0
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                count += 1
                group.create_task(self._request(f"{self._name}-{count}", count))
                due += 1 / self._rate
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, due - time.monotonic())):
                        await stop.wait()
        for task in probing:
            task.cancel()

    async def _request(self, id: str, turn: int) -> None:
        began = time.monotonic()
        ready = [gateway for gateway in self._gateways if gateway.ready] or self._gateways
        order = [ready[(turn + step) % len(ready)] for step in range(len(ready))]
        for gateway in order:
            what, rule = await self._ask(gateway, id)
            if what != REFUSED:
                break
        met = Met(
            id=id,
            began=began,
            ended=time.monotonic(),
            gateway=gateway.place,
            what=what,
            rule=rule,
            retried=gateway is not order[0],
        )
        self._output.write(json.dumps(asdict(met)) + "\n")
        self._output.flush()

    async def _ask(self, gateway: Gateway, id: str) -> tuple[int | str, str]:
        """What it met, and the rule."""
        try:
            async with asyncio.timeout(PATIENCE):
                reply = await gateway.ask("POST", PATH, ROW, id)
        except TimeoutError:
            return HUNG, ""
        except ConnectionRefusedError:
            return REFUSED, ""
        except (OSError, EOFError):
            return BROKEN, ""
        return reply.status, reply.json()["rule"] if reply.status == 200 else ""


async def _main(file: str, rate: str, *places: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with open(file, "w") as output:
        await Balanced([Gateway(place) for place in places], float(rate), output).run(stop)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
