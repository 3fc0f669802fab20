"""Ray Serve on a cluster of this one machine, plain and batching."""

import shutil
import tempfile
from pathlib import Path

from bench.payloads import plain
from bench.peers.base import FOLDER, Launch, Model, Peer, Site, python_server

# Its sockets lie deep in here, and a socket's path has to be short.
SESSIONS = Path(tempfile.gettempdir(), "bench-ray")


def launch(site: Site, model: Model, setting: str) -> Launch:
    shutil.rmtree(SESSIONS, ignore_errors=True)
    SESSIONS.mkdir()
    environment = {
        **python_server(site, model, setting, name="ray"),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(SESSIONS),
    }
    argv = (str(site.bin / "python"), "server.py")
    return Launch(argv=argv, cwd=FOLDER / "ray", environment=environment)


PEER = Peer(
    name="ray",
    title="Ray Serve",
    settings=("plain", "batching"),
    environment="ray",
    launch=launch,
    request=lambda model, setting, wire: plain("/", model, wire),
)
