"""A program that speaks to others than this process: started, ended, and nothing of it left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping

from podium.errors import ModelFailed
from podium.models.process.child import GUARD, Launch, in_words, scratch_of


class Program:
    """A running program with a log and no pipes, started by making one.

    It writes to where this process writes. Its guard ends it when this process ends, however that ends.
    """

    def __init__(self, launch: Launch, environment: Mapping[str, str], *, output: int | None = None) -> None:
        """`output` is a file descriptor to write to instead. Raises ModelFailed where it cannot start."""
        scratch = ""
        try:
            scratch = "" if launch.in_place else scratch_of(launch.folder)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), scratch, *launch.argv],
                cwd=scratch or launch.folder,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # signals to this process's group are not for the program
            )
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            raise ModelFailed(f"cannot be started: {error.strerror}") from None

    @property
    def pid(self) -> int:
        """The guard's."""
        return self._process.pid

    @property
    def ended(self) -> str:
        """How it ended, in words; empty while it is there."""
        status = self._process.poll()
        return "" if status is None else in_words(status)

    def terminate(self) -> None:
        """SIGTERM; what is still there a second later is killed."""
        self._process.terminate()

    def kill(self) -> None:
        """At once, with everything that it has started."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)
        self._process.wait()
