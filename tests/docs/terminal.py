"""Somebody at a terminal who does what a page says, and compares what comes with what the page shows.

In a `console` block lines after `$ ` are commands and the others what they print; `^C` is a Ctrl-C to the
`podium up` in the foreground. A command that ends with `&` runs beside the others until the page is done. A
block with a file's name is written to that file, other Python is run.

What differs from run to run (ids, numbers, column widths) is made alike before it is compared; a line `…`
stands for any lines, and a `…` at a line's end for the rest of it.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from tests.docs.pages import Block, blocks

from podium import project

SECONDS = 150.0
SAID = ("8080", "8081", "8090", "5000", "4222")
"""The ports that pages say. A session has ports of its own."""

PORTS = range(12_000, 20_000)
_UP = "podium up"
_BUILD = "podium build"
_ALIKE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b\d[\d,.:-]*\b(?:e-\d+)?%?"), "N"),
    (re.compile(r"\s+"), " "),
    (re.compile(r"\b[\w.-]+@(?!ID\b)[\w.-]+(?=: )"), "SOMEBODY"),
)


class Terminal:
    """One session in a folder. `with` ends what it has left running.

    `base` is the image that `podium build` stands on here, where Docker's hub cannot be reached;
    `environment` comes on top of this process's own.
    """

    def __init__(
        self, folder: Path, *, base: str = "", environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder = folder
        self._home = folder
        self._ports = free_ports()
        self._base = base
        self._up: subprocess.Popen[str] | None = None
        self._beside: list[subprocess.Popen[bytes]] = []
        self._env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PODIUM_TRUST": str(folder / "trust"),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._up is not None:
            self._interrupt()
        subprocess.run(["podium", "down"], cwd=self.folder, env=self._env, capture_output=True, check=False)
        for process in reversed(self._beside):  # who needs the broker goes before it
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=SECONDS)

    def follow(self, page: Path) -> None:
        """Do all of a page, from its first block to its last."""
        for block in blocks(page):
            self.do(block)

    def do(self, block: Block) -> None:
        """Raises AssertionError where something else comes than the page says."""
        path = self.folder / block.file
        if block.file:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            if path.name == project.FILE:
                project.load(path.parent)
        elif block.language == "console":
            for command, shown in commands(block.text):
                compare(command, shown, self.type(command))
        elif block.language == "python":
            self._run([sys.executable, "-c", block.text])

    def type(self, command: str) -> list[str]:
        """Type a line; returns what is printed."""
        if command == "^C":
            return self._interrupt()
        if command.startswith("podium status"):
            self._wait_for_archive()
        if command == _UP:
            return self._start_up()
        *before, last = command.split(" && ")
        if last.startswith("cd "):
            self._run(["bash", "-c", " && ".join(before) or "true"])
            self.folder /= last.removeprefix("cd ")
            return []
        if command.endswith(" &"):
            return self._start_beside(command.removesuffix(" &"))
        return self._run(["bash", "-c", self._as_here(command)])

    def _as_here(self, command: str) -> str:
        """The command with this session's ports and base, and a curl that shows no progress."""
        command = re.sub(rf"\b({'|'.join(SAID)})\b", lambda said: str(self._ports[said[0]]), command)
        command = command.replace("curl ", "curl -sS ")
        if self._base:
            command = command.replace(_BUILD, f"{_BUILD} --base {self._base}")
        return command.replace(_UP, f"{_UP} --port {self._ports['8080']}")

    def _run(self, words: list[str]) -> list[str]:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stdout, done.stdout
        return self._as_shown(done.stdout)

    def _as_shown(self, output: str) -> list[str]:
        for said, port in self._ports.items():
            output = output.replace(f":{port}", f":{said}")
        return output.replace(str(self._home), "").rstrip().splitlines()

    # --- what runs beside -------------------------------------------------------------------

    def _start_beside(self, command: str) -> list[str]:
        """Returns when each port that the command names is open."""
        here = self._as_here(command)
        self._beside.append(
            subprocess.Popen(["bash", "-c", here], cwd=self.folder, env=self._env, start_new_session=True)
        )
        give_up = time.monotonic() + SECONDS
        for port in (port for port in self._ports.values() if str(port) in here):
            while not is_open(port):
                assert self._beside[-1].poll() is None, f"$ {command} &: it has ended"
                assert time.monotonic() < give_up, f"$ {command} &: nothing listens on port {port}"
                time.sleep(0.05)
        return []

    # --- what runs in the foreground --------------------------------------------------------

    def _start_up(self) -> list[str]:
        self._up = subprocess.Popen(
            ["podium", "up", "--port", str(self._ports["8080"])],
            cwd=self.folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._up.stdout is not None
        said = []
        for line in self._up.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        return self._as_shown("".join(said))

    def _interrupt(self) -> list[str]:
        assert self._up is not None, "nothing runs in the foreground"
        up, self._up = self._up, None
        up.send_signal(signal.SIGINT)
        said, _ = up.communicate(timeout=SECONDS)
        return self._as_shown(said)

    def _wait_for_archive(self) -> None:
        """People take a second or two to look at `status`; until then everything is archived."""
        give_up = time.monotonic() + SECONDS
        while time.monotonic() < give_up:
            counts = re.search(
                r"answered ([\d,]+) .* archived ([\d,]+)", "\n".join(self._run(["podium", "status"]))
            )
            if counts and counts[1] == counts[2]:
                return
            time.sleep(0.2)


def free_ports() -> dict[str, int]:
    """One for each that pages say. No outgoing connection gets them: they must still be free when a page
    starts its node again."""
    chosen = dict(
        zip(SAID, (port for port in random.sample(PORTS, len(PORTS)) if is_free(port)), strict=False)
    )
    assert len(chosen) == len(SAID), f"too few free ports in {PORTS}"
    return chosen


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Each command of a console block, with the lines that are shown after it.

    A command whose line ends with a backslash goes on in the next one.
    """
    found: list[tuple[str, list[str]]] = []
    for line in re.sub(r" \\\n +", " ", text).rstrip().splitlines():
        if line.startswith("$ ") or line == "^C":
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def compare(command: str, shown: list[str], printed: list[str]) -> None:
    wanted = "\n".join(re.escape(alike(line)).replace("…", r"[^\n]*") for line in shown)
    wanted = re.sub(r"(?m)^\[\^\\n\]\*$", r"[\\s\\S]*", wanted)
    found = "\n".join(alike(line) for line in printed)
    told = "\n".join(printed)
    assert re.fullmatch(wanted, found), (
        f"$ {command}\n--- printed\n{told}\n--- alike\n{found}\n--- wanted\n{wanted}"
    )


def alike(line: str) -> str:
    for pattern, word in _ALIKE:
        line = pattern.sub(word, line)
    return line.strip()
