"""FastAPI and uvicorn: one process, access log off."""

from bench.payloads import plain
from bench.peers.base import FOLDER, Launch, Model, Peer, Site, python_server


def launch(site: Site, model: Model, setting: str) -> Launch:
    uvicorn = str(site.bin / "uvicorn")
    argv = (uvicorn, "--port", str(site.port), "--no-access-log", "--log-level", "warning", "server:app")
    environment = python_server(site, model, setting, name="fastapi")
    return Launch(argv=argv, cwd=FOLDER / "fastapi", environment=environment)


PEER = Peer(
    name="fastapi",
    title="FastAPI + uvicorn",
    environment="fastapi",
    launch=launch,
    request=lambda model, setting, wire: plain("/score", model, wire),
)
