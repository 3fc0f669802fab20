"""A server under measurement: started on one core, its whole family known, measured and ended."""

import http.client
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.peers.base import Launch, Request

SERVER_CORE = 0
LOAD_CORE = 1
FIRST_ANSWER_SECONDS = 60.0
STOP_SECONDS = 15.0
MARK = "PODIUM_BENCH_MARK"


class NoAnswer(Exception):
    """The server ended, or said nothing useful, before its time was up."""


class Server:
    """`with Server(launch, port, log)`: running inside, gone after.

    Some servers put their children into sessions of their own, or start daemons: every process of the
    family carries a mark in its environment, or descends from one that does, and only those are ended.
    """

    def __init__(self, launch: Launch, port: int, log: Path, *, core: int | None = SERVER_CORE) -> None:
        self.port = port
        self._launch = launch
        self._log = log
        self._core = core
        self._mark = uuid.uuid4().hex

    def __enter__(self) -> Self:
        environment = {**os.environ, **self._launch.environment, MARK: self._mark}
        # Named even where it is all of them, because the load's process has left itself only its own.
        cores = f"0-{(os.cpu_count() or 1) - 1}" if self._core is None else str(self._core)
        with self._log.open("wb") as log:
            self._started = time.perf_counter()
            self._process = subprocess.Popen(
                ["taskset", "-c", cores, *self._launch.argv],
                cwd=self._launch.cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def first_answer(self, request: Request) -> float:
        """Seconds from the start to the first 200 for this request."""
        last = "nothing listens"
        while time.perf_counter() - self._started < FIRST_ANSWER_SECONDS:
            if self._process.poll() is not None:
                raise NoAnswer(f"ended with status {self._process.returncode}: {self._last_words()}")
            try:
                last = ask(self.port, request)
            except (OSError, http.client.HTTPException) as error:
                last = repr(error)
            if last == "200":
                return time.perf_counter() - self._started
            time.sleep(0.01)
        raise NoAnswer(f"no answer within {FIRST_ANSWER_SECONDS:.0f} s: {last}")

    def family(self) -> set[int]:
        """The process, its descendants, and everything that carries its mark."""
        parents, marked = {}, set()
        for pid in _all_pids():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
                environ = Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue  # gone meanwhile
            parents[pid] = int(stat.rpartition(")")[2].split()[1])
            if f"{MARK}={self._mark}".encode() in environ:
                marked.add(pid)
        return _with_descendants({self._process.pid, *marked} & parents.keys(), parents)

    def memory_mb(self) -> float:
        """The family's proportional set size: shared pages are counted once."""
        return sum(pss_mb(pid) for pid in self.family())

    def stop(self) -> float:
        """Asks it to stop, as its supervisor would, and says how many seconds that took."""
        start = time.perf_counter()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        return time.perf_counter() - start

    def kill(self) -> None:
        """Ends the whole family, again until nobody is left: a supervisor may have started another one."""
        for _ in range(20):
            family = self.family()
            for pid in family:
                _kill(pid)
            self._process.poll()
            if not family:
                break
            time.sleep(0.05)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it wrote nothing"


def ask(port: int, request: Request, *, seconds: float = 10.0) -> str:
    """The status of one answer, as text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.getheader("podium-rule") == "default":
        return "an answer by default"  # nobody has scored anything yet
    return "200" if response.status == 200 else f"{response.status} {body[:200]!r}"


def pss_mb(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0  # gone meanwhile, or a zombie
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _all_pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _with_descendants(found: set[int], parents: dict[int, int]) -> set[int]:
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
