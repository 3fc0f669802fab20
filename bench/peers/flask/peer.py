"""Flask and gunicorn with its defaults: one synchronous worker, the model loaded at each request."""

from bench.payloads import plain
from bench.peers.base import FOLDER, Launch, Model, Peer, Site, python_server


def launch(site: Site, model: Model, setting: str) -> Launch:
    gunicorn = str(site.bin / "gunicorn")
    argv = (gunicorn, "--bind", f"127.0.0.1:{site.port}", "--workers", "1", "server:app")
    environment = python_server(site, model, setting, name="flask")
    return Launch(argv=argv, cwd=FOLDER / "flask", environment=environment)


PEER = Peer(
    name="flask",
    title="Flask + gunicorn, pickle loaded at each request",
    environment="flask",
    launch=launch,
    request=lambda model, setting, wire: plain("/score", model, wire),
)
