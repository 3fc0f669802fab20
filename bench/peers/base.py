"""What a peer is: how its server starts, and what its request looks like."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Model = Literal["linear", "forest", "rows"]
Wire = Literal["json", "binary"]
Kind = Literal["podium", "peer", "limit"]

MODELS: tuple[Model, ...] = ("linear", "forest", "rows")
FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Request:
    """One scoring request, sent again and again."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a server is to run: its programs, its trained models, a scratch folder, a free port."""

    bin: Path
    models: Path
    scratch: Path
    port: int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A server's command line."""

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server to measure.

    `launch` may write configuration into the site's scratch folder. `request` answers None for what is not
    measured: a wire that the peer does not speak, a setting that is beside the point for a model.
    `environment` is the peer whose virtual environment this one uses; None where it needs none. `ready` waits
    for what may still be starting when the first answer comes; `counters` reads the server's own figures
    after the loads, where it keeps any.
    """

    name: str
    title: str
    kind: Kind = "peer"
    settings: tuple[str, ...] = ("plain",)
    environment: str | None
    launch: Callable[[Site, Model, str], Launch]
    request: Callable[[Model, str, Wire], Request | None]
    ready: Callable[[Site], None] | None = None
    counters: Callable[[Site], Mapping[str, object]] | None = None
    # A server that owns data is asked to stop; the others hold nothing and are killed, which is quicker.
    graceful: bool = False


def python_server(site: Site, model: Model, setting: str, *, name: str) -> Mapping[str, str]:
    """The environment by which every `server.py` learns what to serve and how."""
    return {
        "BENCH_MODEL": str(site.models / f"{model}.pkl"),
        "BENCH_PORT": str(site.port),
        "BENCH_SETTING": setting,
        "PYTHONPATH": str(FOLDER / name),
    }
