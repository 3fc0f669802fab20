"""`podium push`, `podium pull` and `podium verify`: model versions in an OCI registry."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from podium.cli.build import PEM, megabytes, registry_options, tagged, told
from podium.cli.control import project_here
from podium.errors import DamagedBlob
from podium.images import artifacts, signing, transfer
from podium.images.build import Workshop
from podium.models.digest import SHORT
from podium.oci.layout import Layout
from podium.oci.reference import Reference
from podium.oci.repository import Access, Repository
from podium.project import Project
from podium.registry.base import Version
from podium.registry.folder import FolderRegistry

OCI = "oci://"
"""How `PODIUM_PACKAGE` names a package in a registry."""


@click.command()
@click.argument("what", metavar="MODEL[@VERSION]")
@click.argument("reference", metavar="REGISTRY/NAME:TAG")
@click.option("--sign", "key", type=PEM, metavar="KEY", help="Sign it with this private key.")
@registry_options
def push(what: str, reference: str, key: Path | None, ca: Path | None, plain_http: bool) -> None:
    """Put a model version's package into an OCI registry; a tag is an alias that may move."""
    project = project_here()
    model, _, wanted = what.partition("@")
    version = FolderRegistry(project.registry_dir).find(model, wanted or None)
    push_version(project, version, tagged(reference), key, Access(ca=ca, plain=plain_http))


def push_version(
    project: Project, version: Version, reference: Reference, key: Path | None, access: Access
) -> None:
    if key:
        signing.check(key)
    store = Workshop.of(project.folder, project.podium_dir).store
    top = artifacts.wrap(version.path, version.digest, store)

    def beside(repository: Repository) -> None:
        if key:
            signing.sign(top, reference, key, store, repository)

    pushed = transfer.push(top, store, reference, access, told=told, beside=beside)
    signed = ", signed" if key else ""
    click.echo(f"pushed {pushed.reference}  {megabytes(pushed.sent)} went up{signed}")


@click.command()
@click.argument("reference", metavar="REGISTRY/NAME[:TAG|@DIGEST]")
@click.option("--key", type=PEM, metavar="PUB", help="Refuse what is not signed with this key.")
@registry_options
def pull(reference: str, key: Path | None, ca: Path | None, plain_http: bool) -> None:
    """Get a package out of an OCI registry, check it, and put it into the project's own."""
    project = project_here()
    store = Workshop.of(project.folder, project.podium_dir).store
    with tempfile.TemporaryDirectory(prefix="podium-") as folder:
        into = Path(folder) / "package"
        pull_package(Reference.parse(reference), into, store, Access(ca=ca, plain=plain_http), key)
        version = FolderRegistry(project.registry_dir).put(into)
    click.echo(f"{version.model} {version.number}  {version.digest}")


def packages_at(place: str, digest: str, folder: Path, environment: Mapping[str, str]) -> Path:
    """The package that a worker with an empty disk is told to pull, under its digest in `folder`.

    What is there already is taken as it is: its bytes are verified when it is loaded, as ever.
    """
    into = folder / digest
    if not into.exists():
        folder.mkdir(parents=True, exist_ok=True)
        key, ca = environment.get("PODIUM_PUBLIC_KEY"), environment.get("PODIUM_REGISTRY_CA")
        access = Access(
            ca=Path(ca) if ca else None, plain="PODIUM_REGISTRY_PLAIN" in environment, environment=environment
        )
        with tempfile.TemporaryDirectory(prefix=".store-", dir=folder) as store:
            reference = Reference.parse(place.removeprefix(OCI))
            found = pull_package(reference, into, Layout(Path(store)), access, Path(key) if key else None)
        if found != digest:
            shutil.rmtree(into)
            raise DamagedBlob(f"{place} holds {found[:SHORT]}…, and PODIUM_DIGEST is {digest[:SHORT]}…")
    return into


def pull_package(reference: Reference, into: Path, store: Layout, access: Access, key: Path | None) -> str:
    """Write a package to `into`; returns its digest. With a key it is verified before anything is read."""
    if key:
        with Repository(reference, access) as repository:
            top, _ = repository.manifest(reference.version)
            signing.verify(top.digest, key, store, repository)
            reference = reference.at(top.digest)  # and not what the tag names a moment later
    top = transfer.pull(reference, store, access)
    return artifacts.unwrap(top, store, into, what=str(reference))


@click.command()
@click.argument("reference", metavar="REGISTRY/NAME[:TAG|@DIGEST]")
@click.option("--key", type=PEM, required=True, metavar="PUB", help="The public key.")
@registry_options
def verify(reference: str, key: Path, ca: Path | None, plain_http: bool) -> None:
    """Say whether an image or package is signed with a key; exit status 1 where it is not."""
    found = Reference.parse(reference)
    with (
        tempfile.TemporaryDirectory(prefix="podium-") as folder,
        Repository(found, Access(ca=ca, plain=plain_http)) as repository,
    ):
        top, _ = repository.manifest(found.version)
        signing.verify(top.digest, key, Layout(Path(folder)), repository)
    click.echo(f"{found.repository}@{top.digest} is signed with {key}")
