"""The gRPC door of a gateway, over a real connection: what clients of its protocols get."""

from __future__ import annotations

import asyncio
import gc
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from tests.unit.gateway.world import LONG, World, run
from tests.unit.workers.stage import FOREST, LINEAR, PATIENCE, times, until
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from podium.callers import Key, Rate, new_token
from podium.counters import Board
from podium.errors import NodeError
from podium.gateway.callers import Callers
from podium.gateway.grpc import GrpcGateway
from podium.gateway.grpc_server import GrpcServer
from podium.gateway.large import LargeInputs, Room
from podium.gateway.predict import Predictor
from podium.gateway.probes import Probes
from podium.protocol import inference
from podium.protocol.frames import InputFrame
from podium.protocol.inference import (
    HealthCheckRequest,
    HealthCheckResponse,
    ModelInferRequest,
    ModelInferResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ModelStreamInferResponse,
)
from podium.run import Limits, key_digest
from podium.streams.memory import MemoryBroker, MemoryStream

INFER = f"/{inference.SERVICE}/ModelInfer"
LIMITS = Limits(body_bytes=100_000, body_seconds=0.2, in_flight=64)
Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    broker = MemoryBroker()
    with Board(tmp_path / "test.board") as board:
        async with MemoryStream(broker) as stream:
            yield World(broker, stream, board)


class Door:
    """A gateway's gRPC side, and one client's connection to it."""

    def __init__(self, predictor: Predictor, address: str, channel: Any) -> None:
        self.predictor = predictor
        self.address = address
        self.channel = channel

    def infer(self, message: Any, *, metadata: Metadata = (), timeout: float = PATIENCE) -> Any:
        """A call; awaiting it gives the response."""
        method = self.channel.unary_unary(
            INFER, ModelInferRequest.SerializeToString, ModelInferResponse.FromString
        )
        return method(message, metadata=metadata, timeout=timeout)

    async def refused(self, message: Any, **options: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await self.infer(message, **options)
        return found.value


@asynccontextmanager
async def door(world: World, *, keys: Sequence[Key] = (), **settings: Any) -> AsyncIterator[Door]:
    """No contender works here unless the test has started one."""
    told = run(**settings)
    callers = Callers(world.board, required=bool(keys))
    for key in keys:
        callers.follow(key)
    async with AsyncExitStack() as stack:
        predictor = await stack.enter_async_context(
            Predictor(told, world.stream, world.board, LargeInputs(told.large, world.store))
        )
        probes = Probes(told.policy, world.stream, contenders=told.policy.scoring)
        await stack.enter_async_context(probes)
        methods = GrpcGateway(told, predictor, probes, Room(1), callers=callers).methods()
        server = await stack.enter_async_context(GrpcServer(methods, "127.0.0.1:0", LIMITS))
        address = f"127.0.0.1:{server.port}"
        # A connection of its own: others of this process would share one.
        channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        yield Door(predictor, address, await stack.enter_async_context(channel))


def asking(*values: float, version: str = "", **fields: Any) -> Any:
    message = ModelInferRequest(model_name="diabetes", model_version=version, **fields)
    message.inputs.add(name="x", datatype="FP64", shape=[len(values)])
    message.raw_input_contents.append(struct.pack(f"<{len(values)}d", *values))
    return message


def said(reply: Any) -> list[float]:
    return list(np.frombuffer(reply.raw_output_contents[0], "<f8"))


# --- scoring ----------------------------------------------------------------------------------


async def test_an_answer_comes_back_with_its_metadata(world: World) -> None:
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, times(3)), door(world) as gateway:
        call = gateway.infer(asking(5.0, 6.0), metadata=(("podium-id", "mine"), ("traceparent", "00-ab")))
        reply = await call
        trailing = dict(await call.trailing_metadata())
    assert said(reply) == [10.0, 12.0]
    assert (reply.id, reply.model_version) == ("mine", "linear@9f2c1ab04d5e")
    assert trailing == {
        "podium-id": "mine",
        "podium-rule": "champion",
        "podium-model": "linear@9f2c1ab04d5e",
        "traceparent": "00-ab",
    }


@pytest.mark.parametrize("version", ["forest", "forest@0a1b2c3d4e5f"])
async def test_a_version_or_the_header_forces_that_contender(world: World, version: str) -> None:
    async with world.worker(LINEAR, times(2)), world.worker(FOREST, times(3)), door(world) as gateway:
        by_version = await gateway.infer(asking(5.0, version=version))
        by_header = await gateway.infer(asking(5.0), metadata=(("podium-force", version),))
    for reply in (by_version, by_header):
        assert said(reply) == [15.0]
        assert reply.parameters["rule"].string_param == "forced"


