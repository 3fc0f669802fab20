"""An endpoint spread over many hosts, each process on one of its own, started as an image starts it.

Three NATS servers in a cluster, two gateways, two workers of each of two contenders, the archiver, and a
host for the client. All of them see the same disk, as they would a registry and a bucket.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType

import msgspec
from tests.system.balanced import Met, read
from tests.system.hosts import Host, Network

from podium import project as projects
from podium.cluster.stream import ROUTE_LIVELINESS, liveliness
from podium.counters import read as counts_of
from podium.counters import total
from podium.node.broker import find_binary
from podium.node.contenders import candidate, contract_of, policy_of
from podium.node.plan import run_of
from podium.project import Project
from podium.registry.folder import FolderRegistry
from podium.run import WorkerSettings

PODIUM = (sys.executable, "-P", "-m", "podium")
ROOT = Path(__file__).parents[2]
BROKERS, GATEWAYS = ("nats1", "nats2", "nats3"), ("gateway1", "gateway2")
WORKERS = ("linear1", "linear2", "forest1", "forest2")
ARCHIVER = "archiver"
CLIENTS, ROUTES, PORT, HEALTH = 4222, 6222, 8080, 8081
PASSWORD = "secret"  # of a network that nobody else is on
PATIENCE = 40.0
STEADY_SECONDS = 1.5
"""All answers of so long are as they should be: it is over."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Spread:
    """`with Spread(project, folder) as spread:` it answers. Raises NoHosts where hosts cannot be made."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.folder = project
        self._project = projects.load(project)
        self._folder = folder
        self._network = Network()
        self._hosts: dict[str, Host] = {}
        self._start: dict[str, Callable[[], None]] = {}

    def __enter__(self) -> Spread:
        self._network.__enter__()
        try:
            self._plug_in()
            for name in self._start:
                self.start(name)
            self._until_ready()
        except BaseException:
            self._network.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._network.__exit__(kind, error, trace)

    def _plug_in(self) -> None:
        for name in (*BROKERS, *GATEWAYS, *WORKERS, ARCHIVER, "client"):
            self._hosts[name] = self._network.host(name)
            (self._folder / name).mkdir(parents=True)
        for name in BROKERS:
            self._start[name] = partial(self._broker, name)
        settings = _settings(self._project, self._folder)
        for turn, name in enumerate((*GATEWAYS, *WORKERS, ARCHIVER)):
            self._start[name] = partial(self._process, name, self._url(turn), settings)

    # --- what runs --------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """The process of this host; also after it was killed."""
        self._start[name]()

    @property
    def unkept(self) -> int:
        """Messages that the brokers could not keep, as the processes have counted."""
        boards = self._folder.glob("*/counters/*.board")
        return sum(total(counts_of(board), "unkept") for board in boards)

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _broker(self, name: str) -> None:
        routes = "\n".join(f"nats-route://{self._hosts[each].address}:{ROUTES}" for each in BROKERS)
        config = self._folder / name / "nats.conf"
        config.write_text(f"""\
