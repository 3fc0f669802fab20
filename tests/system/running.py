"""A project that runs: `podium up` as a real process, what it says about itself, and its end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from podium.cli.status import Status
from podium.cli.status import read as read_status
from podium.errors import NotRunning
from podium.node.state import ProcessReport

PATIENCE = 60.0
STOP_SECONDS = 10.0
"""How long a node may take to stop."""

PODIUM = (sys.executable, "-P", "-m", "podium")
OUTPUT = "up.out"


def podium(
    folder: Path, *words: str, env: Mapping[str, str] | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """A command of the project in this folder; it must end with this exit status."""
    done = subprocess.run(
        [*PODIUM, *words],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, f"podium {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def until(
    holds: Callable[[], object], *, seconds: float = PATIENCE, what: Callable[[], object] = str
) -> float:
    """Wait until it holds; returns the seconds that took. `what` describes why it did not."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what()}"
        time.sleep(0.05)
    return time.monotonic() - began


def alive(pid: int) -> bool:
    """Whether this process is there, and more than a name that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes() -> dict[int, tuple[int, str]]:
    """pid → parent and command line, of all that are alive."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and alive(int(folder.name)):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[int(folder.name)] = parent, line
    return found


def below(ancestor: int) -> dict[int, str]:
    """Command lines of what a process has started, and of what that has started."""
    there = processes()
    found: dict[int, str] = {}
    grown = True
    while grown:
        more = {p: line for p, (up, line) in there.items() if up == ancestor or up in found}
        grown = len(more) > len(found)
        found = more
    return found


class Node:
    """One `podium up` in a project's folder. `start` returns when it is ready; `end` leaves nothing."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._options = options
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._pids: set[int] = set()

    def start(self) -> Node:
        """Also after an end: the same project again."""
        with (self.folder / OUTPUT).open("ab") as output:
            self._process = subprocess.Popen(
                [*PODIUM, "up", "--port", "0", *self._options],
                cwd=self.folder,
                env=self._env,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        until(self._is_up, what=self.output)
        self.url = self.status().url
        self._remember()
        return self

    def _is_up(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.output()
        with suppress(NotRunning):
            return self.status().ready
        return False

    # --- what it says -----------------------------------------------------------------------

    def status(self) -> Status:
        return read_status(self.folder)

    def process(self, name: str) -> ProcessReport:
        return next(process for process in self.status().processes if process.name == name)

    def pid(self, name: str) -> int:
        pid = self.process(name).pid
        assert pid is not None, f"{name} is not there"
        return pid

    def pids(self) -> set[int]:
        """All its processes, the supervisor's too."""
        return {process.pid for process in self.status().processes if process.pid}

    def output(self) -> str:
        return (self.folder / OUTPUT).read_text()

    def log(self, process: str) -> str:
        return (self.folder / ".podium" / "logs" / f"{process.replace(' ', '-')}.log").read_text()

    def score(self, query: str = "bmi=0.05", **headers: str) -> dict[str, Any]:
        """One answered request; names of headers are given with underscores."""
        words = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"{self.url}/score/diabetes?{query}", headers=words)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    # --- what is done to it -----------------------------------------------------------------

    def send(self, name: str, signum: int) -> int:
        """Send a signal to one of its processes; returns the pid that got it."""
        pid = self.pid(name)
        self._remember()
        os.kill(pid, signum)
        return pid

    def until_back(self, name: str, gone: int) -> float:
        """Wait until another process runs in place of one that is gone; the seconds that took."""

        def is_back() -> bool:
            return self.process(name).pid not in (None, gone) and self.status().ready

        return until(is_back, what=lambda: self.process(name))

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to stop; returns its exit status."""
        assert self._process
        self._remember()
        self._process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process
        return self._process.wait(STOP_SECONDS)

    def power_cut(self) -> None:
        """All its processes at once, with no time for last words."""
        assert self._process
        self._remember()
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)  # so that none of them sees another one's end
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)

    def end(self) -> None:
        """Whatever is still there of what was started."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._remember()
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.left(), what=self.left)

    def left(self) -> set[int]:
        """Those of its processes that are still there."""
        return {pid for pid in self._pids if alive(pid)}

    def _remember(self) -> None:
        with suppress(NotRunning):
            self._pids = {pid for pid in self._pids | self.pids() if alive(pid)}


def command_of(node: Node, model: str, line: str) -> int:
    """The pid of a contender's own program, which its worker has started with this command line."""
    there = below(node.pid(f"worker {model} 1"))
    return next(pid for pid, found in there.items() if found.startswith(line))


def scored(node: Node, model: str) -> int:
    """How many requests a contender has scored."""
    return next(each.scored for each in node.status().contenders if each.model == model)


def edit(folder: Path, *, limits: str = "", model: str = "", deadline: str = "") -> None:
    """Add lines to the project's `[endpoint.limits]`, to each model, or give another deadline."""
    file = folder / "podium.toml"
    text = file.read_text()
    if limits:
        text = text.replace("[endpoint.inputs]", f"[endpoint.limits]\n{limits}\n\n[endpoint.inputs]", 1)
    if model:
        text = re.sub(r"^(\[models\..*\])$", rf"\1\n{model}", text, flags=re.MULTILINE)
    if deadline:
        text = re.sub(r'^deadline = ".*?"', f'deadline = "{deadline}"', text, flags=re.MULTILINE)
    file.write_text(text)
