"""A case's server, running: what can be asked of it while it runs."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.environments import cache, models, programs
from bench.openloop import OpenLoop
from bench.peers.base import Request, Site, Wire
from bench.plan import Case
from bench.ports import free_port
from bench.processes import SERVER_CORE, NoAnswer, Server, ask
from bench.wrk import Load, wrk

DRAIN_SECONDS = 20.0


class Running:
    """A server that has been started for a case."""

    def __init__(self, case: Case, site: Site, server: Server) -> None:
        self.site = site
        self.server = server
        self._case = case

    def request(self, wire: Wire = "json") -> Request:
        request = self._case.request(wire)
        assert request is not None, f"{self._case.title} does not speak {wire}"
        return request

    def first_answer(self) -> float:
        return self.server.first_answer(self.request())

    def drain(self) -> None:
        """Waits for what an earlier load left behind: the server works it off before it answers this."""
        answered = ask(self.site.port, self.request(), seconds=DRAIN_SECONDS)
        if answered != "200":
            raise NoAnswer(f"between two loads: {answered}")
        time.sleep(0.1)

    def closed(self, connections: int, seconds: float, wire: Wire = "json") -> Load:
        place = self.site.scratch
        return wrk(self.site.port, self.request(wire), place, connections=connections, seconds=seconds)

    def open(self, rate: float, seconds: float, wire: Wire = "json") -> Load:
        return OpenLoop(self.site.port, self.request(wire), rate=rate).run(seconds)


@contextmanager
def started(case: Case, place: Path, *, core: int | None = SERVER_CORE) -> Iterator[Running]:
    """The case's server, in a new folder `place`; nothing of it runs afterwards."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    name = case.peer.environment
    site = Site(
        bin=programs(name) if name else Path("/usr/bin"),
        models=models(name) if name else place,
        scratch=place,
        port=free_port(),
    )
    launch = case.peer.launch(site, case.model, case.setting)
    with Server(launch, site.port, place / "log", core=core) as server:
        yield Running(case, site, server)
        if case.peer.graceful:
            server.stop()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what servers write, on the cache's disk: in memory an archive would be too fast."""
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=cache(), ignore_cleanup_errors=True) as place:
        yield Path(place)
