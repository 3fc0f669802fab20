"""BentoML's server, plain and with its adaptive batching."""

from bench.payloads import plain
from bench.peers.base import FOLDER, Launch, Model, Peer, Site, python_server


def launch(site: Site, model: Model, setting: str) -> Launch:
    bentoml = str(site.bin / "bentoml")
    argv = (bentoml, "serve", "server:Score", "--host", "127.0.0.1", "--port", str(site.port))
    environment = {
        **python_server(site, model, setting, name="bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(site.scratch),
    }
    return Launch(argv=argv, cwd=FOLDER / "bentoml", environment=environment)


PEER = Peer(
    name="bentoml",
    title="BentoML",
    settings=("plain", "batching"),
    environment="bentoml",
    launch=launch,
    request=lambda model, setting, wire: plain("/score", model, wire),
)
