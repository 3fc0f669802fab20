"""LitServe: one API server and one worker, plain and batching."""

from bench.payloads import plain
from bench.peers.base import FOLDER, Launch, Model, Peer, Site, python_server


def launch(site: Site, model: Model, setting: str) -> Launch:
    folder = FOLDER / "litserve"
    argv = (str(site.bin / "python"), "server.py")
    return Launch(argv=argv, cwd=folder, environment=python_server(site, model, setting, name="litserve"))


PEER = Peer(
    name="litserve",
    title="LitServe",
    settings=("plain", "batching"),
    environment="litserve",
    launch=launch,
    request=lambda model, setting, wire: plain("/predict", model, wire),
)
