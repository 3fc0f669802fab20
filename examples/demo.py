"""Podium's main job, seen from outside: models answer together, one is killed, no request fails.

    make demo

It uses the `podium` command and HTTP as anybody would, in a scratch folder of its own, and exits with
status 1 if anything was not as it says.
"""

from __future__ import annotations

import csv
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PODIUM = Path(sys.executable).with_name("podium")
SENDERS = 4
SECONDS_BETWEEN = 0.02
STEADY_SECONDS = 1.5
PATIENCE = 60.0
POLL_SECONDS = 0.1

Row = dict[str, float]


class Failed(Exception):
    """Something was not as it should be."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What one request got. `status` 0 is no reply at all; `ms` is the caller's own clock."""

    status: int
    model: str = ""
    rule: str = ""
    answer: float = 0.0
    ms: float = 0.0


def main() -> int:
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="podium-demo-")) / "diabetes"
    try:
        sent = demonstrate(folder)
    except (Failed, OSError, subprocess.SubprocessError) as error:
        print(f"\nFAILED: {error}. The project is kept for a look: {folder} (its logs are in .podium/logs)")
        return 1
    shutil.rmtree(folder.parent, ignore_errors=True)
    took = time.monotonic() - began
    print(f"\nOK: {sent:,} requests, none failed, each archived exactly once, in {took:.0f} s.")
    return 0


def demonstrate(folder: Path) -> int:
    """Everything, in the order in which a newcomer would do it. Returns the number of requests."""
    title("A project: one endpoint, three models")
    podium(folder.parent, "new", folder.name)
    title("Train them: each becomes an immutable version in the project's registry")
    podium(folder, "train")
    title("Run them: a broker, a gateway, a process for each model, a decoy, an archiver")
    with running(folder) as url:
        rows, truth = real_rows(folder)
        title("Score twenty patients that no model was trained on")
        replies = score_rows(url, rows)
        show_answers(rows, truth, replies)
        title("Kill the champion's process (kill -9) while requests keep coming")
        stream = kill_while_sending(folder, url, rows)
        show_counts(stream)
        title("Wait until all that was answered is in the archive")
        sent = len(replies) + len(stream)
        wait_for_archive(folder, sent)
        title("Read the archive: every model's score is there, also of those that did not answer")
        read_archive(folder, truth, sent)
        title("Stop")
    return sent


# --- the podium command ---------------------------------------------------------------------


