"""gRPC to requests and answers to gRPC: translation only, the path is `podium.gateway.predict`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection, reflection_pb2

from podium.errors import BadInput, NotFound, NotReady, PodiumError
from podium.gateway.callers import Callers
from podium.gateway.grpc_call import Call, Metadata, Method, Streaming, Unary
from podium.gateway.grpc_statuses import details_of
from podium.gateway.large import Room
from podium.gateway.limits import REFUSALS, caller_id, deadline_ms
from podium.gateway.predict import Predictor
from podium.gateway.probes import Probes
from podium.gateway.readiness import check_answers, check_ready
from podium.protocol import inference, oip, oip_grpc
from podium.records import Answer
from podium.run import Run
from podium.schema import did_you_mean
from podium.validation import Validator

WAY_BACK_MS = 2.0
"""Taken off what a client's deadline leaves, so that the default answer still reaches it."""

WATCH_SECONDS = 0.25
HEALTHY = ("", inference.SERVICE)
"""The services that a health check may name."""

REFLECTION = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
"""Two names of one protocol: some clients ask for the newer one only."""


class GrpcGateway:
    """The gRPC methods of one endpoint."""

    def __init__(
        self, run: Run, predictor: Predictor, probes: Probes, room: Room, *, callers: Callers
    ) -> None:
        self._endpoint = run.endpoint
        self._room = room
        self._callers = callers
        self._predictor = predictor
        self._probes = probes
        self._validator = Validator(run.asked)
        self._contract = oip.Contract(run.endpoint, run.asked, run.outputs)

    def methods(self) -> dict[str, Method]:
        """All of them, by the path that clients call."""
        inferring: dict[str, Method] = {
            "ModelInfer": Unary(self._model_infer),
            "ModelStreamInfer": Streaming(self._stream_infer),
            "ServerLive": _unary(self._server_live, inference.ServerLiveRequest),
            "ServerReady": _unary(self._server_ready, inference.ServerReadyRequest),
            "ModelReady": _unary(self._model_ready, inference.ModelReadyRequest),
            "ServerMetadata": _unary(self._server_metadata, inference.ServerMetadataRequest),
            "ModelMetadata": _unary(self._model_metadata, inference.ModelMetadataRequest),
            "RepositoryIndex": _unary(self._repository_index, inference.RepositoryIndexRequest),
        }
        health: dict[str, Method] = {
            "Check": _unary(self._health, inference.HealthCheckRequest),
            "Watch": Streaming(self._watch_health),
        }
        return {
            **{f"/{inference.SERVICE}/{name}": method for name, method in inferring.items()},
            **{f"/{inference.HEALTH}/{name}": method for name, method in health.items()},
            **{f"/{service}/ServerReflectionInfo": Streaming(_Reflection().answer) for service in REFLECTION},
        }

    # --- scoring ----------------------------------------------------------------------------

    async def _model_infer(self, body: bytes, call: Call) -> bytes:
        message, answer = await self._infer(body, call)
        call.trailing = _answer_metadata(answer, call)
        serialized: bytes = message.SerializeToString()
        return serialized

    async def _stream_infer(self, bodies: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        """Triton's streams: each request is answered in its turn, and one that is refused ends nothing."""
        async for body in bodies:
            try:
                message, _ = await self._infer(body, call)
                streamed = inference.ModelStreamInferResponse(infer_response=message)
            except PodiumError as error:
                streamed = inference.ModelStreamInferResponse(error_message=details_of(error))
            yield streamed.SerializeToString()

    async def _infer(self, body: bytes, call: Call) -> tuple[Any, Answer]:
        began = time.monotonic()
        try:
            caller = self._callers.let_in(call.metadata)
            with self._room.hold(len(body)):
                return await self._score(_parsed(inference.ModelInferRequest, body), call, began, caller)
        except REFUSALS as error:
            self._predictor.tally.refused(type(error).__name__)
            raise

    async def _score(self, message: Any, call: Call, began: float, caller: str | None) -> tuple[Any, Answer]:
        """A version in the message forces that contender."""
        self._check_name(message.model_name)
        request = oip_grpc.read(message, self._contract, self._validator)
        asked = call.metadata
        answer = await self._predictor.answer(
            request.rows,
            began,
            id=caller_id(asked.get("podium-id")) or caller_id(request.id or None),
            deadline=self._deadline(asked.get("podium-deadline"), call.time_remaining()),
            force=message.model_version or asked.get("podium-force"),
            key=asked.get("podium-key"),
            caller=caller,
            trace=asked.get("traceparent"),
        )
        return oip_grpc.write(request, answer, self._endpoint), answer

    def _deadline(self, wish: str | None, remaining: float) -> float | None:
        """In ms; None where neither shortens the endpoint's, since requests with none share a mailbox."""
        own = max(0.0, remaining * 1000 - WAY_BACK_MS)
        if wish is not None:
            own = min(own, deadline_ms(wish) or 0.0)
        return own if own < self._predictor.policy.deadline_ms else None

    def _check_name(self, name: str) -> None:
        if name != self._endpoint:
            near = did_you_mean(name, [self._endpoint])
            raise NotFound(f"no such endpoint: {name!r}{near}; the endpoint here is {self._endpoint!r}")

    # --- everything else --------------------------------------------------------------------

    def _server_live(self, _message: Any) -> Any:
        return inference.ServerLiveResponse(live=True)

    def _server_ready(self, _message: Any) -> Any:
        return inference.ServerReadyResponse(ready=self._is_ready())

    def _model_ready(self, message: Any) -> Any:
        self._check_model(message)
        return inference.ModelReadyResponse(ready=self._is_ready(message.version))

    def _server_metadata(self, _message: Any) -> Any:
        return oip_grpc.server_metadata(oip.described_server())

    def _model_metadata(self, message: Any) -> Any:
        self._check_model(message)
        return oip_grpc.model_metadata(self._contract.described(self._versions()))

    def _repository_index(self, _message: Any) -> Any:
        return oip_grpc.repository_index(self._contract.index(self._versions()))

    def _check_model(self, message: Any) -> None:
        """Raises NotFound unless the endpoint and, if one is named, the contender are there."""
        self._check_name(message.name)
        if message.version:
            self._predictor.policy.named(message.version)

    def _versions(self) -> list[str]:
        return [contender.name for contender in self._predictor.policy.scoring]

    # --- health -----------------------------------------------------------------------------

    def _health(self, message: Any) -> Any:
        if message.service not in HEALTHY:
            raise NotFound(f"no service {message.service!r}; there is {inference.SERVICE!r}")
        return inference.HealthCheckResponse(status=self._health_now())

    async def _watch_health(self, bodies: AsyncIterator[bytes], _call: Call) -> AsyncIterator[bytes]:
        """The state now, and again whenever it is another one."""
        body = await anext(bodies, b"")
        known = _parsed(inference.HealthCheckRequest, body).service in HEALTHY
        last = ""
        while True:
            now = self._health_now() if known else "SERVICE_UNKNOWN"
            if now != last:
                yield inference.HealthCheckResponse(status=now).SerializeToString()
            last = now
            await asyncio.sleep(WATCH_SECONDS)

    def _health_now(self) -> str:
        return "SERVING" if self._is_ready() else "NOT_SERVING"

    def _is_ready(self, version: str = "") -> bool:
        predictor, probes = self._predictor, self._probes
        try:
            if version:
                check_answers(predictor.policy.named(version), predictor, probes)
            else:
                check_ready(predictor, probes)
        except NotReady:
            return False
        return True


class _Reflection:
    """Tells clients such as grpcurl the methods and messages."""

    def __init__(self) -> None:
        pool = inference.pool()
        pool.AddSerializedFile(reflection_pb2.DESCRIPTOR.serialized_pb)
        names = (inference.SERVICE, inference.HEALTH, REFLECTION[0])
        self._servicer = reflection.aio.ReflectionServicer(names, pool=pool)

    async def answer(self, bodies: AsyncIterator[bytes], _call: Call) -> AsyncIterator[bytes]:
        asked = (_parsed(reflection_pb2.ServerReflectionRequest, body) async for body in bodies)
        async for reply in self._servicer.ServerReflectionInfo(asked, None):
            yield reply.SerializeToString()


def _unary(method: Callable[[Any], Any], kind: Any) -> Unary:
    """A method that needs nothing but its message."""

    async def answer(body: bytes, _call: Call) -> bytes:
        serialized: bytes = method(_parsed(kind, body)).SerializeToString()
        return serialized

    return Unary(answer)


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise BadInput(f"the message is no {name}", expected=f"a serialized {name}") from None


def _answer_metadata(answer: Answer, call: Call) -> Metadata:
    metadata = [("podium-id", answer.id), ("podium-rule", answer.rule)]
    if version := oip.version_of(answer):
        metadata.append(("podium-model", version))
    if trace := call.metadata.get("traceparent"):
        metadata.append(("traceparent", trace))
    return tuple(metadata)
