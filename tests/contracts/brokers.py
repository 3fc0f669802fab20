"""A real nats-server in a process of its own, with TLS where a test wants it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import trustme

from podium.node.broker import Broker


class NatsServer:
    """Started and killed by its test; the same port, password and store each time."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        self._broker = Broker.choose(run_dir=folder / "run", store=folder / "store")
        self._process: asyncio.subprocess.Process | None = None
        self.url = self._broker.url
        self._tls: dict[str, str] | None = None
        if tls:
            self._tls = _certificates(folder)
            self.url = f"tls{self.url.removeprefix('nats')}?ca={quote(str(folder / 'ca.pem'))}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(10):
            while not await self._listens():
                await asyncio.sleep(0.02)

    def _argv(self) -> tuple[str, ...]:
        argv = self._broker.spec().argv
        if self._tls is not None:
            config = json.loads(self._broker.config.read_text())
            self._broker.config.write_text(json.dumps({**config, "tls": self._tls}))
        return argv

    async def _listens(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._broker.port)
        except OSError:
            return False
        info = json.loads((await reader.readline()).removeprefix(b"INFO "))
        writer.close()
        return bool(info.get("jetstream"))

    async def crash(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


def _certificates(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "nats.example")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}