def podium(folder: Path, *words: str, quiet: bool = False) -> str:
    """Run a command in a folder and show what it says. Raises Failed if it does not succeed."""
    if not quiet:
        print(f"$ podium {' '.join(words)}")
    done = subprocess.run(
        [PODIUM, *words], cwd=folder, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    if done.returncode:
        raise Failed(f"podium {words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    if not quiet:
        print(done.stdout.rstrip())
    return done.stdout


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The endpoint, on a free port, until the end of the block; gives its address."""
    try:
        said = podium(folder, "up", "--detach", "--port", "0")
        found = re.search(r"http://\S+", said)
        if found is None:
            raise Failed(f"podium up did not say where it listens: {said}")
        yield found[0]
    except BaseException:
        with suppress(Failed):  # it may not have come up
            podium(folder, "down", quiet=True)
        raise
    podium(folder, "down")


def status(folder: Path) -> dict[str, Any]:
    """What `podium status --json` says."""
    found: dict[str, Any] = json.loads(podium(folder, "status", "--json", quiet=True))
    return found


# --- requests -------------------------------------------------------------------------------


def real_rows(folder: Path) -> tuple[list[Row], list[float]]:
    """The project's held-out patients, and how far their diabetes had progressed a year later."""
    from sklearn.datasets import load_diabetes  # slow: after the commands that say something at once

    with (folder / "data" / "rows.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    truth = load_diabetes().target[-len(rows) :]
    return rows, [float(value) for value in truth]


def connect(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)


def ask(connection: http.client.HTTPConnection, row: Row, headers: dict[str, str]) -> Reply:
    """Send one row; whatever goes wrong is a reply too."""
    began = time.monotonic()
    try:
        connection.request("POST", "/score/diabetes", json.dumps(row), headers)
        response = connection.getresponse()
        body = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        connection.close()
        return Reply(status=0)
    ms = (time.monotonic() - began) * 1000
    if response.status != 200:
        return Reply(status=response.status, ms=ms)
    answer = body["answer"]["progression"]
    return Reply(status=200, model=body["model"] or "", rule=body["rule"], answer=answer, ms=ms)


def score_rows(url: str, rows: Sequence[Row]) -> list[Reply]:
    """One request for each row, under an id of our own by which the archive will know it again."""
    connection = connect(url)
    replies = [ask(connection, row, {"podium-id": f"patient-{n}"}) for n, row in enumerate(rows)]
    connection.close()
    check_all_answered(replies)
    return replies


def check_all_answered(replies: Sequence[Reply]) -> None:
    failed = Counter(reply.status for reply in replies if reply.status != 200)
    if failed:
        said = ", ".join(f"{count} with status {status or 'none'}" for status, count in failed.items())
        raise Failed(f"{failed.total()} of {len(replies)} requests failed: {said}")


class Traffic:
    """A steady stream of requests from several clients, while the block lasts."""

    def __init__(self, url: str, rows: Sequence[Row]) -> None:
        self.replies: list[Reply] = []
        self._url = url
        self._rows = rows
        self._stop = threading.Event()
        self._senders = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]

    def __enter__(self) -> Traffic:
        for sender in self._senders:
            sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for sender in self._senders:
            sender.join()

    def _send(self) -> None:
        connection = connect(self._url)
        while not self._stop.wait(SECONDS_BETWEEN):
            row = self._rows[len(self.replies) % len(self._rows)]
            self.replies.append(ask(connection, row, {}))
        connection.close()


# --- the kill -------------------------------------------------------------------------------


def kill_while_sending(folder: Path, url: str, rows: Sequence[Row]) -> list[Reply]:
    """Kill -9 the champion's process under traffic, and wait until it is back. Returns all replies."""
    with Traffic(url, rows) as traffic:
        time.sleep(STEADY_SECONDS)
        killed = champion(folder)["pid"]
        os.kill(killed, signal.SIGKILL)
        at = time.monotonic()
        print(f"killed process {killed}, the champion's; requests go on …")
        back = wait_for_champion(folder, killed)
        print(f"its supervisor has started process {back}: ready after {time.monotonic() - at:.1f} s")
        time.sleep(STEADY_SECONDS)
    check_all_answered(traffic.replies)
    return traffic.replies


def champion(folder: Path) -> dict[str, Any]:
    """The process of the champion's worker, as `status` reports it."""
    process: dict[str, Any] = next(
        each for each in status(folder)["processes"] if each["name"].startswith("worker linear")
    )
    return process


def wait_for_champion(folder: Path, killed: int) -> int:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        process = champion(folder)
        if process["state"] == "running" and process["pid"] != killed:
            return int(process["pid"])
        time.sleep(POLL_SECONDS)
    raise Failed(f"the champion's process was not started again within {PATIENCE:g} s")


# --- the archive ----------------------------------------------------------------------------


def wait_for_archive(folder: Path, sent: int) -> None:
    """Until status says that all that we sent was received, answered and archived."""
    give_up = time.monotonic() + PATIENCE
    while True:
        found = status(folder)
        counts = [found[name] for name in ("received", "answered", "archived")]
        if counts == [sent, sent, sent]:
            print(f"sent {sent:,}; status says received = answered = archived = {sent:,}")
            return
        if time.monotonic() > give_up:
            raise Failed(f"sent {sent}, but status says (received, answered, archived) = {counts}")
        time.sleep(POLL_SECONDS)


def read_archive(folder: Path, truth: Sequence[float], sent: int) -> None:
    """With DuckDB, and no Podium: count the answers, and judge every model on the same patients."""
    import duckdb  # slow, and no part of Podium: any reader of Delta tables would do
    from deltalake import DeltaTable

    archive = folder / ".podium" / "archive" / "diabetes"
    scores = DeltaTable(str(archive / "scores")).file_uris()
    answers = DeltaTable(str(archive / "answers")).file_uris()
    query = "select id, model, role, out_progression from read_parquet(?) where id like 'patient-%'"
    print('>>> files = DeltaTable(".podium/archive/diabetes/scores").file_uris()')
    print(f'>>> duckdb.execute("{query}", [files])')
    found = duckdb.execute(query, [scores]).fetchall()
    show_errors(found, truth)
    counted = duckdb.execute("select count(*), count(distinct id) from read_parquet(?)", [answers]).fetchone()
    if counted != (sent, sent):
        raise Failed(f"sent {sent} requests, but the archive has (rows, different ids) = {counted}")


# --- what is shown --------------------------------------------------------------------------


def title(text: str) -> None:
    print(f"\n— {text}", flush=True)


def show_answers(rows: Sequence[Row], truth: Sequence[float], replies: Sequence[Reply]) -> None:
    lines = [
        (f"{row['bmi']:+.3f}", f"{got.answer:.0f}", f"{true:.0f}", got.model, got.rule, f"{got.ms:.1f}")
        for row, true, got in zip(rows, truth, replies, strict=True)
    ]
    show(("bmi", "answer", "true", "model", "rule", "ms"), lines[:8])
    error = sum(abs(r.answer - true) for r, true in zip(replies, truth, strict=True)) / len(truth)
    print(f"… {len(rows)} rows in all; the answers are off by {error:.0f} in the mean")


def show_counts(replies: Sequence[Reply]) -> None:
    """Who answered: the champion, and while it was away whom the schedule accepts after 60 ms."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for reply in replies:
        groups.setdefault((str(reply.status), reply.rule, reply.model or "nobody"), []).append(reply.ms)
    lines = [
        (*who, f"{len(times):,}", f"{sorted(times)[len(times) // 2]:.1f}")
        for who, times in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    show(("status", "rule", "model", "requests", "median ms"), lines)


def show_errors(found: Sequence[tuple[str, str, str, float]], truth: Sequence[float]) -> None:
    errors: dict[tuple[str, str], list[float]] = {}
    for id, model, role, score in found:
        errors.setdefault((model, role), []).append(abs(score - truth[int(id.rpartition("-")[2])]))
    lines = [(*who, str(len(each)), f"{sum(each) / len(each):.1f}") for who, each in sorted(errors.items())]
    show(("model", "role", "scores", "mean error"), lines)
    if len(errors) != 3 or any(len(each) != len(truth) for each in errors.values()):
        raise Failed(f"the archive lacks scores of {len(truth)} patients by three models")


def show(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in (header, *lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(f"  {'  '.join(cells)}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
