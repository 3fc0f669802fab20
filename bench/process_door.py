"""`bench process`: what a model in another language costs beside one in Python.

The models are those of `examples/languages`, as far as their languages are installed. First each is asked
alone, as its worker asks it. Then two run on one endpoint, and each is forced in its turn, so that its own
time is seen.
"""

import shutil
from pathlib import Path

from bench.doors import FRAME, LARGE, alone, keep, together, train
from bench.running import recording
from bench.serving import scratch
from podium import project as projects

EXAMPLES = Path(__file__).parent.parent / "examples" / "languages"
TOGETHER = ("python", "node")


def measure(folder: Path, *, seconds: float, rounds: int) -> None:
    with recording("process", folder, seconds=seconds, rounds=rounds) as results, scratch() as place:
        project = place / "project"
        names = _prepare(project)
        for name in names:
            alone(results, project, name, sizes=(FRAME, LARGE))
        if set(names) >= set(TOGETHER):
            together(results, project, TOGETHER, seconds=seconds, rounds=rounds)


def _prepare(project: Path) -> list[str]:
    """The examples, trained, without those whose language is not here."""
    shutil.copytree(EXAMPLES, project)
    models = projects.load(project).models
    keep(
        project, [name for name, model in models.items() if model.command is None or _is_here(model.command)]
    )
    train(project)
    return list(projects.load(project).models)


def _is_here(command: projects.Command) -> bool:
    programs = [words[0] for words in (command.argv, command.build) if words and "/" not in words[0]]
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        print(f"left out: there is no {', '.join(missing)}", flush=True)
    return not missing