server_name: {name}
listen: "0.0.0.0:{CLIENTS}"
max_payload: 16MB
max_pending: 128MB
write_deadline: "10s"
http: "0.0.0.0:{HEALTH}"
{liveliness(WorkerSettings().timeout)}
authorization {{ users: [{{ user: "podium", password: "{PASSWORD}" }}] }}
jetstream {{ store_dir: "{self._folder / name}", max_memory_store: 16MB, max_file_store: 1GB }}
cluster {{
  name: "podium"
  listen: "0.0.0.0:{ROUTES}"
  {ROUTE_LIVELINESS}
  routes: [
{routes}
  ]
}}
""")
        self._hosts[name].run((str(find_binary()), "--config", str(config)), self.log(name))

    def _url(self, turn: int) -> str:
        """Each process asks another server first."""
        first = turn % len(BROKERS)
        order = (*BROKERS[first:], *BROKERS[:first])
        places = ",".join(f"{self._hosts[name].address}:{CLIENTS}" for name in order)
        return f"nats://podium:{PASSWORD}@{places}?replicas=3"

    def _process(self, name: str, url: str, settings: Path) -> None:
        kind = name.rstrip("0123456789")
        environment = {
            "PODIUM_STREAM": url,
            "PODIUM_SETTINGS": str(settings),
            "PODIUM_RUN_DIR": str(self._folder / name),
            **_ONE_THREAD,
        }
        words = [kind]
        if name in WORKERS:
            version = FolderRegistry(self._project.registry_dir).find(kind)
            environment |= {"PODIUM_PACKAGE": str(version.path), "PODIUM_DIGEST": version.digest}
            words = ["worker", f"{kind}@{version.short}"]
        self._hosts[name].run((*PODIUM, "run", *words), self.log(name), environment)

    # --- what is done to hosts --------------------------------------------------------------

    def cut(self, name: str) -> None:
        self._hosts[name].cut()

    def slow(self, name: str, *, delay: float, loss: float = 0.0) -> None:
        self._hosts[name].slow(delay=delay, loss=loss)

    def restore(self, name: str) -> None:
        self._hosts[name].restore()

    def kill(self, name: str) -> None:
        self._hosts[name].kill()

    # --- the client -------------------------------------------------------------------------

    def place(self, gateway: str) -> str:
        return f"{self._hosts[gateway].address}:{PORT}"

    @contextmanager
    def client(self, name: str, rate: float = 100.0) -> Iterator[Client]:
        """A steady load on both gateways, until it is left."""
        file = self._folder / f"{name}.jsonl"
        argv = (sys.executable, "-m", "tests.system.balanced", str(file), str(rate))
        path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
        places = [self.place(gateway) for gateway in GATEWAYS]
        process = self._hosts["client"].run((*argv, *places), self.log("client"), {"PYTHONPATH": path})
        client = Client(file, self.log("client"))
        try:
            client.until_steady(since=time.monotonic())
            yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)

    def ready(self, name: str) -> bool:
        """Whether the process of this host says so, asked from the client's host."""
        port = PORT if name in GATEWAYS else HEALTH
        path = "healthz" if name in BROKERS else "ready"
        url = f"http://{self._hosts[name].address}:{port}/{path}"
        program = f"import urllib.request; urllib.request.urlopen({url!r}, timeout=1)"
        argv = ("ip", "netns", "exec", self._hosts["client"].name, sys.executable, "-c", program)
        return subprocess.run(argv, capture_output=True, timeout=PATIENCE, check=False).returncode == 0

    def until_ready(self, name: str) -> None:
        give_up = time.monotonic() + PATIENCE
        while not self.ready(name):
            assert time.monotonic() < give_up, f"{name} is not ready: {_tail(self.log(name))}"
            time.sleep(0.2)

    def _until_ready(self) -> None:
        for name in self._start:
            self.until_ready(name)


class Client:
    """What the client on its host has met so far."""

    def __init__(self, file: Path, log: Path) -> None:
        self._file = file
        self._log = log
        self._met: list[Met] = []
        self._read_to = 0

    @property
    def met(self) -> list[Met]:
        found, self._read_to = read(self._file, self._read_to)
        self._met += found
        return self._met

    def since(self, moment: float) -> list[Met]:
        """What began after a moment of the monotonic clock."""
        return [met for met in self.met if met.began >= moment]

    def until_steady(self, *, since: float, rule: str = "") -> float:
        """Wait until contenders answer all for a while; returns the seconds from `since` until that began.

        With a `rule`, until that one lets in all answers.
        """
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            met = self.since(since)
            bad = [each.ended for each in met if not each.scored or (rule and each.rule != rule)]
            began = max(bad, default=since)
            good = [each for each in met if each.began >= began]
            if (
                good
                and time.monotonic() - began > STEADY_SECONDS
                and good[-1].ended - began > STEADY_SECONDS / 2
            ):
                return began - since
            time.sleep(0.2)
        raise AssertionError(f"not steady within {PATIENCE:g} s: {self.met[-20:]} {_tail(self._log)}")


def _settings(project: Project, folder: Path) -> Path:
    """What all processes are told: the project's own, but for where things are."""
    registry = FolderRegistry(project.registry_dir)
    models = [project.models[name.rstrip("12")] for name in WORKERS[::2]]
    contenders = [candidate(registry, model.name, None, model.role, model.share) for model in models]
    policy = policy_of(project, [each.contender for each in contenders])
    run = run_of(project, policy, contract_of(project, contenders), "")
    told = msgspec.to_builtins(run)
    for left_out in ("stream", "registry", "run_dir"):
        del told[left_out]
    path = folder / "settings.json"
    path.write_text(json.dumps(told))
    return path


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
