"""gRPC to requests and answers to gRPC: translation only, the path is `podium.gateway.predict`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeAlias
from typing import Protocol as Typed

import grpc
from google.protobuf.message import DecodeError

from podium.errors import BadInput, NotFound, NotReady, PodiumError
from podium.gateway.grpc_statuses import PROBLEM, code_of, details_of, problem_of
from podium.gateway.limits import REFUSALS, caller_id, deadline_ms
from podium.gateway.predict import Predictor
from podium.gateway.probes import Probes, check_ready
from podium.gateway.problems import INTERNAL, INTERNAL_DETAIL
from podium.protocol import inference, oip, oip_grpc
from podium.records import Answer
from podium.run import Run
from podium.schema import did_you_mean
from podium.validation import Validator

log = logging.getLogger(__name__)

WAY_BACK_MS = 2.0
"""Taken off what a client's deadline leaves, so that the default answer still reaches it."""

WATCH_SECONDS = 0.25

Metadata: TypeAlias = tuple[tuple[str, str], ...]


class Call(Typed):
    """The parts of grpc.aio's context that are used; `time_remaining` is None without a deadline."""

    def invocation_metadata(self) -> Any: ...

    def time_remaining(self) -> float | None: ...

    def set_trailing_metadata(self, metadata: Metadata) -> None: ...

    async def abort(self, code: Any, details: str, trailing_metadata: Metadata) -> NoReturn: ...


Unary: TypeAlias = Callable[[Any, Call], Awaitable[Any]]
"""A message in, a message out; raises PodiumError."""


