"""Other model servers, as they are: started from the pinned environments of the benches."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from bench import environments
from bench.peers.base import Launch, Model, Peer, Site
from bench.ports import free_port

STOP_SECONDS = 10
IN_CI = ("flask", "kserve")
"""What `.ci/run` makes: all four would take longer than every other test together."""


def tried(environment: str) -> bool:
    """Whether a peer is to be tested here: in CI only those that it makes."""
    return os.environ.get("CI") != "true" or environment in IN_CI


def needs(environment: str) -> Path:
    """The environment's programs; skips by name where it is not made, which CI counts as a failure."""
    if environments.is_made(environment):
        return environments.programs(environment)
    pytest.skip(f"{environment} is not here: python -m bench setup --only {environment}")


@contextmanager
def served(peer: Peer, model: Model, setting: str, scratch: Path) -> Iterator[int]:
    """The peer's server, started and perhaps not ready yet; its port."""
    assert peer.environment is not None
    programs = needs(peer.environment)
    models = environments.models(peer.environment)
    site = Site(bin=programs, models=models, scratch=scratch, port=free_port())
    with running(peer.launch(site, model, setting), scratch / "log"):
        yield site.port


@contextmanager
def running(launch: Launch, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a session of its own, all of which is ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            launch.argv,
            cwd=launch.cwd,
            env={**os.environ, **launch.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)
