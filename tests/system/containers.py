"""A container engine for tests, what runs in it, and what runs beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.registries import RunningRegistry, needed
from tests.system.running import PODIUM

from podium import project as projects
from podium.environment import text_of
from podium.node.broker import Broker
from podium.node.contenders import candidate, contract_of, policy_of
from podium.node.plan import run_of
from podium.oci.reference import LayoutReference
from podium.registry.folder import FolderRegistry

PATIENCE = 60.0
CONF = Path(__file__).parents[1] / "containers.conf"


@dataclass(kw_only=True)
class Podman:
    """A container engine with a store of its own."""

    folder: Path
    running: list[str] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        """Nothing of it is shared with another engine of this machine."""
        folders = {"root": "root", "runroot": "runroot", "network-config-dir": "networks"}
        return ["podman", *(f"--{option}={self.folder / name}" for option, name in folders.items())]

    def __call__(self, *words: str, seconds: float = 60.0) -> str:
        done = subprocess.run(
            [*self.command, *words],
            env={**os.environ, "CONTAINERS_CONF": str(CONF)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pull(self, reference: str, registry: RunningRegistry) -> None:
        certificates = self.folder / "certificates"
        certificates.mkdir(exist_ok=True)
        assert registry.ca is not None
        (certificates / "ca.crt").write_bytes(registry.ca.read_bytes())
        auth = registry.environment["DOCKER_CONFIG"] + "/config.json"
        self("pull", "--quiet", "--cert-dir", str(certificates), "--authfile", auth, reference)

    def take(self, layout: LayoutReference, name: str) -> None:
        """Give an image out of a layout a name here."""
        self("tag", self("pull", "--quiet", f"oci:{layout.folder}:{layout.tag}"), name)

    def make(self, name: str, dockerfile: str, files: Mapping[str, Path]) -> None:
        """Build what a user's own Dockerfile says, with these files beside it. No step reaches a network."""
        context = self.folder / "contexts" / name.replace("/", "-").replace(":", "-")
        context.mkdir(parents=True)
        (context / "Dockerfile").write_text(dockerfile)
        for target, source in files.items():
            (shutil.copytree if source.is_dir() else shutil.copy)(source, context / target)
        self("build", "--quiet", "--network", "none", "--tag", name, str(context))

    def run(self, image: str, *command: str, env: dict[str, str], volumes: tuple[str, ...] = ()) -> str:
        """Start a container as a cluster would: a root that cannot be written, nothing it may do besides."""
        options = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        options += [word for volume in volumes for word in ("--volume", volume)]
        limits = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
        name = self("run", "--detach", "--network", "host", *limits, *options, image, *command)
        self.running.append(name)
        return name

    def end(self) -> None:
        for name in self.running:
            with suppress(AssertionError):
                self("rm", "--force", "--time", "5", name)


@contextmanager
def engine() -> Iterator[Podman]:
    """A container engine; at the end its containers and images are gone."""
    needed("podman", "runc")
    folder = Path(tempfile.mkdtemp(prefix="podman-"))  # it refuses long names
    found = Podman(folder=folder)
    try:
        yield found
    finally:
        found.end()
        shutil.rmtree(folder, ignore_errors=True)


def build(folder: Path, *words: str, env: Mapping[str, str]) -> str:
    """`podium build`, which may have wheels to download."""
    done = subprocess.run(
        [*PODIUM, "build", *words],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    chosen = Broker.choose(run_dir=folder / "run", store=folder / "stream")
    with subprocess.Popen(chosen.spec().argv, stderr=subprocess.DEVNULL) as process:
        try:
            yield chosen
        finally:
            process.terminate()
            process.wait(timeout=20)


def settings_of(folder: Path, broker: Broker, *names: str) -> Path:
    """What gateway and archiver are told: the project's own, with these contenders."""
    project = projects.load(folder)
    registry = FolderRegistry(project.registry_dir)
    models = [project.models[name] for name in names]
    contenders = [candidate(registry, model.name, None, model.role, model.share) for model in models]
    policy = policy_of(project, [each.contender for each in contenders])
    run = run_of(project, policy, contract_of(project, contenders), broker.url)
    path = folder / "settings.json"
    path.write_text(text_of(run))
    path.chmod(0o644)
    return path


def answered(url: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(_request(url, body, headers), timeout=5) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError as error:
        return 0, str(error)


def _request(url: str, body: bytes | None, headers: Mapping[str, str]) -> urllib.request.Request:
    """Names of headers are given with underscores."""
    return urllib.request.Request(url, body, {name.replace("_", "-"): word for name, word in headers.items()})


def until(url: str, status: int, podman: Podman) -> None:
    give_up = time.monotonic() + PATIENCE
    while (found := answered(url))[0] != status:
        if time.monotonic() > give_up:
            logs = "\n".join(podman("logs", name) for name in podman.running)
            raise AssertionError(f"{url}: {found}, expected {status}; {logs}")
        time.sleep(0.1)
