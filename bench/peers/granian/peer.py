"""The limits in Python: granian answering a constant, and granian with predict in the handler."""

from bench.payloads import plain
from bench.peers.base import FOLDER, Launch, Model, Peer, Site, python_server


def launch(site: Site, model: Model, setting: str) -> Launch:
    argv = (
        *(str(site.bin / "granian"), "--interface", "rsgi", "--workers", "1", "--no-ws"),
        *("--host", "127.0.0.1", "--port", str(site.port), "--log-level", "warning", "server:app"),
    )
    environment = python_server(site, model, setting, name="granian")
    return Launch(argv=argv, cwd=FOLDER / "granian", environment=environment)


PREDICT = Peer(
    name="granian",
    title="granian, predict in the handler",
    kind="limit",
    settings=("predict",),
    environment="granian",
    launch=launch,
    request=lambda model, setting, wire: plain("/", model, wire),
)
CONSTANT = Peer(
    name="constant",
    title="granian answering a constant",
    kind="limit",
    settings=("constant",),
    environment="granian",
    launch=launch,
    request=lambda model, setting, wire: plain("/", model, wire) if model == "linear" else None,
)