async def test_the_messages_own_id_is_kept(world: World) -> None:
    async with world.worker(LINEAR, times(2)), door(world) as gateway:
        assert (await gateway.infer(asking(5.0, id="from the message"))).id == "from the message"


@pytest.mark.parametrize("hurry", [{"timeout": 0.2}, {"metadata": (("podium-deadline", "200ms"),)}])
async def test_a_clients_deadline_shortens_the_endpoints(world: World, hurry: dict[str, Any]) -> None:
    async with door(world, deadline_ms=LONG) as gateway:
        reply = await gateway.infer(asking(5.0), **hurry)
    assert reply.parameters["rule"].string_param == "default"
    assert reply.parameters["ms"].double_param < 1000


async def test_a_clients_deadline_never_lengthens_the_endpoints(world: World) -> None:
    async with door(world, deadline_ms=50.0) as gateway:
        reply = await gateway.infer(asking(5.0), metadata=(("podium-deadline", "60s"),), timeout=60)
    assert reply.parameters["rule"].string_param == "default"


async def test_many_calls_on_one_connection_are_answered_each_its_own(world: World) -> None:
    async with world.worker(LINEAR, times(2)), door(world, in_flight=500) as gateway:
        numbers = range(100, 300)
        replies = await asyncio.gather(*(gateway.infer(asking(float(n), id=str(n))) for n in numbers))
    assert [(reply.id, said(reply)) for reply in replies] == [(str(n), [2.0 * n]) for n in numbers]


@pytest.mark.parametrize("name", ["authorization", "x-api-key"])
async def test_a_call_with_a_key_is_its_callers_and_one_without_is_refused(world: World, name: str) -> None:
    token = new_token()
    metadata = ((name, f"Bearer {token}" if name == "authorization" else token),)
    key = Key(digest=key_digest(token), name="powerbi", created=1)
    async with world.worker(LINEAR, times(2)), door(world, keys=[key]) as gateway:
        assert said(await gateway.infer(asking(5.0), metadata=metadata)) == [10.0]
        refused = await gateway.refused(asking(5.0))
        assert await checking(gateway)  # health is everybody's
    assert refused.code() is StatusCode.UNAUTHENTICATED
    assert dict(refused.trailing_metadata() or ())["podium-problem"] == "unknown-caller"
    assert "Authorization: Bearer podium_…" in (refused.details() or "")
    (frame,) = world.kept(InputFrame)
    assert frame.callers == ["powerbi"]
    assert world.counted("refused", reason="UnknownCaller") == 1


async def test_a_key_is_asked_for_with_each_message_of_a_stream(world: World) -> None:
    token = new_token()
    key = Key(digest=key_digest(token), name="a", created=1, rate=Rate(requests=1, seconds=3600))
    async with world.worker(LINEAR, times(2)), door(world, keys=[key]) as gateway:
        method = gateway.channel.stream_stream(
            f"/{inference.SERVICE}/ModelStreamInfer",
            ModelInferRequest.SerializeToString,
            ModelStreamInferResponse.FromString,
        )
        messages = iter([asking(5.0), asking(6.0)])
        call = method(messages, metadata=(("x-api-key", token),), timeout=PATIENCE)
        first, second = [reply async for reply in call]
    assert said(first.infer_response) == [10.0]
    assert "a's key lets in 1/h" in second.error_message


async def test_a_cancelled_call_leaves_nothing_behind(world: World) -> None:
    hand = await world.hand()
    async with door(world) as gateway:
        call = gateway.infer(asking(5.0))
        await hand.frames.first(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: gateway.predictor._in_flight == 0)
        await hand.say(LINEAR, [10.0])  # nobody waits for it any more
        await until(lambda: world.counted("answered") == 1)
        assert await checking(gateway) == HealthCheckResponse(status="NOT_SERVING")


async def test_calls_that_ended_do_not_count_as_under_way_before_garbage_is_collected(world: World) -> None:
    in_time = (("podium-deadline", "1ms"),)
    gc.disable()
    try:
        async with door(world) as gateway:
            for _ in range(6):
                calls = [gateway.infer(asking(5.0)) for _ in range(50)]
                await until(lambda: gateway.predictor._in_flight == 50)
                for call in calls:
                    call.cancel()
                await until(lambda: gateway.predictor._in_flight == 0)
            reply = await gateway.infer(asking(5.0), metadata=in_time)
    finally:
        gc.enable()
    assert reply.parameters["rule"].string_param == "default"


