"""From a model to an answer out of containers: built, pushed, pulled and run with no daemon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.bases import debian
from tests.registries import RunningRegistry, free_port, guarded_registry, needed
from tests.system.running import PODIUM

from podium import project as projects
from podium.node.broker import Broker
from podium.node.contenders import candidate, contract_of, policy_of
from podium.node.plan import run_of
from podium.oci.reference import LayoutReference
from podium.registry.folder import FolderRegistry

PATIENCE = 60.0
CONF = Path(__file__).parents[1] / "containers.conf"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> LayoutReference:
    return debian(tmp_path_factory.mktemp("base") / "debian")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with guarded_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@dataclass(kw_only=True)
class Podman:
    """A container engine with a store of its own."""

    folder: Path
    registry: RunningRegistry
    running: list[str] = field(default_factory=list)

    def __call__(self, *words: str, seconds: float = 60.0) -> str:
        store = ("--root", str(self.folder / "root"), "--runroot", str(self.folder / "runroot"))
        done = subprocess.run(
            ["podman", *store, *words],
            env={**os.environ, "CONTAINERS_CONF": str(CONF)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pull(self, reference: str) -> None:
        certificates = self.folder / "certificates"
        certificates.mkdir(exist_ok=True)
        assert self.registry.ca is not None
        (certificates / "ca.crt").write_bytes(self.registry.ca.read_bytes())
        auth = self.registry.environment["DOCKER_CONFIG"] + "/config.json"
        self("pull", "--quiet", "--cert-dir", str(certificates), "--authfile", auth, reference)

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


@pytest.fixture
def podman(registry: RunningRegistry) -> Iterator[Podman]:
    needed("podman", "runc")
    folder = Path(tempfile.mkdtemp(prefix="podman-"))  # it refuses long names
    engine = Podman(folder=folder, registry=registry)
    yield engine
    engine.end()
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


def settings_of(folder: Path, broker: Broker, only: str) -> Path:
    """What gateway and archiver are told: the project's own, with one contender."""
    project = projects.load(folder)
    registry = FolderRegistry(project.registry_dir)
    model = project.models[only]
    contenders = [candidate(registry, only, None, model.role, model.share)]
    policy = policy_of(project, [each.contender for each in contenders])
    run = run_of(project, policy, contract_of(project, contenders), broker.url)
    told = msgspec.to_builtins(run)
    for left_out in ("stream", "registry", "run_dir"):
        del told[left_out]
    path = folder / "settings.json"
    path.write_text(json.dumps(told))
    path.chmod(0o644)
    return path


def answered(url: str, body: bytes | None = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=5) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError as error:
        return 0, str(error)


def until(url: str, status: int, podman: Podman) -> None:
    give_up = time.monotonic() + PATIENCE
    while (found := answered(url))[0] != status:
        if time.monotonic() > give_up:
            logs = "\n".join(podman("logs", name) for name in podman.running)
            raise AssertionError(f"{url}: {found}, expected {status}; {logs}")
        time.sleep(0.1)


@pytest.mark.timeout(420)
@pytest.mark.xdist_group("containers")
def test_a_model_is_built_pushed_pulled_run_and_scored_in_containers(
    project: Path, tmp_path: Path, base: LayoutReference, registry: RunningRegistry, podman: Podman
) -> None:
    ca = ("--ca", str(registry.ca))
    model, gateway = f"{registry.host}/team/linear:1", f"{registry.host}/team/gateway:1"
    for what, name in (("linear", model), ("gateway", gateway)):
        build(project, what, "-t", name, "--base", str(base), "--push", *ca, env=registry.environment)
        podman.pull(name)
    config = json.loads(podman("image", "inspect", model))[0]
    assert config["Size"] < 300e6
    assert config["Config"]["User"] == "10001:10001"
    assert config["Config"]["Labels"]["podium.model"] == "linear"
    with ExitStack() as stack:
        stream = stack.enter_context(broker(tmp_path / "broker"))
        settings = settings_of(project, stream, "linear")
        archive = tmp_path / "archive"
        archive.mkdir(mode=0o777)
        archive.chmod(0o777)
        port, worker_port, archiver_port = free_port(), free_port(), free_port()
        told = {"PODIUM_STREAM": stream.url, "PODIUM_ARCHIVE": str(archive)}
        mounted = f"{settings}:/etc/podium/settings.json:ro"
        podman.run(
            gateway,
            env={**told, "PODIUM_HOST": "127.0.0.1", "PODIUM_PORT": str(port)},
            volumes=(mounted,),
        )
        until(f"http://127.0.0.1:{port}/live", 200, podman)
        assert answered(f"http://127.0.0.1:{port}/ready")[0] == 503, "no worker yet"
        worker = podman.run(
            model,
            env={
                "PODIUM_STREAM": stream.url,
                "PODIUM_ENDPOINT": "diabetes",
                "PODIUM_HEALTH_PORT": str(worker_port),
            },
        )
        podman.run(
            gateway,
            *("run", "archiver"),
            env={**told, "PODIUM_HEALTH_PORT": str(archiver_port)},
            volumes=(mounted, f"{archive}:{archive}"),
        )
        until(f"http://127.0.0.1:{worker_port}/ready", 200, podman)
        until(f"http://127.0.0.1:{archiver_port}/ready", 200, podman)
        until(f"http://127.0.0.1:{port}/ready", 200, podman)
        status, body = answered(f"http://127.0.0.1:{port}/score/diabetes", b'{"bmi": 0.05}')
        answer = json.loads(body)
        assert (status, answer["model"], answer["rule"]) == (200, "linear", "champion")
        give_up = time.monotonic() + PATIENCE
        while not list(archive.rglob("answers/**/*.parquet")):
            assert time.monotonic() < give_up, podman("logs", podman.running[-1])
            time.sleep(0.2)
        podman("stop", "--time", "10", worker)
        assert podman("inspect", "--format", "{{.State.ExitCode}}", worker) == "0", "it stopped by itself"
