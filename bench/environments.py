"""A virtual environment for each peer, in a cache outside the checkout, from requirements pinned here."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.peers.base import FOLDER

TRAIN = Path(__file__).with_name("train.py")
INSTALL_SECONDS = 1800
TRAIN_SECONDS = 120


def cache() -> Path:
    return Path(os.environ.get("PODIUM_BENCH_CACHE", "~/.cache/podium-bench")).expanduser()


def programs(name: str) -> Path:
    return cache() / name / "bin"


def models(name: str) -> Path:
    return cache() / name / "models"


def pinned(name: str) -> Path:
    return FOLDER / name / "requirements.txt"


def is_made(name: str) -> bool:
    """Whether the environment stands as it is pinned, with its models trained."""
    stamp = _stamp(name)
    return stamp.exists() and stamp.read_text() == _fingerprint(name)


def ensure(name: str) -> None:
    """Makes the environment as it is pinned, with its models trained, where it does not stand already."""
    if is_made(name):
        return
    print(f"{name}: installing its pinned requirements", flush=True)
    _make(name, "-r", str(pinned(name)))
    _train(name)


def lock(name: str) -> None:
    """Takes the newest releases that pip gives today and pins them."""
    print(f"{name}: installing the newest releases", flush=True)
    _make(name, "--upgrade", "-r", str(FOLDER / name / "requirements.in"))
    frozen = subprocess.run(
        [programs(name) / "python", "-m", "pip", "freeze"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    pinned(name).write_text(frozen.stdout)
    _train(name)


def named_versions(name: str) -> dict[str, str]:
    """The versions of what the peer asks for by name."""
    asked = {_bare(line) for line in _lines(FOLDER / name / "requirements.in")}
    versions = dict(line.split("==") for line in _lines(pinned(name)) if "==" in line)
    return {found: version for found, version in versions.items() if _bare(found) in asked}


def _bare(requirement: str) -> str:
    for separator in "[<>=":
        requirement = requirement.split(separator, maxsplit=1)[0]
    return requirement.strip().lower().replace("_", "-")


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def _make(name: str, *arguments: str) -> None:
    folder = cache() / name
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", *arguments]
    subprocess.run(install, check=True, timeout=INSTALL_SECONDS)


def _train(name: str) -> None:
    python = programs(name) / "python"
    scripts = [TRAIN, FOLDER / name / "pack.py"]
    for script in filter(Path.exists, scripts):
        subprocess.run([python, script, models(name)], check=True, timeout=TRAIN_SECONDS)
    _stamp(name).write_text(_fingerprint(name))


def _stamp(name: str) -> Path:
    """The last thing that is written: an environment half made has none."""
    return cache() / name / "stamp"


def _fingerprint(name: str) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in (pinned(name), TRAIN, FOLDER / name / "pack.py"):
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()