async def test_a_stream_answers_each_request_and_survives_a_wrong_one(world: World) -> None:
    async with world.worker(LINEAR, times(2)), door(world) as gateway:
        method = gateway.channel.stream_stream(
            f"/{inference.SERVICE}/ModelStreamInfer",
            ModelInferRequest.SerializeToString,
            ModelStreamInferResponse.FromString,
        )
        asked = [asking(1.0), ModelInferRequest(model_name="nobody"), asking(2.0)]
        replies = [reply async for reply in method(iter(asked), timeout=PATIENCE)]
    assert [said(reply.infer_response) for reply in (replies[0], replies[2])] == [[2.0], [4.0]]
    assert "no such endpoint: 'nobody'" in replies[1].error_message


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (asking(float("nan")), StatusCode.INVALID_ARGUMENT, "at $.inputs[0], expected a finite x: float"),
        (ModelInferRequest(model_name="diabetes"), StatusCode.INVALID_ARGUMENT, "no rows"),
        (ModelInferRequest(model_name="diabetis"), StatusCode.NOT_FOUND, "did you mean 'diabetes'?"),
        (asking(1.0, version="linaer"), StatusCode.NOT_FOUND, "there are linear@9f2c1ab04d5e, forest@"),
        (asking(1.0, id="ü"), StatusCode.INVALID_ARGUMENT, "printable characters"),
    ],
)
async def test_what_is_wrong_is_said(world: World, message: Any, code: StatusCode, words: str) -> None:
    problem = "not-found" if code is StatusCode.NOT_FOUND else "invalid-input"
    async with door(world) as gateway:
        error = await gateway.refused(message)
        assert error.code() is code
        assert words in error.details()
        assert dict(error.trailing_metadata())["podium-problem"] == problem
    assert world.counted("received") == 0
    assert world.counted("refused") == (code is StatusCode.INVALID_ARGUMENT)


async def test_bytes_that_are_no_message_are_refused(world: World) -> None:
    async with door(world) as gateway:
        method = gateway.channel.unary_unary(INFER)
        with pytest.raises(grpc.aio.AioRpcError, match=r"is no inference\.ModelInferRequest") as found:
            await method(b"\xff\xff\xff", timeout=PATIENCE)
    assert found.value.code() is StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_message_over_the_limit_is_refused_also_when_it_is_compressed(
    world: World, compression: grpc.Compression
) -> None:
    async with door(world) as gateway:
        method = gateway.channel.unary_unary(INFER)
        with pytest.raises(grpc.aio.AioRpcError, match="larger than max") as found:
            await method(bytes(1_000_000), timeout=PATIENCE, compression=compression)
    assert found.value.code() is StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_that_never_comes_is_not_waited_for(world: World) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.sleep(PATIENCE)
        yield b""

    async with door(world) as gateway:
        method = gateway.channel.stream_unary(INFER)  # on the wire a call with one message, not sent yet
        with pytest.raises(grpc.aio.AioRpcError, match="did not arrive within") as found:
            await method(nothing(), timeout=PATIENCE)
    assert found.value.code() is StatusCode.DEADLINE_EXCEEDED


async def test_a_call_that_ends_without_a_message_is_refused(world: World) -> None:
    async with door(world) as gateway:
        method = gateway.channel.stream_unary(INFER)
        with pytest.raises(grpc.aio.AioRpcError, match="the call has no message") as found:
            await method(iter([]), timeout=PATIENCE)
    assert found.value.code() is StatusCode.INVALID_ARGUMENT


async def test_methods_that_are_not_there_say_so(world: World) -> None:
    async with door(world) as gateway:
        method = gateway.channel.unary_unary(f"/{inference.SERVICE}/ModelConfig")
        with pytest.raises(grpc.aio.AioRpcError, match=r"no method .*ModelConfig") as found:
            await method(b"", timeout=PATIENCE)
    assert found.value.code() is StatusCode.UNIMPLEMENTED


async def test_too_many_requests_are_refused_at_once(world: World) -> None:
    async with door(world, in_flight=1) as gateway:
        first = asyncio.ensure_future(gateway.infer(asking(1.0)))
        await until(lambda: gateway.predictor._in_flight == 1)
        error = await gateway.refused(asking(2.0))
        first.cancel()
    assert (error.code(), dict(error.trailing_metadata())["podium-problem"]) == (
        StatusCode.RESOURCE_EXHAUSTED,
        "too-many-requests",
    )


