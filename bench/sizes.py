"""`bench import`: the time of an import, the size of a core install, and `podium up` to its first answer."""

import subprocess
import sys
from pathlib import Path
from statistics import median

from bench.peers.podium.peer import PEER
from bench.plan import Case
from bench.results import Figure
from bench.running import recording, say
from bench.serving import scratch, started

ROOT = Path(__file__).parent.parent
TIMES = 7
IMPORT = "import time; start = time.perf_counter(); import podium; print(time.perf_counter() - start)"


def measure(folder: Path) -> None:
    with recording("import", folder, times=TIMES) as results, scratch() as place:
        python, size = _install(place)
        say(
            results, Figure(name="core install", value=size, unit="MB", note="dependencies and byte code too")
        )
        say(results, Figure(name="import podium", value=_import_seconds(python), unit="s"))
        seconds = [_first_answer(place / "podium") for _ in range(TIMES)]
        say(results, Figure(name="podium up to the first answer", value=median(seconds), unit="s"))


def _install(place: Path) -> tuple[Path, float]:
    """The built wheel in a new environment: its interpreter, and by how much it grew."""
    venv = place / "venv"
    pip = [str(venv / "bin" / "python"), "-m", "pip"]
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=120)
    before = _megabytes(venv)
    wheels = place / "wheels"
    build = [*pip, "wheel", "-qq", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)]
    subprocess.run(build, check=True, timeout=300)
    subprocess.run([*pip, "install", "-qq", *map(str, wheels.glob("*.whl"))], check=True, timeout=900)
    return venv / "bin" / "python", _megabytes(venv) - before


def _megabytes(folder: Path) -> float:
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files) / 1e6


def _import_seconds(python: Path) -> float:
    def once() -> float:
        done = subprocess.run([python, "-c", IMPORT], capture_output=True, text=True, check=True, timeout=60)
        return float(done.stdout)

    once()  # reads the files from the disk
    return median(once() for _ in range(TIMES))


def _first_answer(place: Path) -> float:
    # On all cores, as its user starts it.
    with started(Case(peer=PEER, setting="plain", model="linear"), place, core=None) as running:
        return running.first_answer()
