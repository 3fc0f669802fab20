"""`podium render docker`: a Dockerfile and a compose file, and all that they name but secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
from msgspec import structs

from podium import __version__
from podium.cli.build import PLATFORM, PYTHON
from podium.cli.clusters import check_features, run_here
from podium.cli.control import project_here
from podium.cli.image_plans import gateway_of, model_of
from podium.cli.writing import write_files
from podium.docker.compose import needed
from podium.docker.dockerfile import PROGRAM
from podium.docker.files import COMPOSE, files
from podium.docker.plan import ARCHIVE_DIR, IMAGES, DockerPlan, Image
from podium.errors import ProjectError
from podium.images import contents, wheels
from podium.images.build import Plan, Workshop
from podium.images.wheels import Target
from podium.oci.documents import Platform
from podium.project import FILE, Project
from podium.records import Role
from podium.run import Run

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder to write."
)
@click.option(
    "--base",
    "bases",
    multiple=True,
    metavar="[MODEL=]IMAGE",
    help="What images stand on, or a model's own does; else Docker's slim Python image.",
)
@click.option(
    "--platform", default=PLATFORM, show_default=True, metavar="PLATFORM,…", help="Where images may run."
)
@click.option("--python", default=PYTHON, show_default=True, metavar="X.Y", help="The bases' Python.")
def docker(out: Path, bases: Sequence[str], platform: str, python: str) -> None:
    """A Dockerfile and a compose file for stream, gateway, contenders and archiver."""
    project = project_here()
    targets = [Target(platform=Platform.parse(each.strip()), python=python) for each in platform.split(",")]
    plan = _plan(project, _Bases.of(bases, project, python), targets)
    program = {
        f"{IMAGES}/{PROGRAM}/{file.path.removeprefix(f'{contents.PROGRAM}/')}": file.content
        for file in contents.program()
    }
    written = files(plan) | program
    write_files(out, written, ours=IMAGES)
    _let_all_read(out, written)
    click.echo(f"{COMPOSE} and {IMAGES}/Dockerfile in {out}")
    click.echo(f"Files that it needs beside them: {', '.join(needed(plan))} (docs/guide/docker.md)")


def _let_all_read(out: Path, names: Iterable[str]) -> None:
    """Containers read these as somebody else, and builders copy their modes."""
    for name in names:
        (out / name).chmod(0o644)
        for folder in Path(name).parents[:-1]:
            (out / folder).chmod(0o755)


def _plan(project: Project, bases: _Bases, targets: Sequence[Target]) -> DockerPlan:
    check_features(project, "containers")
    run = run_here(project, f"{FILE}, in containers")
    workshop = Workshop.of(project.folder, project.podium_dir)

    def image(plan: Plan, base: str) -> Image:
        gathered = [
            wheel
            for target in targets
            for wheel in wheels.gather(plan.libraries, target, lock=workshop.lock, cache=workshop.wheels)
        ]
        return Image(plan=plan, base=base, wheels=gathered)

    return DockerPlan(
        run=_in_containers(run),
        release=__version__,
        gateway=image(gateway_of(project, grpc=False), bases.usual),
        workers={
            each.model: image(model_of(project, each.name), bases.of_model(each.model))
            for each in run.policy.contenders
            if each.role is not Role.DECOY
        },
        stream_image="" if project.stream else project.kubernetes.stream_image,
        stream_keys=urlsplit(project.stream).scheme == "servicebus",
        sync_always=project.archive.sync == "always",
        images=project.kubernetes.images,
        outbound=frozenset(model.name for model in project.models.values() if model.server),
    )


def _in_containers(run: Run) -> Run:
    """A folder of this machine becomes a volume; what has a URL stays where it is."""
    return run if "://" in run.archive else structs.replace(run, archive=ARCHIVE_DIR)


@dataclass(frozen=True, slots=True)
class _Bases:
    """Which image each of ours stands on; some models have their own."""

    usual: str
    own: Mapping[str, str]

    @classmethod
    def of(cls, words: Sequence[str], project: Project, python: str) -> _Bases:
        usual, own = f"docker.io/library/python:{python}-slim", {}
        for word in words:
            model, named, image = word.rpartition("=")
            if named and model not in project.models:
                raise ProjectError(
                    f"--base {word}: there is no model {model}; there are {', '.join(project.models)}"
                )
            if not _IMAGE.fullmatch(image) or image.startswith("oci:"):
                raise ProjectError(
                    f"--base {word}: an image that a builder can pull or has, as in registry.example/base:1"
                )
            if named:
                own[model] = image
            else:
                usual = image
        return cls(usual, own)

    def of_model(self, model: str) -> str:
        return self.own.get(model, self.usual)
