"""The archive in a bucket: the same tables by URL, in a real S3 server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable, QueryBuilder
from tests.system.running import Node, until

WEED = str(Path(sys.executable).with_name("weed"))

PORTS = ("-master.port", "-master.port.grpc", "-volume.port", "-volume.port.grpc", "-filer.port",
         "-filer.port.grpc", "-s3.port", "-s3.port.grpc")  # fmt: skip


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the environment must say for `s3://models` to be a bucket that is there."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    (tmp_path / "weed").mkdir()
    argv = [WEED, "server", f"-dir={tmp_path / 'weed'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
    with (tmp_path / "weed.log").open("wb") as log:
        server = subprocess.Popen(
            [*argv, "-volume.max=5", *(f"{name}={port}" for name, port in ports.items())],
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{ports['-s3.port']}"
    try:
        until(lambda: made(f"{url}/models"), what=(tmp_path / "weed.log").read_text)
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
        }
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)


def made(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_requests_are_archived_in_a_bucket_and_read_from_there(
    project: Path, up: Callable[..., Node], bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (project / "podium.toml").open("a") as file:
        file.write('\n[archive]\nlocation = "s3://models/archive"\n')
    node = up(project, env=bucket)
    ids = {node.score()["id"] for _ in range(20)}
    until(lambda: node.status().archived == 20, what=lambda: node.log("archiver"))
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    assert archived("requests") == ids
    assert archived("answers") == ids
    node.stop()


def archived(table: str) -> set[str]:
    delta = DeltaTable(f"s3://models/archive/diabetes/{table}")
    found = QueryBuilder().register("rows", delta).execute("SELECT id FROM rows").read_all()
    return set(found["id"].to_pylist())
