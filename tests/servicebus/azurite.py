"""Azurite's table service as a process; npm installs it where it is not there."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.servicebus.running import HOST, free_port

NAME = "azurite-table"
OVERRIDE = "PODIUM_AZURITE_TABLE"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Everybody's: Azurite knows no other account."""

START_SECONDS = 20.0
INSTALL_SECONDS = 100.0
VERSION = "3.35.0"


class Azurite:
    """`with` starts it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder

    def __enter__(self) -> Azurite:
        program = os.environ.get(OVERRIDE) or shutil.which(NAME) or _installed()
        options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        self._process = subprocess.Popen(
            [program, "--tableHost", HOST, "--tablePort", str(self.port), *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + START_SECONDS
        while not self._listens():
            assert self._process.poll() is None, f"{NAME} has ended"
            assert time.monotonic() < give_up, f"{NAME} does not listen"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
            return True
        return False

    def connection_string(self, port: int | None = None) -> str:
        table = f"http://{HOST}:{port or self.port}/{ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={table};"


def _installed() -> str:
    """From npm, once for all runs of this user on this machine."""
    if not shutil.which("npm"):
        pytest.skip(
            f"no {NAME}, and no npm to install it: apt-get install npm, or set {OVERRIDE} to its path"
        )
    folder = Path(tempfile.gettempdir()) / f"podium-azurite-{VERSION}-{os.getuid()}"
    program = folder / "node_modules" / ".bin" / NAME
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        if not program.exists():
            command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
            subprocess.run([*command, f"azurite@{VERSION}"], check=True, timeout=INSTALL_SECONDS)
    return str(program)
