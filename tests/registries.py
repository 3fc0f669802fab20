"""A real registry for tests: Debian's docker-registry, on a port of its own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from podium.oci.repository import Access

USER, PASSWORD = "user", "pass:word"
SECRET = "others/secret"
"""A repository for which nobody gets a token."""

START_SECONDS = 20.0


def needed(*programs: str) -> None:
    """Skip, by name, where a program is missing; with CI=true that fails (tests/conftest.py)."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@dataclass(frozen=True, kw_only=True)
class RunningRegistry:
    """Where it listens, what it trusts and who may write."""

    port: int
    folder: Path
    ca: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def access(self) -> Access:
        return Access(ca=self.ca, environment=self.environment)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextmanager
def plain_registry(folder: Path) -> Iterator[RunningRegistry]:
    """Without TLS and passwords."""
    needed("docker-registry")
    with _serving(folder, free_port(), "") as registry:
        yield registry


@contextmanager
def guarded_registry(folder: Path) -> Iterator[RunningRegistry]:
    """TLS with an authority of its own, and a user with a password."""
    needed("docker-registry", "htpasswd", "openssl")
    folder.mkdir(parents=True, exist_ok=True)
    certificate(folder)
    users = subprocess.run(
        ["htpasswd", "-Bbn", USER, PASSWORD], capture_output=True, check=True, timeout=20
    ).stdout
    (folder / "htpasswd").write_bytes(users)
    extra = f"auth: {{htpasswd: {{realm: registry, path: {folder}/htpasswd}}}}\n"
    with _serving(folder, free_port(), extra, tls=True) as registry:
        yield registry


@contextmanager
def token_registry(folder: Path) -> Iterator[RunningRegistry]:
    """Without TLS, but with tokens that another server gives, as the hubs of this world do."""
    needed("docker-registry", "openssl")
    folder.mkdir(parents=True, exist_ok=True)
    certificate(folder)
    with _token_server(folder) as realm:
        extra = (
            f"auth: {{token: {{realm: '{realm}', service: tests, issuer: tests, "
            f"rootcertbundle: {folder}/cert.pem}}}}\n"
        )
        with _serving(folder, free_port(), extra) as registry:
            yield registry


def certificate(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=30,
    )


def docker_config(folder: Path, host: str, user: str, password: str) -> dict[str, str]:
    """The environment of somebody who has logged in there."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder), "PATH": os.environ["PATH"]}


@contextmanager
def _serving(folder: Path, port: int, extra: str, *, tls: bool = False) -> Iterator[RunningRegistry]:
    folder.mkdir(parents=True, exist_ok=True)
    secure = f", tls: {{certificate: {folder}/cert.pem, key: {folder}/key.pem}}" if tls else ""
    (folder / "config.yml").write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', secret: tests{secure}}}\n" + extra
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log, cwd=folder
        )
    try:
        _wait_for(port, process, folder / "log")
        yield RunningRegistry(
            port=port,
            folder=folder,
            ca=folder / "cert.pem" if tls else None,
            environment=docker_config(folder / "docker", f"127.0.0.1:{port}", USER, PASSWORD),
        )
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"docker-registry does not listen: {log.read_text()}")


# --- tokens ---------------------------------------------------------------------------------


@contextmanager
def _token_server(folder: Path) -> Iterator[str]:
    class Tokens(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            self._give(self.headers.get("Authorization") == wanted, parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:  # OAuth 2, with an identity token
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._give(form.get("refresh_token") == ["identity"], form)

        def _give(self, known: bool, asked: Mapping[str, list[str]]) -> None:
            asked_for = [scope for each in asked["scope"] for scope in each.split()]
            scopes = [scope for scope in asked_for if not scope.startswith(f"repository:{SECRET}:")]
            body = json.dumps({"token": _token(folder, scopes)}).encode() if known else b"{}"
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def _token(folder: Path, scopes: list[str]) -> str:
    """A JSON web token, signed with the certificate that the registry trusts."""
    access = [dict(zip(("type", "name", "actions"), scope.split(":"), strict=True)) for scope in scopes]
    pem = (folder / "cert.pem").read_text()
    header = {"alg": "RS256", "typ": "JWT", "x5c": ["".join(pem.strip().splitlines()[1:-1])]}
    now = int(time.time())
    claims = {
        "iss": "tests",
        "aud": "tests",
        "sub": USER,
        "nbf": now - 10,
        "iat": now,
        "exp": now + 300,
        "jti": "1",
        "access": [{**each, "actions": each["actions"].split(",")} for each in access],
    }
    signed = b".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(folder / "key.pem")],
        input=signed,
        capture_output=True,
        check=True,
        timeout=20,
    ).stdout
    return (signed + b"." + _base64(signature)).decode()


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
