"""A trained project for each test, and nodes that leave no process behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.bases import debian
from tests.servicebus import WANTED
from tests.system.containers import Podman, engine
from tests.system.running import Node, podium

from podium.oci.reference import LayoutReference

Up = Callable[..., Node]
Mount = Callable[[Path, int], None]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `podium new` and `podium train` make; trained once, also where several processes test."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "template" / "diabetes"
    with (shared / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.parent.mkdir()
            podium(folder.parent, "new", "diabetes")
            podium(folder, "train")
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A copy of the trained project, to do anything with."""
    return shutil.copytree(template, tmp_path / "diabetes", symlinks=True)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> LayoutReference:
    """Debian with Python, for images; those who run in containers are of one group, and share it."""
    return debian(tmp_path_factory.mktemp("base") / "debian")


@pytest.fixture
def podman() -> Iterator[Podman]:
    with engine() as found:
        yield found


@pytest.fixture
def up() -> Iterator[Up]:
    """`up(project, "--gateways", "2")`: a node that is ready; it ends with the test."""
    nodes: list[Node] = []

    def start(folder: Path, *options: str, env: dict[str, str] | None = None) -> Node:
        node = Node(folder, *options, env=env)
        nodes.append(node)
        return node.start()

    yield start
    for node in nodes:
        node.end()


@pytest.fixture
def mount() -> Iterator[Mount]:
    """`mount(folder, size)`: a file system of its own, as small as that."""
    mounted: list[Path] = []

    def make(folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        mounted.append(folder)

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


collect_ignore = []
if not os.environ.get("PODIUM_KUBERNETES"):
    collect_ignore.append("test_kubernetes.py")
if not WANTED:
    collect_ignore.append("test_servicebus.py")
