"""MLflow's scoring server, one worker."""

import os

from bench.payloads import plain
from bench.peers.base import Launch, Model, Peer, Site


def launch(site: Site, model: Model, setting: str) -> Launch:
    argv = (
        *(str(site.bin / "mlflow"), "models", "serve", "--env-manager", "local", "--workers", "1"),
        *("--model-uri", str(site.models / model), "--host", "127.0.0.1", "--port", str(site.port)),
    )
    # It starts `uvicorn` by name.
    environment = {"PATH": f"{site.bin}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return Launch(argv=argv, cwd=site.scratch, environment=environment)


PEER = Peer(
    name="mlflow",
    title="MLflow",
    environment="mlflow",
    launch=launch,
    request=lambda model, setting, wire: plain("/invocations", model, wire, field="inputs"),
)
