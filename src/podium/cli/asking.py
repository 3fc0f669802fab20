"""Talking to the gateway that runs for this project."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from podium import project as projects
from podium import run as runs
from podium.errors import NotFound, NotRunning, PodiumError
from podium.node.state import RUN, running
from podium.run import Run

TIMEOUT = 30.0
TAKEN = (200, 202)


class Refused(PodiumError):
    """The gateway's own words for what is wrong; `path` is where in the body, `later` to try again."""

    def __init__(self, message: str, *, path: str = "", later: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.later = later


class Reply(NamedTuple):
    """What the gateway says to what it has taken."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def running_here() -> tuple[Run, str]:
    """What runs for the project of this folder, and its gateway's URL. Raises NotRunning."""
    project = projects.load(projects.find(Path.cwd()))
    state = running(project.run_dir)
    return runs.load(project.run_dir / RUN), state.url


def without_endpoint(words: tuple[str, ...], wanted: int, endpoint: str) -> tuple[str, ...] | None:
    """The words after the endpoint's name, which may be left out; None where their number is wrong.

    Raises NotFound for an endpoint that does not run here.
    """
    if len(words) == wanted + 1:
        if words[0] != endpoint:
            raise NotFound(f"no endpoint {words[0]!r} here; there is {endpoint!r}")
        words = words[1:]
    return words if len(words) == wanted else None


class Gateway:
    """One connection to the running gateway."""

    def __init__(self, url: str, path: str, headers: Mapping[str, str]) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            address.hostname or "127.0.0.1", address.port, timeout=TIMEOUT
        )
        self._path = path
        self._headers = {"content-type": "application/json", **headers}

    def ask(self, body: str) -> Reply:
        """What it says. Raises Refused with the gateway's explanation, NotRunning."""
        try:
            self._connection.request("POST", self._path, body.encode(), self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotRunning(f"the gateway does not answer ({error}); see `podium status`") from None
        if response.status not in TAKEN:
            raise _refused(response.status, content)
        return Reply(response.status, content)

    def close(self) -> None:
        self._connection.close()


def _refused(status: int, content: bytes) -> Refused:
    try:
        problem = json.loads(content)
    except ValueError:
        return Refused(f"the gateway says {status}")
    detail = problem.get("detail", problem.get("title"))
    expected = problem.get("expected")
    message = f"{detail} ({expected})" if expected else detail
    return Refused(message, path=problem.get("path", ""), later=status in (429, 503))
