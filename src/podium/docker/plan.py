"""What is to run in containers on one machine, and how everything there is called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from podium.images import names
from podium.images.build import Plan
from podium.images.wheels import Wheel
from podium.records import Contender
from podium.run import Run, WorkerSettings

GATEWAY = "gateway"
STREAM = "stream"
ARCHIVE_DIR = "/archive"
"""Where the tables are in a container, unless they have a URL."""

IMAGES = "images"
"""The folder beside the compose file that builders are given; no secret is ever in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One image: what is to be in it, what it stands on, its wheels for every platform."""

    plan: Plan
    base: str
    wheels: Sequence[Wheel]


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerPlan:
    """An endpoint in containers. `run` is what its processes are told, `release` Podium's own version.

    `workers` are the contenders' images by model. `images` is the registry and folder that names them, or
    empty. `stream_image` is NATS's, or empty where the stream is elsewhere, and `stream_keys` says that its
    keys are variables (Azure's). `sync_always` is as in the project file. Models in `outbound` call servers
    elsewhere.
    """

    run: Run
    release: str
    gateway: Image
    workers: Mapping[str, Image]
    stream_image: str
    stream_keys: bool = False
    sync_always: bool = False
    images: str = ""
    outbound: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return plain(self.run.endpoint)

    @property
    def own_stream(self) -> bool:
        return bool(self.stream_image)

    @property
    def own_archive(self) -> bool:
        return self.run.archive == ARCHIVE_DIR

    @property
    def folder(self) -> str:
        return self.images or self.name

    @property
    def gateway_image(self) -> str:
        return names.gateway(self.folder, self.release)

    def image_of(self, contender: Contender) -> str:
        return names.worker(self.folder, contender)

    def worker_of(self, contender: Contender) -> WorkerSettings:
        return self.run.workers.get(contender.model, WorkerSettings())


def worker(model: str) -> str:
    """A model's service, build stage and folder."""
    return plain(f"worker-{model}")


def plain(name: str) -> str:
    """In small letters, as services and stages are called; names that differ by case alone stay different."""
    small = name.lower()
    return small if small == name else f"{small}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
