"""Hosts on this machine: network namespaces, each on a cable of its own to a switch that is one too.

Nothing of it touches the machine's own network. It needs root, iproute2's `ip`, and TAP devices.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType

from tests.system.cable import TUN

CABLE = Path(__file__).with_name("cable.py")
SECONDS = 20.0
"""How long a command of iproute2's, or the end of a process that was killed, may take."""

_numbers = count(1)


class NoHosts(Exception):
    """They cannot be made here; says why."""


class Network:
    """`with Network() as network: network.host("a")`. At its end nothing is left of hosts and processes."""

    def __init__(self) -> None:
        # Several networks may be there at a time, of this process and of others.
        self._name = f"podium-{os.getpid()}-{next(_numbers)}"
        self._switch = f"{self._name}-switch"
        self._hosts: list[Host] = []

    def __enter__(self) -> Network:
        """Raises NoHosts."""
        if shutil.which("ip") is None:
            raise NoHosts("ip is not installed (Debian has it in iproute2)")
        if not Path(TUN).exists():
            raise NoHosts(f"{TUN} is not there: no cable can be made slow")
        try:
            ip("netns", "add", self._switch)
            ip("-n", self._switch, "link", "add", "switch", "type", "bridge")
            ip("-n", self._switch, "link", "set", "switch", "up")
        except NoHosts:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def host(self, name: str) -> Host:
        """One more, which reaches all others by their addresses."""
        number = len(self._hosts) + 1
        host = Host(f"{self._name}-{name}", f"10.98.0.{number}", self._switch, f"port{number}")
        self._hosts.append(host)
        host.plug_in()
        return host

    @property
    def namespaces(self) -> set[str]:
        """The names of all that it has made."""
        return {self._switch, *(host.name for host in self._hosts)}

    def _remove(self) -> None:
        for host in self._hosts:
            host.kill()
            host.end_slow()
        for name in self.namespaces:
            with suppress(NoHosts):
                ip("netns", "del", name)


class Host:
    """One host: its address, what runs on it, and what is done to it and to its cable."""

    def __init__(self, name: str, address: str, switch: str, port: str) -> None:
        self.name = name
        self.address = address
        self._switch = switch
        self._port = port
        self._running: list[subprocess.Popen[bytes]] = []
        self._slow: subprocess.Popen[bytes] | None = None

    def plug_in(self) -> None:
        ip("netns", "add", self.name)
        cable = ("peer", "name", self._port, "netns", self._switch)
        ip("link", "add", "eth0", "netns", self.name, "type", "veth", *cable)
        ip("-n", self._switch, "link", "set", self._port, "master", "switch", "up")
        ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", self.name, "link", "set", device, "up")

    def run(
        self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A process on this host; what it says is appended to `log`."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *argv],  # which becomes the program: the pid is its own
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._running.append(process)
        return process

    def cut(self) -> None:
        """Pull the cable at the switch: nobody is told, packets are lost."""
        ip("-n", self._switch, "link", "set", self._port, "down")

    def slow(self, *, delay: float, loss: float = 0.0) -> None:
        """Each packet, to and from it, takes `delay` seconds more, or is lost with this probability.

        A slow cable lies between two devices, of which one is plugged into the switch. A bridge of their
        own joins the other with this host's port: what leaves it has its checksums, and is not too long.
        """
        assert self._slow is None, "it is slow already"
        detour, inner, outer = (f"{self._port}{suffix}" for suffix in ("d", "i", "o"))
        argv = (sys.executable, str(CABLE), inner, outer, str(delay), str(loss))
        self._slow = subprocess.Popen(
            ("ip", "netns", "exec", self._switch, *argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._slow.stdout
        if self._slow.stdout.readline() != b"up\n":
            raise NoHosts("no slow cable can be made")
        ip("-n", self._switch, "link", "add", detour, "type", "bridge")
        for device, bridge in ((inner, detour), (outer, "switch"), (self._port, detour)):
            ip("-n", self._switch, "link", "set", device, "master", bridge, "up")
        ip("-n", self._switch, "link", "set", detour, "up")

    def restore(self) -> None:
        """The cable is as it was."""
        ip("-n", self._switch, "link", "set", self._port, "master", "switch", "up")
        if self._slow is not None:
            self.end_slow()
            ip("-n", self._switch, "link", "del", f"{self._port}d")

    def end_slow(self) -> None:
        """Its devices go with it."""
        if self._slow is not None:
            self._slow.kill()
            self._slow.communicate(timeout=SECONDS)
            self._slow = None

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """All that runs on it, without a last word."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signum)
        for process in self._running:
            process.wait(SECONDS)
        self._running.clear()


def ip(*words: str) -> None:
    """Raises NoHosts."""
    argv = ("ip", *words)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise NoHosts(f"`{' '.join(argv)}`: {done.stderr.strip() or done.returncode}")
