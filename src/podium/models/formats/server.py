"""A server: its address and what it speaks. No code runs here; the answers are the server's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from podium.errors import ModelFailed, PackageError
from podium.models.formats.base import Allowed
from podium.models.manifest import Manifest
from podium.models.server.doors import door_of
from podium.models.server.runtime import START_SECONDS, Runtime
from podium.servers import Server

FILE = "server.json"


def keep(server: Server, package: Path) -> bytes:
    """Returns what was written."""
    written = msgspec.json.format(msgspec.json.encode(server, order="deterministic")) + b"\n"
    (package / FILE).write_bytes(written)
    return written


def open(package: Path, manifest: Manifest, allowed: Allowed) -> Runtime:
    """A server that says it is ready. Raises PackageError."""
    return started(_read(package), manifest, allowed, seconds=START_SECONDS)


def started(server: Server, manifest: Manifest, allowed: Allowed, *, seconds: float) -> Runtime:
    """The same, within a time (s)."""
    try:
        door = door_of(server, manifest.inputs, manifest.outputs)
    except PackageError as error:
        raise PackageError(f"{manifest.model}: {error}") from None
    runtime = Runtime(manifest.model, server.url, door, connections=allowed.threads, timeout=allowed.timeout)
    try:
        runtime.start(seconds)
    except ModelFailed as error:
        runtime.close()
        raise PackageError(f"{manifest.model}: {error}; `podium check {manifest.model}` tells more") from None
    return runtime


def _read(package: Path) -> Server:
    try:
        return msgspec.json.decode((package / FILE).read_bytes(), type=Server)
    except (OSError, msgspec.DecodeError) as error:
        raise PackageError(f"{package.name[:12]}: {FILE} cannot be read: {error}") from None
