"""KServe's Python server, with its own v1 and with the Open Inference Protocol, v2."""

from bench.payloads import open_inference, plain
from bench.peers.base import FOLDER, Launch, Model, Peer, Request, Site, Wire, python_server


def launch(site: Site, model: Model, setting: str) -> Launch:
    argv = (str(site.bin / "python"), "server.py")
    environment = python_server(site, model, setting, name="kserve")
    return Launch(argv=argv, cwd=FOLDER / "kserve", environment=environment)


def request(model: Model, setting: str, wire: Wire) -> Request | None:
    if setting == "v1":
        return plain("/v1/models/bench:predict", model, wire, field="instances")
    # It is the slower one; only it has binary tensors.
    return open_inference("/v2/models/bench/infer", model, wire) if model == "rows" else None


PEER = Peer(
    name="kserve",
    title="KServe Python server",
    settings=("v1", "v2"),
    environment="kserve",
    launch=launch,
    request=request,
)
