"""Runs a command and lets nothing that it started outlive it, or outlive whoever asked for it.

A program of its own, started as `python -I -S guard.py PARENT-PID SCRATCH COMMAND…`, so it imports nothing
of Podium. SCRATCH is a folder to remove at the end, or empty. Standard input, output and error are the
command's. It ends as the command ended. SIGTERM is passed on, and what is still there a second later is
killed; SIGUSR1 kills at once.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 1.0
LOOK_SECONDS = 1.0
NOT_FOUND = 127
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT}


def main() -> None:
    parent, scratch, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the signal that ended the command ends this too
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_CHILD_SUBREAPER, 1)  # whose parent is gone becomes a child of this process
        prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    child = _start(command)
    for descriptor in (0, 1):  # the command alone holds the pipes: its end is their end
        os.close(descriptor)
    status = _watch(child, parent)
    _kill_the_rest()
    if scratch:
        _remove(scratch)
    _end_like(status)


def _start(command: list[str]) -> int:
    """`subprocess` would take half of this program's start."""
    child = os.fork()
    if child:
        return child
    try:
        for signum in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that is inherited
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(NOT_FOUND)


def _watch(child: int, parent: int) -> int:
    """Until the command has ended, or has to: its wait status."""
    kill_at = None
    while (status := _reaped(child)) is None:
        until = time.monotonic() + LOOK_SECONDS if kill_at is None else kill_at
        found = signal.sigtimedwait(_SIGNALS, max(0.0, until - time.monotonic()))
        signum = found.si_signo if found else None
        orphaned = os.getppid() != parent  # a SIGHUP alone can come from the end of a mere thread
        if signum == signal.SIGUSR1 or (kill_at is not None and time.monotonic() >= kill_at):
            os.kill(child, signal.SIGKILL)
            kill_at = time.monotonic() + LOOK_SECONDS
        elif kill_at is None and (orphaned or signum in (signal.SIGTERM, signal.SIGINT)):
            os.kill(child, signal.SIGTERM)
            kill_at = time.monotonic() + GRACE_SECONDS
    return status


def _reaped(child: int) -> int | None:
    """Take leave of all that have ended; the command's status if it is one of them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status


def _kill_the_rest() -> None:
    """Until nobody is left: the children of those who end are adopted, and are in the next turn."""
    while pids := _children():
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """Own children, and with them all whose own parents have ended."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:  # not on this system: then the group is all that can be reached
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
        return []
    return [pid for pid in pids if _parent(pid) == os.getpid()]


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError):  # gone meanwhile
        return 0


def _remove(folder: str) -> None:
    import shutil  # slow, and now nobody waits for a start

    os.chdir("/")
    shutil.rmtree(folder, ignore_errors=True)


def _end_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        signum = os.WTERMSIG(status)
        if signum not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
        os.kill(os.getpid(), signum)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main()
