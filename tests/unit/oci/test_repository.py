"""Podium's client and a real registry: with TLS and a password, with tokens, with faults in between."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.registries import (
    PASSWORD,
    SECRET,
    USER,
    RunningRegistry,
    docker_config,
    free_port,
    guarded_registry,
    plain_registry,
    token_registry,
)

from podium.errors import DamagedBlob, Denied, ImageRegistryAway, NoSuchImage, Refused
from podium.oci import repository, transport
from podium.oci.documents import EMPTY, EMPTY_BYTES, MANIFEST, Descriptor, Manifest, encode, sha256
from podium.oci.layout import Layout
from podium.oci.reference import Reference
from podium.oci.repository import Access, Repository

BLOB = os.urandom(300_000)
KIND = "application/octet-stream"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with guarded_registry(tmp_path_factory.mktemp("guarded")) as registry:
        yield registry


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with plain_registry(tmp_path_factory.mktemp("plain")) as registry:
        yield registry


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setattr(repository, "PAUSES", (0.01, 0.01, 0.01))


def opened(registry: RunningRegistry, name: str, access: Access | None = None) -> Repository:
    return Repository(Reference.parse(f"{registry.host}/{name}"), access or registry.access)


def an_artifact(layout: Layout, *, about: Descriptor | None = None, note: str = "") -> bytes:
    layout.put(EMPTY_BYTES, EMPTY)
    empty = Descriptor(media_type=EMPTY, digest=sha256(EMPTY_BYTES), size=2)
    return encode(
        Manifest(
            schema_version=2,
            media_type=MANIFEST,
            artifact_type="application/x.test",
            config=empty,
            layers=[empty],
            subject=about,
            annotations={"note": note},
        )
    )


@pytest.mark.parametrize("kind", ["guarded", "plain"])
def test_what_went_up_comes_down_as_it_was(
    kind: str, request: pytest.FixtureRequest, layout: Layout, tmp_path: Path
) -> None:
    registry = request.getfixturevalue(kind)
    with opened(registry, "team/model") as there:
        blob = layout.put(BLOB, KIND)
        assert there.push(blob, layout) == len(BLOB)
        assert there.push(blob, layout) == 0, "it had it already"
        other = Layout(tmp_path / "other")
        there.fetch(blob, other)
        assert other.read(blob) == BLOB
        content = an_artifact(layout)
        there.push(Descriptor(media_type=EMPTY, digest=sha256(EMPTY_BYTES), size=2), layout)
        there.put_manifest(content, MANIFEST, "1")
        found, read = there.manifest("1")
        assert (found.digest, read) == (sha256(content), content)
        assert there.manifest(found.digest)[1] == content


def test_a_blob_of_another_repository_is_mounted_and_not_sent(
    guarded: RunningRegistry, layout: Layout
) -> None:
    blob = layout.put(b"base" * 1000, KIND)
    with opened(guarded, "bases/python") as base:
        base.push(blob, layout)
    with opened(guarded, "team/mounted") as there:
        assert there.push(blob, layout, mount_from="bases/python") == 0
        assert there.has(blob.digest)


def test_what_refers_to_a_manifest_is_found_without_the_referrers_api(
    guarded: RunningRegistry, layout: Layout
) -> None:
    with opened(guarded, "team/referred") as there:
        content = an_artifact(layout)
        there.push(Descriptor(media_type=EMPTY, digest=sha256(EMPTY_BYTES), size=2), layout)
        subject = there.put_manifest(content, MANIFEST, "1")
        assert there.referrers(subject.digest) == []
        for note in ("sbom", "signature", "sbom"):
            about = an_artifact(layout, about=subject, note=note)
            described = Descriptor(media_type=MANIFEST, digest=sha256(about), size=len(about))
            there.refer(about, described, subject.digest)
        assert len(there.referrers(subject.digest)) == 2


@pytest.mark.parametrize("identity", [False, True])
def test_a_registry_that_wants_tokens_gets_them(identity: bool, tmp_path: Path, layout: Layout) -> None:
    with token_registry(tmp_path / "registry") as registry:
        environment = dict(registry.environment)
        if identity:  # what `az acr login` leaves behind
            config = tmp_path / "identity"
            config.mkdir()
            kept = {"auths": {registry.host: {"auth": "MDA6", "identitytoken": "identity"}}}
            (config / "config.json").write_text(json.dumps(kept))
            environment["DOCKER_CONFIG"] = str(config)
        with opened(registry, "team/model", Access(environment=environment)) as there:
            there.push(layout.put(BLOB, KIND), layout)
            assert there.has(f"sha256:{hashlib.sha256(BLOB).hexdigest()}")
        with opened(registry, "team/mounted", Access(environment=environment)) as there:
            blob = layout.put(BLOB, KIND)
            assert there.push(blob, layout, mount_from="team/model") == 0, "the token lets us mount"
        with opened(registry, "team/sent", Access(environment=environment)) as there:
            assert there.push(blob, layout, mount_from=SECRET) == blob.size, "we may not read there"
        nobody = Access(environment={"HOME": str(tmp_path)})
        with opened(registry, "team/model", nobody) as there, pytest.raises(Denied, match="logging in"):
            there.manifest("1")


def test_a_credential_helper_is_asked(guarded: RunningRegistry, tmp_path: Path, layout: Layout) -> None:
    helper = tmp_path / "docker-credential-tests"
    helper.write_text(f'#!/bin/sh\ncat >&2\necho \'{{"Username": "{USER}", "Secret": "{PASSWORD}"}}\'\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {guarded.host: "tests"}}))
    environment = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with opened(guarded, "team/model", Access(ca=guarded.ca, environment=environment)) as there:
        there.push(layout.put(b"helped", KIND), layout)
    helper.unlink()
    with (
        opened(guarded, "team/model", Access(ca=guarded.ca, environment=environment)) as there,
        pytest.raises(Denied, match="docker-credential-tests, which is not in PATH"),
    ):
        there.manifest("1")


def test_what_podman_keeps_is_used_where_docker_keeps_nothing(
    guarded: RunningRegistry, tmp_path: Path, layout: Layout
) -> None:
    kept = docker_config(tmp_path / "containers", guarded.host, USER, PASSWORD)
    (Path(kept["DOCKER_CONFIG"]) / "config.json").rename(tmp_path / "containers" / "auth.json")
    docker_config(tmp_path / ".docker", "elsewhere.example", USER, "other")
    environment = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with opened(guarded, "team/model", Access(ca=guarded.ca, environment=environment)) as there:
        there.push(layout.put(b"by podman", KIND), layout)


# --- one clear line -------------------------------------------------------------------------


def test_a_wrong_password_says_how_to_give_the_right_one(guarded: RunningRegistry, tmp_path: Path) -> None:
    environment = docker_config(tmp_path, guarded.host, USER, "wrong")
    access = Access(ca=guarded.ca, environment=environment)
    with (
        opened(guarded, "team/model", access) as there,
        pytest.raises(Denied, match=f"wrong; `docker login {guarded.host}`"),
    ):
        there.manifest("1")


def test_nobody_is_refused_with_the_same_words(guarded: RunningRegistry, tmp_path: Path) -> None:
    access = Access(ca=guarded.ca, environment={"HOME": str(tmp_path)})
    with opened(guarded, "team/model", access) as there, pytest.raises(Denied, match="missing or wrong"):
        there.manifest("1")


def test_an_unknown_authority_says_how_to_give_it(guarded: RunningRegistry) -> None:
    with (
        opened(guarded, "team/model", Access(environment=guarded.environment)) as there,
        pytest.raises(Denied, match=r"certificate is not trusted \(self.signed.*--ca FILE"),
    ):
        there.manifest("1")


def test_a_registry_that_is_not_there_is_named(tmp_path: Path) -> None:
    port = free_port()
    with (
        Repository(Reference.parse(f"127.0.0.1:{port}/model")) as there,
        pytest.raises(ImageRegistryAway, match=f"127.0.0.1:{port} cannot be reached: Connection refused"),
    ):
        there.manifest("1")


def test_an_image_that_does_not_exist_is_named(plain: RunningRegistry) -> None:
    with opened(plain, "nobody/nothing") as there:
        with pytest.raises(NoSuchImage, match="nobody/nothing has no 7"):
            there.manifest("7")
        with pytest.raises(NoSuchImage, match="has no blob"):
            there.fetch(Descriptor(media_type=KIND, digest=sha256(b"?"), size=1), Layout(plain.folder / "x"))


def test_a_blob_that_was_changed_in_the_registry_is_refused(plain: RunningRegistry, layout: Layout) -> None:
    blob = layout.put(b"right" * 100, KIND)
    with opened(plain, "team/damaged") as there:
        there.push(blob, layout)
        digits = blob.digest.removeprefix("sha256:")
        stored = plain.folder / "data/docker/registry/v2/blobs/sha256" / digits[:2] / digits / "data"
        stored.write_bytes(b"wrong" * 100)
        other = Layout(layout.folder / "other")
        with pytest.raises(DamagedBlob, match=f"what came is not {blob.digest}"):
            there.fetch(blob, other)
        assert not other.has(blob.digest)


@pytest.mark.parametrize("content", [b"right" * 50, b"wrong" * 100, b""])
def test_a_blob_that_was_damaged_here_is_not_sent(
    content: bytes, plain: RunningRegistry, layout: Layout
) -> None:
    """A shorter one was sent for ever: piece after piece of nothing."""
    blob = layout.put(b"right" * 100, KIND)
    layout.path(blob.digest).write_bytes(content)
    with opened(plain, "team/hurt") as there, pytest.raises(DamagedBlob, match="delete it, and try again"):
        there.push(blob, layout)


# --- faults on the way ----------------------------------------------------------------------


def test_an_upload_that_breaks_off_goes_on_where_it_was(
    plain: RunningRegistry, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "CHUNK", 100_000)
    blob = layout.put(os.urandom(500_000), KIND)
    with cutting(plain.port, before_piece=(3, 2)) as (port, passed):
        with Repository(Reference.parse(f"127.0.0.1:{port}/team/cut"), plain.access) as there:
            assert there.push(blob, layout) == blob.size
            assert there.has(blob.digest)
        assert sum(passed) < blob.size + 50_000, "what had arrived was not sent again"


def test_an_upload_that_the_registry_has_lost_begins_anew(
    plain: RunningRegistry, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "CHUNK", 100_000)
    blob = layout.put(os.urandom(500_000), KIND)
    with (
        cutting(plain.port, after=(250_000,)) as (port, _),
        Repository(Reference.parse(f"127.0.0.1:{port}/team/lost"), plain.access) as there,
    ):
        assert there.push(blob, layout) == blob.size
        assert there.has(blob.digest)


def test_an_upload_that_always_breaks_off_says_where(plain: RunningRegistry, layout: Layout) -> None:
    blob = layout.put(os.urandom(200_000), KIND)
    with (
        cutting(plain.port, after=(2_000,) * 50) as (port, _),
        Repository(Reference.parse(f"127.0.0.1:{port}/team/never"), plain.access) as there,
        pytest.raises(ImageRegistryAway, match=r"broke off"),
    ):
        there.push(blob, layout)
    with opened(plain, "team/never") as there:
        assert not there.has(blob.digest)


def test_a_download_that_breaks_off_begins_anew(
    plain: RunningRegistry, layout: Layout, tmp_path: Path
) -> None:
    blob = layout.put(os.urandom(500_000), KIND)
    with opened(plain, "team/short") as there:
        there.push(blob, layout)
    here = Layout(tmp_path / "here")
    with (
        cutting(plain.port, back=(200_000, 300_000)) as (port, _),
        Repository(Reference.parse(f"127.0.0.1:{port}/team/short"), plain.access) as there,
    ):
        there.fetch(blob, here)
    assert here.read(blob) == layout.read(blob)


def test_a_download_that_always_breaks_off_is_no_damaged_blob(
    plain: RunningRegistry, layout: Layout, tmp_path: Path
) -> None:
    blob = layout.put(os.urandom(500_000), KIND)
    with opened(plain, "team/shorter") as there:
        there.push(blob, layout)
    here = Layout(tmp_path / "here")
    with (
        cutting(plain.port, back=(200_000,) * 50) as (port, _),
        Repository(Reference.parse(f"127.0.0.1:{port}/team/shorter"), plain.access) as there,
        pytest.raises(ImageRegistryAway, match=r"broke off again and again: after \d+ of 500000 bytes"),
    ):
        there.fetch(blob, here)
    assert not list(here.folder.rglob("*.*")), "nothing half-done is left"


def test_a_registry_that_dies_half_way_is_waited_for_and_then_named(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = layout.put(BLOB, KIND)
    with plain_registry(tmp_path / "registry") as registry:
        there = opened(registry, "team/dead")
        assert not there.has(blob.digest)
    tried: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", tried.append)
    with there, pytest.raises(ImageRegistryAway, match=r"broke off 4 times: .* cannot be reached"):
        there.push(blob, layout)
    assert tried == [*transport.PAUSES]


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (413, Refused, "takes no more"),
        (507, Refused, "quota exceeded"),
        (403, Denied, "may not do that"),
        (503, ImageRegistryAway, "broke off again and again"),
    ],
)
def test_a_registry_that_refuses_half_way_is_quoted(
    status: int, kind: type[Exception], said: str, layout: Layout
) -> None:
    """A stand-in, since a real one cannot be made to run out of its quota: begins an upload, then refuses."""
    blob = layout.put(BLOB, KIND)

    def replies(method: str) -> int:
        return {"HEAD": 404, "POST": 202, "GET": 204}.get(method, status)

    with (
        standing_in(replies) as port,
        Repository(Reference.parse(f"127.0.0.1:{port}/team/full")) as there,
        pytest.raises(kind, match=said),
    ):
        there.push(blob, layout)


@contextmanager
def cutting(
    target: int,
    *,
    after: tuple[int, ...] = (),
    before_piece: tuple[int, ...] = (),
    back: tuple[int, ...] = (),
) -> Iterator[tuple[int, list[int]]]:
    """A way to a port that breaks off: the first connections after so many bytes, or at the start of their
    n-th piece, or after so many bytes on the way back; later ones never.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    left, pieces, backs = list(after), list(before_piece), list(back)
    passed: list[int] = []

    def copy(source: socket.socket, sink: socket.socket, limit: float, allowed: float, count: bool) -> None:
        seen = 0
        with suppress(OSError):
            while seen < limit and (piece := source.recv(4096)):
                allowed -= piece.startswith(b"PATCH ")
                if not allowed:
                    break
                seen += len(piece)
                sink.sendall(piece)
        if count:
            passed.append(seen)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def connect(client: socket.socket, limit: float, allowed: float, answered: float) -> None:
        with client, socket.create_connection(("127.0.0.1", target)) as server:
            answers = threading.Thread(target=copy, args=(server, client, answered, float("inf"), False))
            answers.start()
            copy(client, server, limit, allowed, True)
            answers.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                limit = left.pop(0) if left else float("inf")
                allowed = pieces.pop(0) if pieces else float("inf")
                answered = backs.pop(0) if backs else float("inf")
                threading.Thread(target=connect, args=(client, limit, allowed, answered), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1], passed
    finally:
        listening.close()


@contextmanager
def standing_in(status_of: Callable[[str], int]) -> Iterator[int]:
    class Replies(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = status_of(self.command)
            body = b'{"errors": [{"code": "DENIED", "message": "quota exceeded"}]}' if status >= 400 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "/v2/team/full/blobs/uploads/1")
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _reply

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Replies)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
