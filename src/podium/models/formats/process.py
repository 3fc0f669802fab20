"""A command: any program that reads and writes lines. Only for packages that the user trusts."""

from __future__ import annotations

import shutil
from pathlib import Path

from podium.errors import ModelFailed, PackageError
from podium.models import samples
from podium.models.commands import Kept
from podium.models.formats.base import Allowed
from podium.models.manifest import Manifest
from podium.models.modules import CODE
from podium.models.process.child import Launch
from podium.models.process.runtime import Runtime
from podium.schema import Columns


def open(package: Path, manifest: Manifest, allowed: Allowed) -> Runtime:
    """The caller has asked the trust list: this starts the package's command, in the package's folder."""
    first = samples.read(package, manifest).inputs
    return started(package, manifest, Kept.read(package), first=first, allowed=allowed)


def started(package: Path, manifest: Manifest, kept: Kept, *, first: Columns, allowed: Allowed) -> Runtime:
    """A command that has answered. Raises PackageError."""
    folder = package / CODE
    launch = launch_of(manifest.model, kept, folder)
    runtime = Runtime(launch, manifest.inputs, manifest.outputs, first=first, timeout=allowed.timeout)
    try:
        runtime.start()
    except ModelFailed as error:
        raise PackageError(f"{manifest.model}: {error}; `podium check {manifest.model}` tells more") from None
    return runtime


def launch_of(model: str, kept: Kept, folder: Path) -> Launch:
    """How to start a package's command. Raises PackageError where this machine has no such program."""
    kept.make_executable(folder)
    _check_program(model, kept.argv[0], folder)
    return Launch(name=model, argv=kept.argv, folder=folder)


def _check_program(model: str, program: str, folder: Path) -> None:
    found = (folder / program).is_file() if "/" in program else shutil.which(program)
    if not found:
        raise PackageError(f"{model}: there is no program {program!r} here: install it, or correct `command`")
