"""Azurite's table service as a process. Without it, tests are skipped that need it, and say how to get it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
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


class Azurite:
    """`with` starts it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder

    def __enter__(self) -> Azurite:
        program = os.environ.get(OVERRIDE) or shutil.which(NAME)
        if not program:
            pytest.skip(f"no {NAME}: `npm install -g azurite`, or set {OVERRIDE} to the program's path")
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
