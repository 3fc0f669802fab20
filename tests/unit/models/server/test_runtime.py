"""A server behind columns: waited for at the start, given up in time, asked again once it is back."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from bench.ports import free_port

from podium.errors import ModelFailed
from podium.models.server.doors import door_of
from podium.models.server.runtime import Patience, Runtime
from podium.schema import Field, Kind, Schema
from podium.servers import Server

from .fake import Handler, doubled, fake

X = Schema((Field(name="x", type=Kind.FLOAT),))
Y = Schema((Field(name="y", type=Kind.FLOAT),))


FOUR = {"name": "y", "shape": [1], "data": [4]}


@contextmanager
def runtime(url: str, protocol: str = "vertex", timeout: float = 5.0, **more: str) -> Iterator[Runtime]:
    layout = "objects" if protocol == "vertex" else ""
    route = "/v1/models/m:predict" if protocol == "vertex" else ""
    server = Server(url=url + route, protocol=protocol, layout=layout, **more)  # type: ignore[arg-type]
    made = Runtime("m", server.url, door_of(server, X, Y), connections=4, timeout=timeout)
    try:
        yield made
    finally:
        made.close()


def ask(asked: Runtime, *values: float) -> list[float]:
    found: list[float] = asked.predict({"x": np.array(values, dtype=float)})["y"].tolist()
    return found


def test_rows_are_one_request_where_the_protocol_has_batches_and_one_each_where_it_has_not() -> None:
    with fake(doubled) as server:
        with runtime(server.url) as asked:
            assert ask(asked, 1, 2, 3) == [2, 4, 6]
        assert len(server.seen) == 1
        with runtime(server.url, "json") as asked:
            assert ask(asked, 1, 2, 3) == [2, 4, 6]
        assert len(server.seen) == 4
        with runtime(server.url, "json", method="GET", path="/score") as asked:
            assert ask(asked, 5, 6) == [10, 12]
        assert {path for _, path, _ in server.seen[4:]} == {"/score?x=5.0", "/score?x=6.0"}


def test_a_server_that_is_not_ready_yet_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    asked_before: list[str] = []

    def loading(handler: Handler) -> None:
        asked_before.append(handler.path)
        if len(asked_before) < 3:
            handler.json({"error": "still loading"}, status=503)
        else:
            doubled(handler)

    with fake(loading) as server, runtime(server.url) as asked, caplog.at_level(logging.INFO):
        asked.start(10)
        assert asked_before == ["/v1/models/m"] * 3
    told = [record.message for record in caplog.records]
    assert len(told) == 1
    assert "waiting for" in told[0]
    assert "asked for /v1/models/m, it answered 503: still loading" in told[0]


def test_a_server_that_never_gets_ready_is_an_error_that_says_what_it_said() -> None:
    def lost(handler: Handler) -> None:
        handler.say(b"<p>no such page", status=404)

    with (
        fake(lost) as server,
        runtime(server.url) as asked,
        pytest.raises(ModelFailed, match="it answered 404: no such page"),
    ):
        asked.start(0)
    nobody = f"http://127.0.0.1:{free_port()}"
    with runtime(nobody, "json") as asked, pytest.raises(ModelFailed, match="nothing listens there"):
        asked.start(0)


def test_a_server_that_hangs_is_given_up_in_time_and_the_next_questions_do_not_wait_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = threading.Event()

    def hangs(handler: Handler) -> None:
        release.wait(10)

    with fake(hangs) as server, runtime(server.url, timeout=1.0) as asked:
        began = time.monotonic()
        with pytest.raises(ModelFailed, match=r"it has not answered within 0\.4 s"):
            ask(asked, 1)
        for _ in range(50):  # as when a batch is halved
            with pytest.raises(ModelFailed, match="it is asked again in"):
                ask(asked, 1)
        assert len(server.seen) == 1
        assert time.monotonic() - began < 1.0
        release.set()
        server.behaves(doubled)
        time.sleep(Patience.PAUSE)
        assert ask(asked, 4) == [8]
    assert "m: http://" in caplog.text


def test_a_server_that_is_started_again_is_asked_again_at_once() -> None:
    with fake(doubled) as server, runtime(server.url) as asked:
        assert ask(asked, 1) == [2]
        port = int(server.url.rpartition(":")[2])
        server.behaves(lambda handler: setattr(handler, "close_connection", True))
        with pytest.raises(ModelFailed, match="ended the connection"):
            ask(asked, 1)
    with runtime(server.url) as asked:
        with pytest.raises(ModelFailed, match="nothing listens there"):
            ask(asked, 1)
        with fake(doubled, port):
            assert ask(asked, 3) == [6]


def test_a_server_that_describes_its_model_is_kept_to_and_one_that_does_not_is_no_error() -> None:
    def strict(handler: Handler) -> None:
        if handler.path.endswith("/ready"):
            return handler.json({})
        if handler.command == "GET":
            return handler.json({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}]})
        (tensor,) = json.loads(handler.body)["inputs"]
        if tensor["datatype"] != "FP32":
            return handler.json({"error": "expected FP32"}, status=400)
        data = [2 * value for value in tensor["data"]]
        return handler.json({"outputs": [{"name": "y", "shape": tensor["shape"], "data": data}]})

    def plain(handler: Handler) -> None:
        described = handler.command == "GET" and not handler.path.endswith("/ready")
        handler.json({"error": "no"}, status=404) if described else handler.json({"outputs": [FOUR]})

    with fake(strict) as server, runtime(f"{server.url}/v2/models/m", "oip") as asked:
        asked.start(0)
        assert ask(asked, 1, 2) == [2, 4]
    with fake(plain) as server, runtime(f"{server.url}/v2/models/m", "oip") as asked:
        asked.start(0)
        assert ask(asked, 2) == [4]


def test_failures_in_a_row_share_the_time_and_an_answer_restores_it() -> None:
    patience = Patience(4.0)
    patience.failed(10.0, took=3.0)
    assert (patience.left(), patience.wait(10.0)) == (1.0, 0.0)
    patience.answered()
    assert patience.left() == 4.0
    patience.failed(20.0, took=3.0)
    patience.failed(21.0, took=1.0)
    assert patience.wait(21.0) == Patience.PAUSE
    assert patience.wait(21.0 + Patience.PAUSE) == 0.0
    assert patience.left() == 4.0
