"""gRPC's own server, in the gateway's event loop beside HTTP's."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from podium.errors import NodeError
from podium.gateway.grpc import GrpcGateway
from podium.protocol import inference
from podium.run import Limits

STOP_SECONDS = 0.5
"""What is in flight has been answered by then; this is for streams that their clients keep open."""


class GrpcServer:
    """Listens on an address. `async with` starts it, and at the end lets nothing new in.

    Each gateway has a socket of its own on the same port, and the system shares connections out.
    """

    def __init__(self, gateway: GrpcGateway, address: str, limits: Limits) -> None:
        self._gateway = gateway
        self._address = address
        self._limits = limits

    async def __aenter__(self) -> GrpcServer:
        """Raises NodeError where nobody can listen there."""
        self._server = grpc.aio.server(options=_options(self._limits))
        self._server.add_generic_rpc_handlers(tuple(self._gateway.handlers()))
        _reflect(self._server)
        try:
            self.port: int = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise NodeError(f"cannot listen for gRPC on {self._address}: {error}") from None
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(STOP_SECONDS)


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.max_send_message_length", -1),
        # Requests that are under way on one connection; what is beyond waits at the client.
        ("grpc.max_concurrent_streams", limits.in_flight),
        ("grpc.server_handshake_timeout_ms", int(limits.header_seconds * 1000)),
    ]


def _reflect(server: Any) -> None:
    """Lets clients such as grpcurl ask for the methods and messages."""
    pool = inference.pool()
    pool.AddSerializedFile(reflection_pb2.DESCRIPTOR.serialized_pb)
    names = (inference.SERVICE, inference.HEALTH, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server, pool=pool)
