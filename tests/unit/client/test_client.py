"""Both clients against gateways that drop, refuse, hang and dribble: one answer or one error for a call."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.unit.client.faulty import (
    FaultyGateway,
    Seen,
    answer,
    drop,
    gateway,
    half,
    last_words,
    problem,
    reply,
)

import podium
from podium.client import Answer, Answers, Outcome, Taken, calls, retries
from podium.errors import (
    GatewayFailed,
    InvalidInput,
    OverRate,
    Stopping,
    TooLarge,
    TooManyRequests,
    Unreachable,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
QUICK = {"timeout": 2.0, "try_timeout": 0.2}
Kind: TypeAlias = type[podium.Client] | type[podium.AsyncClient]


class Both:
    """A client of either kind, called in the same way."""

    def __init__(self, client: podium.Client | podium.AsyncClient) -> None:
        self._client = client

    async def __call__(self, method: str, *given: Any, **wishes: Any) -> Any:
        call = getattr(self._client, method)
        if isinstance(self._client, podium.AsyncClient):
            found = call(*given, **wishes)
            return [part async for part in found] if isinstance(found, AsyncIterator) else await found
        found = await asyncio.to_thread(call, *given, **wishes)
        return await asyncio.to_thread(list, found) if isinstance(found, Iterator) else found


@asynccontextmanager
async def opened(kind: Kind, server: FaultyGateway, **options: Any) -> AsyncIterator[Both]:
    client = kind(server.url, "diabetes", **{**QUICK, **options})
    try:
        yield Both(client)
    finally:
        if isinstance(client, podium.AsyncClient):
            await client.close()
        else:
            client.close()


both = pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient], ids=["sync", "async"])


# --- what is asked and answered -------------------------------------------------------------


@both
async def test_a_row_becomes_a_typed_answer(kind: Kind) -> None:
    with gateway() as server:
        async with opened(kind, server, headers={"authorization": "Bearer key"}) as ask:
            found = await ask(
                "score", {"x": 3.0}, id="mine", key="k", force="m", deadline="50ms", trace=TRACE
            )
    assert found == Answer(
        id="mine", answer={"y": 6.0}, model="linear", version="9f2c1ab04d5e", rule="champion", ms=1.2
    )
    (seen,) = server.seen
    assert seen.path == "/score/diabetes"
    wanted = {"podium-key": "k", "podium-force": "m", "podium-deadline": "50ms", "traceparent": TRACE}
    assert wanted.items() <= seen.headers.items()
    assert seen.headers["authorization"] == "Bearer key"
    with pytest.raises(AttributeError):
        found.id = "another"


@both
async def test_a_callers_key_goes_with_every_request_beside_a_proxys(kind: Kind) -> None:
    with gateway() as server:
        options: Any = {"api_key": "podium_k\n", "headers": {"authorization": "Bearer of-a-proxy"}}
        async with opened(kind, server, **options) as ask:
            await ask("score", {"x": 3.0})
    (seen,) = server.seen
    assert (seen.headers["x-api-key"], seen.headers["authorization"]) == ("podium_k", "Bearer of-a-proxy")


@pytest.mark.parametrize("key", ["", "podium_\nsecret", "podium_sécret"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidInput, match="the key cannot be sent") as refused:
        podium.Client("http://127.0.0.1:1", "diabetes", api_key=key)
    assert "cret" not in str(refused.value)


@both
async def test_a_caller_over_its_rate_is_told_for_how_long(kind: Kind) -> None:
    over = reply(429, {"type": "/docs/problems#over-rate", "detail": "try again in 60 s"}, retry_after="60")
    with gateway(over) as server:
        async with opened(kind, server) as ask:
            with pytest.raises(OverRate, match="60 s") as refused:
                await ask("score", {"x": 3.0})
    assert refused.value.seconds == 60
    assert len(server.seen) == 1


@both
async def test_what_is_none_is_not_asked_for(kind: Kind) -> None:
    with gateway() as server:
        async with opened(kind, server) as ask:
            await ask("score", {"x": 3.0}, key=None, deadline=None, timeout=None)
    (seen,) = server.seen
    assert not {"podium-key", "podium-deadline"} & seen.headers.keys()


def test_ids_are_uuids_of_version_7_in_the_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls.time, "time_ns", itertools.count(1_795_000_000_000_000_000, 10**6).__next__)
    ids = [calls.new_id() for _ in range(100)]
    assert {uuid.UUID(id).version for id in ids} == {7}
    assert {uuid.UUID(id).variant for id in ids} == {uuid.RFC_4122}
    assert ids == sorted(set(ids))


@both
async def test_rows_are_one_request(kind: Kind) -> None:
    with gateway() as server:
        async with opened(kind, server) as ask:
            found = await ask("score_rows", [{"x": 1}, {"x": 2}])
    assert isinstance(found, Answers)
    assert found.answer == [{"y": 2}, {"y": 4}]
    assert len(server.seen) == 1


@both
async def test_many_rows_keep_their_order_whichever_batch_is_answered_first(kind: Kind) -> None:
    def late_first(connection: socket.socket, seen: Seen) -> None:
        time.sleep(0.08 if json.loads(seen.body)[0]["x"] % 4 == 0 else 0)
        answer(connection, seen)

    with gateway(late_first) as server:
        async with opened(kind, server) as ask:
            found = await ask("score_many", ({"x": n} for n in range(15)), batch=2, at_once=3)
    assert [row["y"] for part in found for row in part.answer] == [2 * n for n in range(15)]
    assert len({part.id for part in found}) == len(server.seen) == 8
    assert 1 < server.most_at_once <= 3


@both
async def test_no_rows_are_no_requests(kind: Kind) -> None:
    with gateway() as server:
        async with opened(kind, server) as ask:
            assert await ask("score_many", []) == []
            assert await ask("outcomes", []) == Taken(outcomes=0, unchecked=0)
    assert not server.seen


@both
async def test_many_rows_are_read_no_faster_than_they_are_answered(kind: Kind) -> None:
    taken = itertools.count()
    with gateway(problem(422, "invalid-input")) as server:
        async with opened(kind, server) as ask:
            with pytest.raises(InvalidInput) as refused:
                await ask("score_many", ({"x": next(taken)} for _ in range(10_000)), batch=10, at_once=2)
    assert next(taken) <= 30
    assert refused.value.__notes__ == ["in rows 0 to 9, counted from 0"]


@both
async def test_connections_are_used_again(kind: Kind) -> None:
    with gateway() as server:
        async with opened(kind, server) as ask:
            for n in range(5):
                await ask("score", {"x": n})
    assert server.connections == 1


@both
async def test_outcomes_say_what_happened(kind: Kind) -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    one = {"id": "order/17", "outcome": {"y": 1.0}, "observed": "2026-11-24T12:00:00Z"}
    rows = {"id": "b", "outcome": [{"y": 1.0}, {"y": 2.0}], "observed": "2026-11-24T12:00:00Z"}
    many = reply(202, {"outcomes": 2, "unchecked": 1})
    with gateway(reply(200, one), reply(202, rows), many, many) as server:
        async with opened(kind, server) as ask:
            assert await ask("outcome", "order/17", {"y": 1.0}, observed=noon) == Taken(
                outcomes=1, unchecked=0
            )
            assert await ask("outcome", "b", [{"y": 1.0}, {"y": 2.0}]) == Taken(outcomes=2, unchecked=2)
            outcomes = [Outcome(id=str(n), outcome={"y": n}, row=n, observed=noon) for n in range(4)]
            assert await ask("outcomes", outcomes, batch=2) == Taken(outcomes=4, unchecked=2)
    assert server.seen[0].path == "/outcome/diabetes/order%2F17"
    assert server.seen[0].headers["podium-observed"] == "2026-11-24T12:00:00+00:00"
    assert json.loads(server.seen[3].body)[1] == {
        "id": "3",
        "row": 3,
        "outcome": {"y": 3},
        "observed": "2026-11-24T12:00:00+00:00",
    }


# --- tries ----------------------------------------------------------------------------------

FAULTS = {
    "dropped": drop,
    "half an answer": half,
    "429": problem(429, "too-many-requests"),
    "502 of a proxy": reply(502, "Bad Gateway"),
    "503": problem(503, "stopping"),
    "hanging": lambda *_: time.sleep(0.4),
}


@both
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_call_that_was_not_answered_is_tried_again_with_the_same_id(kind: Kind, fault: Any) -> None:
    with gateway(fault, fault, answer) as server:
        async with opened(kind, server) as ask:
            found = await ask("score", {"x": 3.0})
    assert found.answer == {"y": 6.0}
    assert [seen.id for seen in server.seen] == [found.id] * 3
    assert len({seen.body for seen in server.seen}) == 1


@both
async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_pause(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_SECONDS", 100.0)
    with gateway(last_words, answer) as server:
        async with opened(kind, server) as ask:
            await ask("score", {"x": 1.0})
            while server.busy:
                await asyncio.sleep(0.01)
            await ask("score", {"x": 2.0})
    assert [seen.connection for seen in server.seen] == [1, 2]


@both
async def test_retry_after_is_waited_for(kind: Kind) -> None:
    busy = reply(429, {"type": "/docs/problems#too-many-requests", "detail": "busy"}, retry_after="1")
    moments: list[float] = []

    def noted(connection: socket.socket, seen: Seen) -> None:
        moments.append(time.monotonic())
        (busy if len(moments) == 1 else answer)(connection, seen)

    with gateway(noted) as server:
        async with opened(kind, server) as ask:
            await ask("score", {"x": 1.0})
    assert moments[1] - moments[0] >= 1.0


@both
async def test_a_wait_that_would_be_too_long_is_not_begun(kind: Kind) -> None:
    busy = problem(429, "too-many-requests", "500 requests are in flight")
    later = reply(503, {"type": "/docs/problems#stopping", "detail": "stopping"}, retry_after="60")
    with gateway(busy, later) as server:
        async with opened(kind, server) as ask:
            with pytest.raises(Stopping, match="stopping"):
                await ask("score", {"x": 1.0})
    assert len(server.seen) == 2


@both
async def test_the_last_refusal_is_raised_when_the_time_is_over(kind: Kind) -> None:
    with gateway(problem(429, "too-many-requests", "500 requests are in flight")) as server:
        async with opened(kind, server) as ask:
            with pytest.raises(TooManyRequests, match="500 requests"):
                await ask("score", {"x": 1.0}, timeout=0.3)
    assert len(server.seen) > 1


@both
async def test_nobody_who_listens_is_unreachable(kind: Kind) -> None:
    with gateway() as server:
        pass
    async with opened(kind, server, timeout=0.2) as ask:
        with pytest.raises(Unreachable, match=f"{server.url} does not answer"):
            await ask("score", {"x": 1.0})


@both
async def test_an_answer_that_dribbles_in_does_not_hold_a_call_longer_than_its_time(kind: Kind) -> None:
    over = threading.Event()

    def dribble(connection: socket.socket, _: Seen) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while not over.wait(0.02):
            connection.sendall(b" ")

    with gateway(dribble) as server:
        async with opened(kind, server, try_timeout=10.0) as ask:
            async with asyncio.timeout(5.0):
                with pytest.raises(Unreachable, match="in time"):
                    await ask("score", {"x": 1.0}, timeout=0.3)
        over.set()


# --- refusals -------------------------------------------------------------------------------


@both
async def test_a_refusal_is_the_error_that_it_names_and_is_not_tried_again(kind: Kind) -> None:
    refusal = problem(422, "invalid-input", "'bmj' is not an input", path="$.bmj", expected="{x: float}")
    with gateway(refusal) as server:
        async with opened(kind, server) as ask:
            with pytest.raises(InvalidInput, match="'bmj' is not an input") as refused:
                await ask("score", {"bmj": 1.0})
    error = refused.value
    assert (error.path, error.expected) == ("$.bmj", "{x: float}")
    assert error.problem is not None
    assert error.problem["status"] == 422
    assert len(server.seen) == 1


@both
async def test_what_is_no_gateway_is_said_to_be_none(kind: Kind) -> None:
    for turn in (reply(200, ["no answer"]), lambda connection, _: connection.sendall(b"SSH-2.0-x\r\n")):
        with gateway(turn) as server:
            async with opened(kind, server) as ask:
                with pytest.raises(GatewayFailed, match="this is no answer of"):
                    await ask("score", {"x": 1.0})


@both
async def test_a_redirect_is_not_followed(kind: Kind) -> None:
    with gateway(reply(307, location="http://127.0.0.1:1/")) as server:
        async with opened(kind, server) as ask:
            with pytest.raises(GatewayFailed, match="the gateway says 307"):
                await ask("score", {"x": 1.0})


@both
async def test_a_refusal_of_a_large_body_is_seen(kind: Kind) -> None:
    with gateway(problem(413, "too-large")) as server:
        async with opened(kind, server) as ask:
            with pytest.raises(TooLarge):
                await ask("score", {"x": "1" * 3_000_000})


@pytest.mark.parametrize("value", ["a\r\nx: y", "ü", "\0"])
def test_what_cannot_be_a_header_is_refused_here(value: str) -> None:
    client = podium.Client("http://127.0.0.1:1", "diabetes")
    with pytest.raises(InvalidInput, match="podium-key is") as refused:
        client.score({"x": 1.0}, key=value)
    assert refused.value.path == "header podium-key"


def test_what_cannot_be_json_is_refused_here() -> None:
    client = podium.Client("http://127.0.0.1:1", "diabetes")
    with pytest.raises(InvalidInput, match="cannot be sent as JSON"):
        client.score({"x": object()})


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda client: client.score({"x": 1.0}, dedline="5ms"),
            TypeError,
            "no such argument: dedline; there are",
        ),
        (lambda client: client.score([{"x": 1.0}]), TypeError, "expected one row, inputs by name, not list"),
        (lambda client: client.score_many([{"x": 1.0}], batch=0), ValueError, "at least 1, not 0 and 4"),
        (lambda client: client.score_many([{"x": 1.0}], at_once=0), ValueError, "at least 1, not 1000 and 0"),
        (lambda client: client.outcomes([], batch=-1), ValueError, "at least 1, not -1 and 1"),
    ],
)
def test_nothing_that_is_asked_for_is_ignored(call: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        call(podium.Client("http://127.0.0.1:1", "diabetes"))


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://", ""])
def test_what_is_no_url_says_what_is_one(url: str) -> None:
    with pytest.raises(ValueError, match="expected one such as http://127"):
        podium.Client(url, "diabetes")


# --- many at once ---------------------------------------------------------------------------


def test_threads_share_a_client() -> None:
    found: list[float] = []
    with gateway() as server, podium.Client(server.url, "diabetes") as client:

        def ask(n: int) -> None:
            found.append(client.score({"x": n}).answer["y"] / n)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [2.0] * 8


async def test_a_call_that_is_cancelled_leaves_no_half_answer_for_the_next() -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def late(connection: socket.socket, seen: Seen) -> None:
        loop.call_soon_threadsafe(begun.set)
        time.sleep(0.1)
        answer(connection, seen)

    with gateway(late, answer) as server:
        async with podium.AsyncClient(server.url, "diabetes") as client:
            gone = asyncio.create_task(client.score({"x": 1.0}))
            await begun.wait()
            gone.cancel()
            await asyncio.wait([gone])
            found = await client.score({"x": 2.0})
    assert found.answer == {"y": 4.0}
    assert [seen.connection for seen in server.seen] == [1, 2]


# --- where it goes --------------------------------------------------------------------------


def test_a_base_path_of_a_proxy_comes_first() -> None:
    with gateway() as server, podium.Client(f"{server.url}/models/", "a b") as client:
        client.score({"x": 1.0})
    assert server.seen[0].path == "/models/score/a%20b"
    assert server.seen[0].headers["host"] == server.url.removeprefix("http://")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of a server at localhost, in one file."""
    found = tmp_path_factory.mktemp("tls") / "localhost.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    files = ["-keyout", str(found), "-out", str(found.with_suffix(".crt"))]
    subprocess.run([*made, *named, *files], check=True, capture_output=True, timeout=20)
    found.write_text(found.read_text() + found.with_suffix(".crt").read_text())
    return found


@both
async def test_https_is_checked_against_the_certificates_that_are_trusted(
    kind: Kind, certificate: Path
) -> None:
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate.with_suffix(".crt"))
    with gateway(tls=own) as server:
        async with opened(kind, server, tls=trusting) as ask:
            assert (await ask("score", {"x": 1.0})).answer == {"y": 2.0}
        async with opened(kind, server) as ask:
            with pytest.raises(GatewayFailed, match=r"is not trusted: self.signed certificate"):
                await ask("score", {"x": 1.0})
