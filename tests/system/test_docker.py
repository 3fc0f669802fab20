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
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import ROOT
from tests.registries import needed
from tests.system.containers import CONF, PATIENCE, Podman
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

SERVICES = ("nats", "gateway", "worker-awk", "worker-decoy", "archiver")
APPLY = ("python3", "-P", "-m", "podium", "run", "store", "apply")
ANSWERS = "import pathlib; print(*pathlib.Path('/archive/diabetes/answers').rglob('*.parquet'))"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    needed("mawk")
    folder = tmp_path / "diabetes"
    (folder / "models").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "languages" / "models" / "rule.awk", folder / "models")
    (folder / "podium.toml").write_text(PROJECT)
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
        self._podman = podman
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

    def until_ready(self) -> None:
        """The gateway says so once every contender answers."""
        until(lambda: self.ask("/ready"), seconds=PATIENCE, what=lambda: self._podman("ps", "--all"))

    def score(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("/score/diabetes?bmi=0.05&s5=0.01"))
        return found


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


def render(project: Path, trust: Path) -> Path:
    """Train, and write what a builder and compose take; the folder."""
    told = {"PODIUM_TRUST": str(trust)}
    podium(project, "train", env=told)
    words = ("render", "docker", "--out", "docker", "--base", "localhost/python:1")
    podium(project, *words, "--base", "awk=localhost/mawk:1", env=told)
    return project / "docker"


def apply(podman: Podman, compose: Compose) -> str:
    """Make the file's policy the live one. On a busy machine the store may take too long to answer."""
    with suppress(AssertionError):
        return podman("exec", compose.container("gateway"), *APPLY)
    return ""


@pytest.mark.timeout(420)
@pytest.mark.xdist_group("containers")
def test_the_compose_file_is_built_run_scored_changed_and_stopped(
    project: Path, tmp_path: Path, base: LayoutReference, podman: Podman
) -> None:
    bases(podman, base)
    out = render(project, tmp_path / "trust")
    secrets(out / "secrets")
    index = wheels(project, tmp_path / "wheels")
    with running(podman, out) as compose:
        compose("build", options=index, seconds=200)
        (image,) = json.loads(podman("image", "inspect", podman("images", "--quiet", "diabetes/awk")))
        inputs = json.loads(image["Config"]["Labels"]["podium.inputs"])["fields"]
        assert [each["name"] for each in inputs] == ["bmi", "s5"], "as the Dockerfile quotes it"
        compose("up", "--detach", "--no-build")
        compose.until_ready()
        answer = compose.score()
        assert (answer["model"], answer["rule"]) == ("awk", "champion")
        assert answer["answer"]["progression"] == pytest.approx(192.526, abs=0.01)
        for service in SERVICES:
            podman("healthcheck", "run", compose.container(service))
        archiver = compose.container("archiver")
        until(lambda: ".parquet" in podman("exec", archiver, "python3", "-I", "-c", ANSWERS))

        rule = project / "models" / "rule.awk"
        rule.write_text(rule.read_text().replace("152.946", "1152.946"))
        render(project, tmp_path / "trust")
        compose("build", options=index, seconds=200)
        compose("up", "--detach", "--no-build")
        until(lambda: "nothing to change" in apply(podman, compose), seconds=PATIENCE)
        compose.until_ready()
        assert compose.score()["answer"]["progression"] == pytest.approx(1192.526, abs=0.01)

        compose("stop", *SERVICES[1:])  # podman-compose knows no order, others end with what all need
        compose("stop")
        states = podman("ps", "--all", "--format", "{{.Names}} {{.ExitCode}}").split()
        ended = dict(zip(states[::2], states[1::2], strict=True))
        assert ended == {compose.container(service): "0" for service in SERVICES}
