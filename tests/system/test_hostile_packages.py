"""Somebody changes a package in the registry: it does not come to life, and the endpoint answers on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.conftest import Up
from tests.system.load import Load
from tests.system.running import podium
from tests.system.test_change import retrained


def changed_model(package: Path) -> None:
    file = package / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")


def link_out(package: Path) -> None:
    (package / "notes.txt").symlink_to("/etc/passwd")


def pickle_beside(package: Path) -> None:
    (package / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/podium-was-here'\ntR.")


def newer(package: Path) -> None:
    manifest = package / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "manifest_version": 99}))


def no_manifest(package: Path) -> None:
    (package / "manifest.json").write_text("{")


@pytest.mark.timeout(120)
def test_a_package_that_somebody_changed_is_refused_in_words_and_the_endpoint_goes_on_answering(
    project: Path, up: Up
) -> None:
    node = up(project)
    version = retrained(project)
    packages = project / ".podium" / "registry" / "packages"
    (package,) = packages.glob(version.partition("@")[2] + "*")
    said = {}
    with Load(node.url, rate=50, connections=4) as load:
        for spoil in (changed_model, link_out, pickle_beside, newer, no_manifest):
            said[spoil.__name__] = refused(project, package, spoil)
    assert set(load.counts) == {200}, load
    assert node.status().ready
    assert len(set(said.values())) == len(said), "an attempt is told of its own failure"
    assert "99" in said["newer"]
    assert "manifest.json" in said["no_manifest"]
    for name, words in said.items():
        assert words.startswith("podium: "), (name, words)
        assert words.count("\n") == 1, (name, words)
        assert "Traceback" not in words, (name, words)
    podium(project, "join", version)  # at once: the failures before are no news of this attempt


def refused(project: Path, package: Path, spoil: Callable[[Path], None]) -> str:
    """What `podium join` says of the package as it is then; afterwards it is as it was."""
    kept = project / "kept"
    package.chmod(0o755)
    shutil.copytree(package, kept)
    for file in package.iterdir():
        file.chmod(0o755 if file.is_dir() else 0o644)
    try:
        spoil(package)
        return podium(project, "join", "linear@2", code=1).stderr
    finally:
        shutil.rmtree(package)
        kept.rename(package)
