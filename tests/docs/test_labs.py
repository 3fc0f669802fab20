"""The labs are done as they stand, each in an empty folder: with a real registry and real containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.bases import debian
from tests.docs.pages import ROOT, blocks, links
from tests.docs.terminal import Terminal
from tests.registries import needed
from tests.system.containers import CONF

LABS = ROOT / "docs" / "labs"
PLAIN = ("1-train.md", "2-pack.md", "3-api.md", "8-kubernetes.md")
IN_CONTAINERS = ("4-image.md", "5-web-app.md", "6-model.md", "7-registry.md")
EVERY = (*PLAIN, *IN_CONTAINERS)
AZURE = "**Needs an Azure subscription"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", PLAIN)
def test_a_lab_shows_what_its_reader_sees(name: str, tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.follow(LABS / name)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(debian(tmp_path_factory.mktemp("base") / "debian"))


@pytest.fixture
def engine() -> Iterator[Mapping[str, str]]:
    """What makes `podman` use a store of its own, where nothing is left."""
    needed("podman", "runc", "docker-registry")
    folder = Path(tempfile.mkdtemp(prefix="podman-"))  # it refuses long names
    places = {"root": folder / "root", "runroot": folder / "runroot"}
    configured = {"CONTAINERS_CONF": str(CONF)}
    options = [word for name, place in places.items() for word in (f"--{name}", str(place))]
    driver = podman(configured, *options, "info", "--format", "{{.Store.GraphDriverName}}")
    storage = folder / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{places["root"]}"\nrunroot = "{places["runroot"]}"\n'
    )
    configured["CONTAINERS_STORAGE_CONF"] = str(storage)
    yield configured
    podman(configured, "rm", "--all", "--force", "--time", "5")
    shutil.rmtree(folder, ignore_errors=True)


def podman(configured: Mapping[str, str], *words: str) -> str:
    done = subprocess.run(
        ["podman", *words],
        env={**os.environ, **configured},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.timeout(420)
@pytest.mark.xdist_group("containers")
@pytest.mark.parametrize("name", IN_CONTAINERS)
def test_a_lab_with_containers_shows_what_its_reader_sees(
    name: str, tmp_path: Path, base: str, engine: Mapping[str, str]
) -> None:
    with Terminal(tmp_path, base=base, environment=engine) as terminal:
        terminal.follow(LABS / name)


def test_every_lab_is_done_and_in_the_index() -> None:
    pages = sorted(page.name for page in LABS.glob("*.md") if page.name != "README.md")
    assert pages == sorted(EVERY)
    assert set(pages) <= set(links(LABS / "README.md"))


@pytest.mark.parametrize("name", EVERY)
def test_every_lab_ends_with_what_happened_and_an_exercise_that_is_solved(name: str) -> None:
    text = (LABS / name).read_text()
    for heading in ("## What happened", "## Exercise", "<details><summary>Solution</summary>", "## Try this"):
        assert text.count(heading) == 1


@pytest.mark.parametrize("name", EVERY)
def test_what_asks_azure_is_marked_and_never_run(name: str) -> None:
    here, _, azure = (LABS / name).read_text().partition(AZURE)
    assert "az login" not in here
    for block in blocks(LABS / name):
        assert block.language != "console" or "\n$ az " not in f"\n{block.text}"
    assert bool(azure) == ("az login" in azure)
