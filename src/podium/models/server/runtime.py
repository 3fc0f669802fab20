"""A server behind columns: asked within a time that all failures in a row share.

The worker calls this in its event loop's thread, as it calls every model, and halves a batch that fails. So
what may not last longer than the worker may be silent is one question together with all that follow it
and fail too.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import numpy as np

from podium.errors import ModelFailed
from podium.models.process.stderr import Allowance
from podium.models.server.base import Door
from podium.models.server.http import Pool, Request, Slow
from podium.models.server.replies import checked, json_of
from podium.models.values import rows_of
from podium.schema import Columns

log = logging.getLogger("podium.server")

START_SECONDS = 50.0
"""How long a server may take to say that it is ready; a worker is given 60 s."""

_LOOK_SECONDS = 0.2
_HEALTH_SECONDS = 5.0


class Patience:
    """How long the next answer is awaited. Time comes in as a number, in seconds.

    Questions that fail one after the other have `whole` seconds between them; when those are gone, the
    server is left alone for `PAUSE`, and whoever asks is told so at once. An answer restores it.
    """

    PAUSE = 1.0
    _LITTLE = 0.05

    def __init__(self, whole: float) -> None:
        self._whole = whole
        self._left = whole
        self._until = 0.0

    def left(self) -> float:
        return self._left

    def wait(self, now: float) -> float:
        """Seconds until the server may be asked again."""
        return max(0.0, self._until - now)

    def failed(self, now: float, *, took: float) -> None:
        self._left -= took
        if self._left < self._LITTLE:
            self._left = self._whole
            self._until = now + self.PAUSE

    def answered(self) -> None:
        self._left = self._whole


def learn(door: Door, pool: Pool, until: float) -> None:
    """Ask the server about its model, where the protocol has that; one that does not say it is no error."""
    if door.metadata:
        with suppress(ModelFailed):
            (reply,) = pool.ask([Request(method="GET", target=door.metadata)], until)
            door.learn(json_of(reply))


class Runtime:
    """A server that scores. `timeout` (s) is how long whoever calls may be silent.

    An answer is awaited for about three quarters of that.
    """

    def __init__(self, name: str, url: str, door: Door, *, connections: int, timeout: float) -> None:
        self._name = name
        self._url = url
        self._door = door
        self._pool = Pool(url, connections=connections)
        self._patience = Patience(0.8 * timeout - 0.4)
        self._allowance = Allowance(time.monotonic())
        self._why = ""

    def start(self, seconds: float = START_SECONDS) -> None:
        """Returns when the server says that it is ready. Raises ModelFailed when it has not in that time."""
        until = time.monotonic() + seconds
        told = ""
        while True:
            try:
                soon = max(until, time.monotonic() + _HEALTH_SECONDS)
                self._look(soon)
                return learn(self._door, self._pool, soon)
            except ModelFailed as error:
                if time.monotonic() + _LOOK_SECONDS > until:
                    raise ModelFailed(f"{self._url}: {error}") from None
                if str(error) != told:
                    told = str(error)
                    log.info("%s: waiting for %s: %s", self._name, self._url, told)
            time.sleep(_LOOK_SECONDS)

    def _look(self, until: float) -> None:
        try:
            if not self._door.health:
                return self._pool.reach(until)
            (reply,) = self._pool.ask([Request(method="GET", target=self._door.health)], until)
            checked(reply)
        except ModelFailed as error:
            asked = f"asked for {self._door.health}, " if self._door.health else ""
            slow = "it has not answered in time" if isinstance(error, Slow) else ""
            raise ModelFailed(f"{asked}{slow}{error}") from None
        return None

    def close(self) -> None:
        self._pool.close()

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        """Raises ModelFailed, at once where the server has just kept everybody waiting."""
        began = time.monotonic()
        if wait := self._patience.wait(began):
            raise ModelFailed(f"{self._why}; it is asked again in {wait:.1f} s")
        try:
            replies = self._pool.ask(self._door.questions(columns), began + self._patience.left())
            found = self._door.answers(replies, rows_of(columns))
        except ModelFailed as error:
            now = time.monotonic()
            self._patience.failed(now, took=now - began)
            slow = f"it has not answered within {now - began:.1f} s" if isinstance(error, Slow) else ""
            self._why = f"{self._url}: {slow}{error}"
            if self._allowance.take(now):
                log.warning("%s: %s", self._name, self._why)
            raise ModelFailed(self._why) from None
        self._patience.answered()
        return found
