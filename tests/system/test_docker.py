"""`podium render docker`: a builder makes its images, compose runs them, a client is answered.

The compose file runs as it stands, with its networks, in a network namespace: so nothing is left behind of
what an engine does to a machine's network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.docs.pages import ROOT
from tests.registries import needed
from tests.system.containers import CONF, Podman
from tests.system.running import podium, until

from podium.node.broker import find_binary
from podium.oci.reference import LayoutReference

PROJECT = """
[endpoint]
name = "diabetes"
deadline = "1s"

[endpoint.inputs]
bmi = "float"
s5 = "float"

[endpoint.outputs]
progression = "float"

[models.awk]
command = ["mawk", "-W", "interactive", "-f", "models/rule.awk"]
role = "champion"
examples = [{ bmi = 0.05, s5 = 0.01 }, { bmi = -0.02, s5 = 0.03 }]

[decoy]
enabled = true

[kubernetes]
stream_image = "localhost/nats:1"
"""
ASK = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=5) as reply:
    print(reply.read().decode())
"""

ANSWERS = "import pathlib; print(*pathlib.Path('/archive/diabetes/answers').rglob('*.parquet'))"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    needed("mawk")
    folder = tmp_path / "diabetes"
    (folder / "models").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "languages" / "models" / "rule.awk", folder / "models")
    (folder / "podium.toml").write_text(PROJECT)
    podium(folder, "train", env={"PODIUM_TRUST": str(tmp_path / "trust")})
    return folder


def bases(podman: Podman, debian: LayoutReference) -> None:
    """What would be pulled elsewhere: Python with pip, the user's own with their language in it, NATS."""
    podman.take(debian, "localhost/debian:1")
    found = find_spec("pip")
    assert found is not None
    assert found.origin is not None
    podman.make(
        "localhost/python:1",
        "FROM localhost/debian:1\nCOPY pip /usr/lib/python3/dist-packages/pip\n",
        {"pip": Path(found.origin).parent},
    )
    podman.make(
        "localhost/mawk:1", "FROM localhost/python:1\nCOPY mawk /usr/bin/\n", {"mawk": Path("/usr/bin/mawk")}
    )
    podman.make(
        "localhost/nats:1",
        "FROM localhost/debian:1\nCOPY nats-server /usr/local/bin/\nRUN ln -s busybox /bin/wget\n",
        {"nats-server": find_binary()},
    )


def secrets(folder: Path) -> None:
    folder.mkdir()
    (folder / "stream").write_text("nats://podium:of-the-stream@nats:4222\n")
    (folder / "nats").write_text('authorization { user: podium, password: "of-the-stream" }\n')
    (folder / "admin_key").write_text("")


class Compose:
    """podman-compose over one folder, in a network of its own."""

    def __init__(self, podman: Podman, folder: Path, namespace: str) -> None:
        self._folder = folder
        self._inside = ["nsenter", f"--net=/run/netns/{namespace}"]
        self._name = namespace
        self._program = podman.folder / "podman"
        self._program.write_text(f'#!/bin/sh\nexec {" ".join(podman.command)} "$@"\n')
        self._program.chmod(0o755)

    def __call__(self, *words: str, options: tuple[str, ...] = (), seconds: float = 60.0) -> None:
        program = ("-m", "podman_compose", "--podman-path", str(self._program))
        done = subprocess.run(
            [*self._inside, sys.executable, *program, "--project-name", self._name, *options, *words],
            cwd=self._folder,
            env={**os.environ, "CONTAINERS_CONF": str(CONF)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    def container(self, service: str) -> str:
        return f"{self._name}_{service}_1"

    def ask(self, path: str) -> str:
        """What a client on the machine gets from the published port; nothing if it is no 200."""
        done = subprocess.run(
            [*self._inside, sys.executable, "-c", ASK, f"http://127.0.0.1:8080{path}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout


@contextmanager
def running(podman: Podman, folder: Path) -> Iterator[Compose]:
    needed("ip", "nsenter", "iptables")
    name = f"podium-compose-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=10)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True, timeout=10)
        compose = Compose(podman, folder, name)
        try:
            yield compose
        finally:
            compose("down", "--volumes")
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True, timeout=10)


def wheels(project: Path, folder: Path) -> tuple[str, ...]:
    """What a builder without a network needs: the wheels that are here already, as the index it asks."""
    folder.mkdir()
    for wheel in (project / ".podium" / "wheels").rglob("*.whl"):
        shutil.copy(wheel, folder)
    (folder / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    mounted = f"--volume {folder}:/wheels:ro --volume {folder / 'pip.conf'}:/etc/pip.conf:ro"
    return ("--podman-build-args", f"--network none {mounted}")


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("containers")
def test_the_compose_file_is_built_run_scored_archived_and_stopped(
    project: Path, tmp_path: Path, base: LayoutReference, podman: Podman
) -> None:
    bases(podman, base)
    out = project / "docker"
    told = {"PODIUM_TRUST": str(tmp_path / "trust")}
    words = ("render", "docker", "--out", str(out), "--base", "localhost/python:1")
    podium(project, *words, "--base", "awk=localhost/mawk:1", env=told)
    secrets(out / "secrets")
    with running(podman, out) as compose:
        compose("build", options=wheels(project, tmp_path / "wheels"), seconds=200)
        (image,) = json.loads(podman("image", "inspect", podman("images", "--quiet", "diabetes/awk")))
        labels = image["Config"]["Labels"]
        assert [each["name"] for each in json.loads(labels["podium.inputs"])["fields"]] == ["bmi", "s5"]
        compose("up", "--detach", "--no-build")
        until(lambda: compose.ask("/ready"), what=lambda: podman("logs", compose.container("gateway")))
        answer = json.loads(compose.ask("/score/diabetes?bmi=0.05&s5=0.01"))
        assert (answer["model"], answer["rule"]) == ("awk", "champion")
        assert answer["answer"]["progression"] == pytest.approx(192.526, abs=0.01)
        services = ("nats", "gateway", "worker-awk", "worker-decoy", "archiver")
        for service in services:
            podman("healthcheck", "run", compose.container(service))
        archiver = compose.container("archiver")
        until(lambda: ".parquet" in podman("exec", archiver, "python3", "-I", "-c", ANSWERS))
        compose("stop")
        states = podman("ps", "--all", "--format", "{{.Names}} {{.ExitCode}}").split()
        assert dict(zip(states[::2], states[1::2], strict=True)) == {
            compose.container(service): "0" for service in services
        }
