"""One life of a command: bytes to its standard input, lines from its standard output, and its end."""

from __future__ import annotations

import fcntl
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podium.errors import ModelFailed
from podium.models.process.lines import LONGEST, shown
from podium.models.process.stderr import Listener

GRACE_SECONDS = 0.5
"""How long a command may take to end once its standard input has."""

GUARD = Path(__file__).with_name("guard.py")
_GUARD_SECONDS = 2.0
_LAST_WORDS_SECONDS = 0.2
_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 18
_WRITE_BYTES = 1 << 16
_F_SETPIPE_SZ = 1031


class Ended(ModelFailed):
    """The command has ended, or closed its standard output."""


class Slow(ModelFailed):
    """No whole line came in time; the message is what came of one."""


class TooLong(ModelFailed):
    """A line is longer than any answer may be."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What to start, and in which folder; `name` is what its lines in the log begin with.

    Unless it is to be run `in_place`, its working directory has links to what the folder holds, so
    that what it leaves there is no change of the folder.
    """

    name: str
    argv: tuple[str, ...]
    folder: Path
    in_place: bool = False


class Child:
    """A running command, started by making one. Who drops it ends it, and all that it has started."""

    def __init__(self, launch: Launch) -> None:
        """Raises ModelFailed where no process can be started at all."""
        errors, stderr = os.pipe()
        scratch = ""
        try:
            scratch = "" if launch.in_place else scratch_of(launch.folder)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), scratch, *launch.argv],
                cwd=scratch or launch.folder,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # its folder stays as it is
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                start_new_session=True,  # signals to the worker's group are not for the command
            )
        except OSError as error:
            os.close(errors)
            shutil.rmtree(scratch, ignore_errors=True)
            raise ModelFailed(f"cannot be started: {error.strerror}") from None
        finally:
            os.close(stderr)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        for descriptor in (self._stdin, self._stdout):
            os.set_blocking(descriptor, False)
        for descriptor in (self._stdin, self._stdout, errors):
            _widen(descriptor)
        self._unsent = bytearray()
        self._seen = bytearray()
        self._searched = 0
        self._writable = True
        self._listener = Listener(errors, launch.name)
        self.stop = weakref.finalize(self, _stop, self._process)
        """Let it end by itself, or else end it; at once where it has ended. Nothing happens twice."""

    @property
    def pid(self) -> int:
        """The guard's: SIGTERM to it is passed on to the command."""
        return self._process.pid

    @property
    def behind(self) -> bool:
        """Whether it has not read yet what it was sent."""
        return bool(self._unsent)

    def send(self, line: bytes) -> None:
        """It leaves at once as far as the pipe takes it, and the rest while a line is awaited."""
        self._unsent += line
        self._write()

    def line(self, until: float) -> bytes:
        """The next line, without its end. Raises Slow after `until` (monotonic), TooLong or Ended."""
        while (end := self._seen.find(b"\n", self._searched)) < 0:
            self._searched = len(self._seen)
            if self._searched > LONGEST:
                raise TooLong(
                    f"it answered a line of more than {LONGEST // 2**20} MB: {shown(self._seen[:99])}"
                )
            self._wait(until)
        line = bytes(self._seen[:end])
        del self._seen[: end + 1]
        self._searched = 0
        return line

    def end_input(self) -> None:
        """There is no next line."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def terminate(self) -> None:
        """SIGTERM, and the end a second later."""
        self._process.terminate()

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative for a signal; None while it is there."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """At once, with everything that it has started."""
        self._process.send_signal(signal.SIGUSR1)  # nothing happens where it has ended already
        self.stop()

    def how_it_ended(self) -> str:
        """In words, with the last that it said; after killing what is left of it."""
        status = self.wait(_LAST_WORDS_SECONDS)
        self.kill()
        said = self._listener.last_words(_LAST_WORDS_SECONDS)
        what = "has closed its standard output" if status is None else in_words(status)
        return what + (f"; it said last: {said}" if said else "")

    # --- waiting ------------------------------------------------------------------------------

    def _wait(self, until: float) -> None:
        poller = select.poll()
        poller.register(self._stdout, select.POLLIN)
        if self._unsent and self._writable:
            poller.register(self._stdin, select.POLLOUT)
        ready = poller.poll(max(0, math.ceil((until - time.monotonic()) * 1000)))
        if not ready:
            raise Slow(f"; it began a line with {shown(self._seen)}" if self._seen else "")
        for descriptor, _ in ready:
            if descriptor == self._stdin:
                self._write()
            else:
                self._read()

    def _write(self) -> None:
        try:
            while self._unsent and self._writable:
                sent = os.write(self._stdin, self._unsent[:_WRITE_BYTES])
                del self._unsent[:sent]
        except BlockingIOError:
            return
        except OSError:  # it reads no more; what it still has to say is on its standard output
            self._writable = False

    def _read(self) -> None:
        chunk = os.read(self._stdout, _READ_BYTES)
        if not chunk:
            begun = f" in the middle of a line, {shown(self._seen)}" if self._seen else ""
            raise Ended(f"it {self.how_it_ended()}{begun}")
        self._seen += chunk


def scratch_of(folder: Path) -> str:
    """A new folder with links to what is in this one; the guard removes it."""
    made = tempfile.mkdtemp(prefix="podium-")
    for path in folder.iterdir() if folder.is_dir() else ():
        (Path(made) / path.name).symlink_to(path.absolute())
    return made


def _widen(pipe: int) -> None:
    """A large frame then goes through with fewer turns between the two processes."""
    if sys.platform == "linux":
        with suppress(OSError):  # over the user's limit
            fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """The end of standard input, then SIGTERM through the guard, which leaves nothing behind."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    for signum, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, _GUARD_SECONDS)):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signum)
    process.wait()
    process.stdout.close()


def in_words(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"
