"""Talking to the gateway that runs for this project."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import click

from podium import project as projects
from podium import run as runs
from podium.client.calls import Address, key_headers
from podium.client.problems import refusal
from podium.client.replies import TAKEN
from podium.client.sockets import Connections
from podium.client.wire import Reply, request_bytes
from podium.errors import GatewayFailed, NotRunning, PodiumError, Unreachable
from podium.node.state import RUN, running
from podium.run import Run

TIMEOUT = 30.0

key_option = click.option(
    "--key", envvar="PODIUM_KEY", help="A caller's key; better in the environment, as PODIUM_KEY."
)


class Refused(PodiumError):
    """The gateway's own words for what is wrong; `path` is where in the body, `later` to try again."""

    def __init__(self, message: str, *, path: str = "", later: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.later = later


def running_here() -> tuple[Run, str]:
    """What runs for the project of this folder, and its gateway's URL. Raises NotRunning."""
    project = projects.load(projects.find(Path.cwd()))
    state = running(project.run_dir)
    return runs.load(project.run_dir / RUN), state.url


class Gateway:
    """One path of the running gateway, asked over one connection. Nothing is asked twice.

    `key` is a caller's, where the endpoint asks for one.
    """

    def __init__(self, url: str, path: str, headers: Mapping[str, str], key: str | None) -> None:
        address = Address.of(url)
        self._connections = Connections(address, ssl.create_default_context)
        self._path = path
        usual = {"host": address.netloc, "content-type": "application/json"}
        self._headers = {**usual, **headers, **key_headers(key)}

    def ask(self, body: str) -> Reply:
        """What it says. Raises Refused with the gateway's explanation, NotRunning."""
        request = request_bytes("POST", self._path, self._headers, body.encode())
        try:
            reply = self._connections.ask(request, TIMEOUT)
        except (Unreachable, GatewayFailed) as error:
            raise NotRunning(f"{error}; see `podium status`") from None
        if reply.status not in TAKEN:
            raise _refused(reply)
        return reply

    def close(self) -> None:
        self._connections.close()


def _refused(reply: Reply) -> Refused:
    error = refusal(reply)
    expected = getattr(error, "expected", "")
    message = f"{error} ({expected})" if expected else str(error)
    return Refused(message, path=getattr(error, "path", ""), later=reply.status in (429, 503))