async def test_nobody_in_time_without_a_default_is_a_deadline_exceeded(world: World) -> None:
    async with door(world, deadline_ms=30.0, default=None) as gateway:
        error = await gateway.refused(asking(1.0))
    assert error.code() is StatusCode.DEADLINE_EXCEEDED
    assert "no default answer" in error.details()


async def test_a_failure_nobody_foresaw_leaks_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Predictor, "answer", broken)
    async with door(world) as gateway:
        error = await gateway.refused(asking(1.0))
    assert error.code() is StatusCode.INTERNAL
    assert "secret" not in error.details()
    assert "secret" in caplog.text


# --- start, stop, health ------------------------------------------------------------------------


async def test_a_gateway_that_stops_answers_what_is_in_flight_and_refuses_the_rest(world: World) -> None:
    hand = await world.hand()
    async with door(world) as gateway:
        asked = asyncio.ensure_future(gateway.infer(asking(5.0)))
        await hand.frames.first(1)
        draining = asyncio.create_task(gateway.predictor.drain(PATIENCE))
        await until(lambda: gateway.predictor.stopping)
        error = await gateway.refused(asking(6.0))
        await hand.say(LINEAR, [10.0])
        await draining
        assert said(await asked) == [10.0]
    assert error.code() is StatusCode.UNAVAILABLE


async def test_streams_that_stay_open_do_not_keep_a_gateway_from_stopping(world: World) -> None:
    async with asyncio.timeout(PATIENCE):
        async with door(world) as gateway:
            watch = watching(gateway)
            await anext(aiter(watch))
        await until(watch.done)


async def test_several_gateways_share_a_port(world: World) -> None:
    async with door(world) as first, GrpcServer({}, first.address, LIMITS) as second:
        assert first.address.endswith(f":{second.port}")


async def test_an_address_that_is_not_here_is_refused_in_one_line() -> None:
    with pytest.raises(NodeError, match=r"192\.0\.2\.1:9999"):
        async with GrpcServer({}, "192.0.2.1:9999", LIMITS):
            pass


def watching(gateway: Door) -> Any:
    method = gateway.channel.unary_stream(
        f"/{inference.HEALTH}/Watch", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )
    return method(HealthCheckRequest(), timeout=PATIENCE)


def checking(gateway: Door, service: str = "") -> Any:
    method = gateway.channel.unary_unary(
        f"/{inference.HEALTH}/Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )
    return method(HealthCheckRequest(service=service), timeout=PATIENCE)


async def test_health_serves_once_the_champion_has_answered(world: World) -> None:
    serving = HealthCheckResponse(status="SERVING")
    async with door(world) as gateway:
        states = aiter(watching(gateway))
        assert await anext(states) == await checking(gateway) == HealthCheckResponse(status="NOT_SERVING")
        assert not await is_ready(gateway)
        async with world.worker(LINEAR, times(2)):
            assert await anext(states) == await checking(gateway, inference.SERVICE) == serving
            assert await is_ready(gateway)
            assert await is_ready(gateway, LINEAR.name)
            assert not await is_ready(gateway, FOREST.name)
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await checking(gateway, "nobody")
    assert found.value.code() is StatusCode.NOT_FOUND


async def is_ready(gateway: Door, version: str = "") -> bool:
    method = gateway.channel.unary_unary(
        f"/{inference.SERVICE}/ModelReady", ModelReadyRequest.SerializeToString, ModelReadyResponse.FromString
    )
    request = ModelReadyRequest(name="diabetes", version=version)
    return bool((await method(request, timeout=PATIENCE)).ready)


async def test_tritons_asynchronous_client_works_as_it_is(world: World) -> None:
    wrong = InferInput("y", [1], "FP64").set_data_from_numpy(np.ones(1))
    given = InferInput("x", [2, 1], "FP32").set_data_from_numpy(np.array([[1.5], [2.5]], "f4"))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.worker(LINEAR, times(2)))
        gateway = await stack.enter_async_context(door(world))
        client = await stack.enter_async_context(InferenceServerClient(gateway.address))
        assert await client.is_server_live()
        metadata = await client.get_model_metadata("diabetes")
        assert list(metadata.versions) == ["linear@9f2c1ab04d5e", "forest@0a1b2c3d4e5f"]
        result = await client.infer("diabetes", [given], request_id="mine", client_timeout=PATIENCE)
        assert result.as_numpy("y").tolist() == [3.0, 5.0]
        with pytest.raises(InferenceServerException, match="'y' is not an input"):
            await client.infer("diabetes", [wrong])
