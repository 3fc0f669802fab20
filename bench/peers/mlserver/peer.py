"""MLServer and its scikit-learn runtime: in process, with one worker (its default), and batching."""

import json
from collections.abc import Mapping

from bench.payloads import open_inference
from bench.peers.base import Launch, Model, Peer, Request, Site, Wire
from bench.ports import free_port

# A request of 1,000 rows counts as 1,000 here: the batch has to have room for some of them.
BATCH: Mapping[Model, int] = {"linear": 32, "forest": 32, "rows": 32_000}


def launch(site: Site, model: Model, setting: str) -> Launch:
    folder = site.scratch
    server = {
        "host": "127.0.0.1",
        "http_port": site.port,
        "grpc_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 1 if setting == "worker" else 0,
        "debug": False,
    }
    described: dict[str, object] = {
        "name": "bench",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(site.models / f"{model}.pkl")},
    }
    if setting == "batching":
        described |= {"max_batch_size": BATCH[model], "max_batch_time": 0.005}
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(described))
    return Launch(argv=(str(site.bin / "mlserver"), "start", "."), cwd=folder)


def request(model: Model, setting: str, wire: Wire) -> Request | None:
    # Its REST server has no binary tensor extension; its default setting is the slowest, and shown once.
    if wire == "binary" or (setting == "worker" and model != "linear"):
        return None
    return open_inference("/v2/models/bench/infer", model, wire)


PEER = Peer(
    name="mlserver",
    title="MLServer",
    settings=("in process", "worker", "batching"),
    environment="mlserver",
    launch=launch,
    request=request,
)
