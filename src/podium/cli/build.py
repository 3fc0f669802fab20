"""`podium build`: an OCI image of a model or of the gateway, with no daemon."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from podium.cli.control import project_here
from podium.cli.image_plans import gateway_of, model_of
from podium.errors import ImageError
from podium.images import sbom, signing, transfer
from podium.images.build import Built, Workshop, index_of
from podium.images.build import build as build_image
from podium.images.wheels import Target
from podium.oci import reference as references
from podium.oci.documents import Descriptor, Platform
from podium.oci.reference import LATEST, LayoutReference, Reference
from podium.oci.repository import Access, Repository

GATEWAY = "gateway"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
PLATFORM = "linux/amd64"
_OUTPUTS = ("oci", "docker-archive")

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)
Command = TypeVar("Command", bound=Callable[..., Any])


def registry_options(command: Command) -> Command:
    """How a registry is reached; the same for all commands that do."""
    ca = click.option(
        "--ca",
        type=PEM,
        help="A registry's own authority (PEM).",
    )
    plain = click.option("--plain-http", is_flag=True, help="Speak to the registry without TLS.")
    return ca(plain(command))


@click.command()
@click.argument("what", metavar="MODEL[@VERSION]|gateway")
@click.option("-t", "--tag", "tag", required=True, metavar="REGISTRY/NAME:TAG", help="The image's name.")
@click.option("--push", "pushes", is_flag=True, help="Push it there.")
@click.option("--base", metavar="IMAGE|oci:DIR", help="What it stands on; else Docker's slim Python image.")
@click.option(
    "--platform", default=PLATFORM, show_default=True, metavar="PLATFORM,…", help="One, or several together."
)
@click.option("--python", default=PYTHON, show_default=True, metavar="X.Y", help="The base's Python.")
@click.option("--output", metavar="oci:DIR|docker-archive:FILE", help="Write it there too.")
@click.option("--sign", "key", type=PEM, metavar="KEY", help="With --push: sign it with this private key.")
@click.option("--grpc", is_flag=True, help="With gateway: bring what gRPC needs.")
@registry_options
def build(
    *,
    what: str,
    tag: str,
    pushes: bool,
    base: str | None,
    platform: str,
    python: str,
    output: str | None,
    key: Path | None,
    grpc: bool,
    ca: Path | None,
    plain_http: bool,
) -> None:
    """Make an image of a model version, or of the gateway, with no Docker daemon."""
    if key and not pushes:
        raise click.UsageError("--sign goes with --push: a signature is kept in the registry")
    if key:
        signing.check(key)
    project = project_here()
    reference = tagged(tag)
    platforms = [Platform.parse(each.strip()) for each in platform.split(",")]
    write = _output(output, reference, platforms)
    standing_on = references.parse(base or f"python:{python}-slim")
    plan = gateway_of(project, grpc=grpc) if what == GATEWAY else model_of(project, what)
    access = Access(ca=ca, plain=plain_http)
    workshop = Workshop.of(project.folder, project.podium_dir)
    built = []
    for each in platforms:
        target = Target(platform=each, python=python)
        built.append(build_image(plan, standing_on, target, workshop, access))
        click.echo(_words(built[-1], target))
    top = index_of(built, plan, workshop.store)
    workshop.store.tag(top, str(reference))
    click.echo(f"image  {top.digest}")
    if write:
        write(top, workshop)
    if pushes:

        def beside(repository: Repository) -> None:
            for image in built:
                sbom.attach(image, workshop.store, repository)
            if key:
                signing.sign(top, reference, key, workshop.store, repository)
                click.echo(f"signed {top.digest}")

        pushed = transfer.push(
            top, workshop.store, reference, access, base=standing_on, told=told, beside=beside
        )
        click.echo(f"pushed {pushed.reference}  {megabytes(pushed.sent)} went up")


def tagged(tag: str) -> Reference:
    found = Reference.parse(tag)
    if found.digest:
        raise ImageError(f"-t {tag}: an image gets its digest when it is made; give a tag")
    return found


def _output(
    output: str | None, reference: Reference, platforms: Sequence[Platform]
) -> Callable[[Descriptor, Workshop], None] | None:
    """How the image is written besides; a mistake is said before anything is built."""
    if output is None:
        return None
    kind, _, place = output.partition(":")
    if kind not in _OUTPUTS or not place:
        raise ImageError(f"--output {output}: it is oci:DIR or docker-archive:FILE")
    if kind == "docker-archive":
        if len(platforms) > 1:
            raise ImageError(transfer.ONE_PLATFORM)
        name = f"{reference.repository}:{reference.tag or LATEST}"
        return lambda top, shop: transfer.to_docker_archive(top, shop.store, Path(place), name)
    into = references.parse(output)
    assert isinstance(into, LayoutReference)  # it begins with `oci:`
    tag = into.tag or reference.tag or LATEST
    return lambda top, shop: transfer.to_layout(top, shop.store, into.folder, tag)


def _words(built: Built, target: Target) -> str:
    own = ", ".join(megabytes(layer.size) for layer in built.layers)
    return (
        f"{target.platform}  {megabytes(built.size)} packed: {built.base.name} "
        f"{built.base.digest.removeprefix('sha256:')[:12]}, then {own}"
    )


def told(blob: Descriptor, sent: int) -> None:
    name = blob.digest.removeprefix("sha256:")[:12]
    click.echo(f"  {name}  {megabytes(blob.size)}  {'sent' if sent else 'is there'}")


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
