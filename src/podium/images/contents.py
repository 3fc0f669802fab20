"""What an image is made of besides its base: libraries, Podium's own files, a package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from podium.oci.layers import File

WORKER = ("click", "msgspec", "numpy", "uvloop")
"""The libraries that a worker imports before its model brings its own; a test imports them and looks."""

GATEWAY = (*WORKER, "arro3-core", "deltalake", "httptools", "nats-py", "prometheus-client")
"""Those of the gateway and the archiver, which share an image."""

MODELS = "models"
LIBRARIES = "opt/podium/libraries"
PROGRAM = "opt/podium/program"
TRUST = "etc/podium/trust"
_SKIPPED = {"__pycache__", ".mypy_cache"}


def program() -> Iterator[File]:
    """Podium as it is installed here, whole: 0.9 MB packed, and one layer for all images."""
    import podium  # its own place on the disk

    root = Path(podium.__file__).parent
    for path in root.rglob("*"):
        inside = path.relative_to(root)
        if path.is_file() and not _SKIPPED.intersection(inside.parts):
            yield File(path=f"{PROGRAM}/podium/{inside.as_posix()}", content=path.read_bytes())
    version = metadata.version("podium")
    yield File(
        path=f"{PROGRAM}/podium-{version}.dist-info/METADATA",
        content=f"Metadata-Version: 2.1\nName: podium\nVersion: {version}\n".encode(),
    )


def package(folder: Path) -> Iterator[File]:
    """A model's package under `/models`, where KServe looks too."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield File(path=f"{MODELS}/{path.relative_to(folder).as_posix()}", content=path.read_bytes())


def trust(model: str, digest: str) -> File:
    """The trust list of an image whose package was trusted where it was built: that package alone."""
    return File(path=TRUST, content=f"{model}@{digest}\n".encode())
