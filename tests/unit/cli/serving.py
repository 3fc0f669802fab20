"""A real HTTP server in the gateway's place, and a project that runs with it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from podium.node.state import RUN, Lock, NodeState, write_state
from podium.records import Contender, Policy, Role
from podium.run import Limits, Run, save
from podium.schema import Field, Kind, Schema

INPUTS = Schema(
    (
        Field(name="bmi", type=Kind.FLOAT),
        Field(name="age", type=Kind.INT, optional=True, default=40),
        Field(name="smokes", type=Kind.BOOL, optional=True, default=False),
        Field(name="city", type=Kind.STRING, optional=True, default=""),
        Field(name="pair", type=Kind.FLOAT, shape=(2,), optional=True, default=[0.0, 0.0]),
        Field(name="lab", type=Kind.FLOAT, missing=True, optional=True),
    )
)
OUTPUTS = Schema((Field(name="progression", type=Kind.FLOAT), Field(name="grade", type=Kind.STRING)))


class Gateway(BaseHTTPRequestHandler):
    """Answers with what it was asked, or with the problem that is set."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server: Any = self.server
        server.asked.append((self.path, dict(self.headers), body))
        answer = scored if self.path.startswith("/score/") else taken
        status, content = server.problem or (200, json.dumps(answer(body)).encode())
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


def scored(body: Any) -> dict[str, Any]:
    rows = body if isinstance(body, list) else [body]
    answer = [{"progression": row["bmi"] * 100} for row in rows]
    return {"answer": answer if isinstance(body, list) else answer[0], "model": "linear", "rule": "champion"}


def taken(body: Any) -> dict[str, Any]:
    if isinstance(body, list):
        return {"outcomes": len(body), "unchecked": sum(item["id"] == "new" for item in body)}
    return {"id": "a", "outcome": body}


@pytest.fixture
def gateway() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.asked, server.problem, server.daemon_threads = [], None, True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project that runs: its lock is held, its state says where the gateway is."""
    (tmp_path / "podium.toml").write_text(
        '[endpoint]\nname = "diabetes"\n[models.linear]\nmodule = "linear.py"\nrole = "champion"\n'
    )
    (tmp_path / "linear.py").touch()
    run_dir = tmp_path / ".podium" / "run"
    save(_run(run_dir), run_dir / RUN)
    monkeypatch.chdir(tmp_path)
    with Lock(run_dir):
        write_state(state(gateway.server_port), run_dir)
        yield tmp_path


def _run(run_dir: Path) -> Run:
    policy = Policy(
        endpoint="diabetes",
        revision=1,
        contenders=(Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION),),
        deadline_ms=100.0,
        schedule=((0.0, ("champion",)),),
    )
    return Run(
        policy=policy,
        inputs=INPUTS,
        outputs=OUTPUTS,
        stream="",
        archive="",
        registry="",
        run_dir=str(run_dir),
        limits=Limits(body_bytes=100_000),
    )


def state(port: int) -> NodeState:
    return NodeState(
        endpoint="diabetes",
        url=f"http://127.0.0.1:{port}",
        pid=os.getpid(),
        started=0.0,
        written=0.0,
        ready=True,
        processes=(),
    )