class GrpcGateway:
    """The gRPC methods of one endpoint."""

    def __init__(self, run: Run, predictor: Predictor, probes: Probes) -> None:
        self._endpoint = run.endpoint
        self._predictor = predictor
        self._probes = probes
        self._validator = Validator(run.inputs)
        self._contract = oip.Contract(run.endpoint, run.inputs, run.outputs)

    def handlers(self) -> list[Any]:
        """What a grpc.aio server is given."""
        inferring = {
            "ServerLive": self._unary(self._server_live, inference.ServerLiveRequest),
            "ServerReady": self._unary(self._server_ready, inference.ServerReadyRequest),
            "ModelReady": self._unary(self._model_ready, inference.ModelReadyRequest),
            "ServerMetadata": self._unary(self._server_metadata, inference.ServerMetadataRequest),
            "ModelMetadata": self._unary(self._model_metadata, inference.ModelMetadataRequest),
            "ModelInfer": self._unary(self._model_infer, inference.ModelInferRequest),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream_infer),
            "RepositoryIndex": self._unary(self._repository_index, inference.RepositoryIndexRequest),
        }
        health = {
            "Check": self._unary(self._health, inference.HealthCheckRequest),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch_health),
        }
        return [
            grpc.method_handlers_generic_handler(inference.SERVICE, inferring),
            grpc.method_handlers_generic_handler(inference.HEALTH, health),
        ]

    def _unary(self, method: Unary, kind: Any) -> Any:
        """Bytes, and not messages, from and to grpc: what cannot be parsed gets our words, not its."""

        async def handle(body: bytes, call: Call) -> bytes:
            try:
                reply = await method(_parsed(kind, body), call)
            except PodiumError as error:
                self._count(error)
                await call.abort(code_of(error), details_of(error), ((PROBLEM, problem_of(error)),))
            except Exception:
                log.exception("%s", kind.DESCRIPTOR.full_name)
                await call.abort(grpc.StatusCode.INTERNAL, INTERNAL_DETAIL, ((PROBLEM, INTERNAL.slug),))
            serialized: bytes = reply.SerializeToString()
            return serialized

        return grpc.unary_unary_rpc_method_handler(handle)

    def _count(self, error: PodiumError) -> None:
        if isinstance(error, REFUSALS):
            self._predictor.tally.refused(type(error).__name__)

    # --- scoring ----------------------------------------------------------------------------

    async def _model_infer(self, message: Any, call: Call) -> Any:
        reply, answer, metadata = await self._infer(message, call, time.monotonic())
        call.set_trailing_metadata(_answer_metadata(answer, metadata))
        return reply

    async def _stream_infer(self, bodies: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        """Triton's streams: each request is answered in its turn; one that is refused ends nothing."""
        async for body in bodies:
            began = time.monotonic()
            try:
                reply, _, _ = await self._infer(_parsed(inference.ModelInferRequest, body), call, began)
                streamed = inference.ModelStreamInferResponse(infer_response=reply)
            except PodiumError as error:
                self._count(error)
                streamed = inference.ModelStreamInferResponse(error_message=details_of(error))
            yield streamed.SerializeToString()

    async def _infer(self, message: Any, call: Call, began: float) -> tuple[Any, Answer, Mapping[str, str]]:
        """A version in the message forces that contender."""
        metadata: dict[str, str] = dict(call.invocation_metadata())
        self._check_name(message.model_name)
        request = oip_grpc.read(message, self._contract, self._validator)
        answer = await self._predictor.answer(
            request.rows,
            began,
            id=caller_id(metadata.get("podium-id")) or caller_id(request.id or None),
            deadline=self._deadline(metadata.get("podium-deadline"), call.time_remaining()),
            force=message.model_version or metadata.get("podium-force"),
            key=metadata.get("podium-key"),
            trace=metadata.get("traceparent"),
        )
        return oip_grpc.write(request, answer, self._endpoint), answer, metadata

    def _deadline(self, wish: str | None, remaining: float | None) -> float | None:
        """In ms; None where neither shortens the endpoint's, since requests with none share a mailbox."""
        own = deadline_ms(wish)
        if remaining is not None:
            left = max(0.0, remaining * 1000 - WAY_BACK_MS)
            own = left if own is None else min(own, left)
        return None if own is None or own >= self._predictor.policy.deadline_ms else own

    def _check_name(self, name: str) -> None:
        if name != self._endpoint:
            near = did_you_mean(name, [self._endpoint])
            raise NotFound(f"no such endpoint: {name!r}{near}; the endpoint here is {self._endpoint!r}")

    # --- everything else --------------------------------------------------------------------

    async def _server_live(self, _message: Any, _call: Call) -> Any:
        return inference.ServerLiveResponse(live=True)

    async def _server_ready(self, _message: Any, _call: Call) -> Any:
        return inference.ServerReadyResponse(ready=self._is_ready())

    async def _model_ready(self, message: Any, _call: Call) -> Any:
        self._check_model(message)
        return inference.ModelReadyResponse(ready=self._is_ready())

    async def _server_metadata(self, _message: Any, _call: Call) -> Any:
        return oip_grpc.server_metadata(oip.described_server())

    async def _model_metadata(self, message: Any, _call: Call) -> Any:
        self._check_model(message)
        return oip_grpc.model_metadata(self._contract.described(self._versions()))

    async def _repository_index(self, _message: Any, _call: Call) -> Any:
        return oip_grpc.repository_index(self._contract.index(self._versions()))

    async def _health(self, message: Any, _call: Call) -> Any:
        if message.service not in HEALTHY:
            raise NotFound(f"no service {message.service!r}; there is {inference.SERVICE}")
        return inference.HealthCheckResponse(status=self._health_now())

    async def _watch_health(self, body: bytes, _call: Call) -> AsyncIterator[bytes]:
        """The state now, and again whenever it is another one."""
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

    def _is_ready(self) -> bool:
        try:
            check_ready(self._predictor, self._probes)
        except NotReady:
            return False
        return True

    def _check_model(self, message: Any) -> None:
        """Raises NotFound unless the endpoint and, if one is named, the contender are there."""
        self._check_name(message.name)
        if message.version:
            self._predictor.policy.named(message.version)

    def _versions(self) -> list[str]:
        return [contender.name for contender in self._predictor.policy.scoring]


HEALTHY = ("", inference.SERVICE)
"""The services that a health check may name."""


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError:
        raise BadInput(f"the message is no {kind.DESCRIPTOR.full_name}", expected="a protobuf") from None


def _answer_metadata(answer: Answer, asked: Mapping[str, str]) -> Metadata:
    metadata = [("podium-id", answer.id), ("podium-rule", answer.rule)]
    if version := oip.version_of(answer):
        metadata.append(("podium-model", version))
    if trace := asked.get("traceparent"):
        metadata.append(("traceparent", trace))
    return tuple(metadata)
