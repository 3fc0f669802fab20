"""`bench images`: how large a model's image is, how long it takes, and what goes up after a training."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bases import debian
from tests.registries import RunningRegistry, plain_registry

from bench.results import Figure
from bench.running import recording, say
from bench.serving import scratch
from podium.images.transfer import manifests_of
from podium.oci.documents import Manifest, decode
from podium.oci.layout import Layout

PODIUM = (sys.executable, "-m", "podium")


def measure(folder: Path) -> None:
    with (
        recording("images", folder) as results,
        scratch() as place,
        plain_registry(place / "registry") as registry,
    ):
        base = debian(place / "base")
        _podium(place, "new", "demo")
        project = place / "demo"
        _podium(project, "train", "linear")
        build = ("build", "linear", "-t", f"{registry.host}/demo/linear:1", "--base", str(base), "--push")
        first = _podium(project, *build)
        sent = _stored(registry)
        model = project / "models" / "linear.py"
        model.write_text(model.read_text() + "\n# changed\n")
        _podium(project, "train", "linear")
        again = _podium(project, *build)
        note = "wheels downloaded, or of pip's cache"
        say(results, Figure(name="linear image, packed", value=_size(project) / 1e6, unit="MB"))
        say(results, Figure(name="first build and push", value=first, unit="s", note=note))
        say(results, Figure(name="build and push after a training", value=again, unit="s"))
        pushed = (_stored(registry) - sent) / 1e3
        say(results, Figure(name="sent after a training", value=pushed, unit="kB", note="bill included"))


def _podium(folder: Path, *words: str) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(
        [*PODIUM, *words], cwd=folder, env=os.environ, check=True, timeout=300, capture_output=True
    )
    return time.perf_counter() - began


def _stored(registry: RunningRegistry) -> int:
    """Bytes of all blobs that the registry holds."""
    blobs = (registry.folder / "data").rglob("blobs/sha256/*/*/data")
    return sum(blob.stat().st_size for blob in blobs)


def _size(project: Path) -> int:
    """Of the image that was built last: each layer, packed, base included."""
    store = Layout(project / ".podium" / "images")
    (manifest,) = manifests_of(store.tagged(), store)
    return sum(layer.size for layer in decode(store.read(manifest), Manifest, what="it").layers)
