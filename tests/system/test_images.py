"""From a model to an answer out of containers: built, pushed, pulled and run with no daemon."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.registries import RunningRegistry, free_port, guarded_registry
from tests.system.containers import PATIENCE, Podman, answered, broker, build, settings_of, until

from podium.oci.reference import LayoutReference


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with guarded_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.mark.timeout(420)
@pytest.mark.xdist_group("containers")
def test_a_model_is_built_pushed_pulled_run_and_scored_in_containers(
    project: Path, tmp_path: Path, base: LayoutReference, registry: RunningRegistry, podman: Podman
) -> None:
    ca = ("--ca", str(registry.ca))
    model, gateway = f"{registry.host}/team/linear:1", f"{registry.host}/team/gateway:1"
    for what, name in (("linear", model), ("gateway", gateway)):
        build(project, what, "-t", name, "--base", str(base), "--push", *ca, env=registry.environment)
        podman.pull(name, registry)
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
