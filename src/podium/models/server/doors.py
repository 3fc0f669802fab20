"""The protocols that a server may speak, by name."""

from __future__ import annotations

from podium.errors import PackageError
from podium.models.server.base import Door
from podium.models.server.oip import OpenInference
from podium.models.server.predictions import MLflow, SageMaker, Vertex
from podium.models.server.rows import Rows
from podium.schema import Schema
from podium.servers import Server

DOORS: dict[str, type[Door]] = {
    "json": Rows,
    "oip": OpenInference,
    "sagemaker": SageMaker,
    "mlflow": MLflow,
    "vertex": Vertex,
}


def door_of(server: Server, inputs: Schema, outputs: Schema) -> Door:
    """Raises PackageError where the protocol is unknown, or its layout cannot hold these inputs."""
    if server.protocol not in DOORS:
        raise PackageError(f"its protocol is {server.protocol!r}; this Podium speaks {', '.join(DOORS)}")
    return DOORS[server.protocol](server, inputs, outputs)
