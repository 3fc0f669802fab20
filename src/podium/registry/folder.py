"""A registry in a folder, addressed by content.

    packages/DIGEST/…       each package once, read-only
    models/MODEL/NUMBER     what the number stands for: digest, format, metrics, time
    incoming/…              what is being written; of no meaning to readers

Any number of processes may write at once: a package appears by renaming its finished folder, a number by
linking its finished file to a name that nobody has. What a crash leaves behind is only in `incoming`.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from podium.errors import PackageError, RegistryError, UnknownVersion
from podium.models import manifest as manifests
from podium.models.digest import digest_of, verify
from podium.models.manifest import Manifest
from podium.project import NAME
from podium.registry.base import Version
from podium.schema import did_you_mean

LEAST_DIGITS = 4
_LEFTOVER_SECONDS = 24 * 3600


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The file behind a number."""

    digest: str
    format: str
    created: datetime
    metrics: dict[str, float]


class FolderRegistry:
    """The registry of a project, on this machine's disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, package: Path) -> Version:
        digest, manifest = digest_of(package), manifests.read(package)
        with self._explained():
            self._forget_leftovers()
            self._put_package(package, digest)
            return self._number(manifest, digest)

    def find(self, model: str, version: str | int | None = None) -> Version:
        versions = self.versions(model)
        if not versions:
            known = sorted({found.model for found in self.versions()})
            there = f"; there are {', '.join(known)}" if known else ""
            raise UnknownVersion(
                f"there is no version of {model!r}{did_you_mean(model, known)}{there}: "
                f"`podium train {model}` makes one"
            )
        found = versions[-1] if version is None else _chosen(model, str(version), versions)
        if not found.path.is_dir():
            raise UnknownVersion(
                f"the package of {model}@{found.number} ({found.short}) is gone from {found.path.parent}: "
                f"put it back, or `podium train {model}` makes it again where code and data are the same"
            )
        return found

    def versions(self, model: str | None = None) -> list[Version]:
        folders = [self._model(model)] if model else sorted((self.folder / "models").glob("*"))
        with self._explained():
            return [version for folder in folders for version in self._of(folder)]

    # --- reading ------------------------------------------------------------------------------

    def _of(self, folder: Path) -> list[Version]:
        numbers = sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())
        return [self._read(folder, number) for number in numbers]

    def _read(self, folder: Path, number: int) -> Version:
        try:
            entry = msgspec.json.decode((folder / str(number)).read_bytes(), type=_Entry)
        except msgspec.DecodeError as error:
            raise RegistryError(
                f"{folder / str(number)} is damaged: {error}; delete it and train again"
            ) from None
        return Version(
            model=folder.name,
            number=number,
            digest=entry.digest,
            format=entry.format,
            created=entry.created,
            metrics=entry.metrics,
            path=self._package(entry.digest),
        )

    def _model(self, model: str) -> Path:
        if not NAME.fullmatch(model):  # else it could be a way out of the folder
            raise UnknownVersion(f"{model!r} cannot be the name of a model")
        return self.folder / "models" / model

    def _package(self, digest: str) -> Path:
        return self.folder / "packages" / digest

    # --- writing ------------------------------------------------------------------------------

    def _put_package(self, package: Path, digest: str) -> None:
        target = self._package(digest)
        if _is_whole(target, digest):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._incoming() as made:
            _copy(package, made)
            verify(made, digest)  # of what is on the disk, not of what was read
            self._show(made, target, digest)

    def _show(self, made: Path, target: Path, digest: str) -> None:
        """Let readers see a finished folder, unless another process was first."""
        if target.exists() and not _is_whole(target, digest):
            target.rename(made.with_suffix(".damaged"))
        try:
            made.rename(target)
        except OSError:
            if not _is_whole(target, digest):
                raise
        _sync(target.parent)

    def _number(self, manifest: Manifest, digest: str) -> Version:
        """The package's number: the one that it has, else the next."""
        folder = self._model(manifest.model)
        folder.mkdir(parents=True, exist_ok=True)
        entry = _Entry(
            digest=digest, format=manifest.format, created=datetime.now(UTC), metrics=manifest.metrics
        )
        with self._incoming() as made:
            _write(made / "entry", msgspec.json.encode(entry))
            while True:
                versions = self._of(folder)
                if found := [version for version in versions if version.digest == digest]:
                    return found[0]
                number = versions[-1].number + 1 if versions else 1
                # Another process may have taken the number since; then look again.
                with suppress(FileExistsError):
                    (folder / str(number)).hardlink_to(made / "entry")
                    _sync(folder)
                    return self._read(folder, number)

    @contextmanager
    def _incoming(self) -> Iterator[Path]:
        made = self.folder / "incoming" / uuid.uuid4().hex
        made.mkdir(parents=True)
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
            shutil.rmtree(made.with_suffix(".damaged"), ignore_errors=True)

    def _forget_leftovers(self) -> None:
        """Remove what crashed writers left; those who still write are younger than a day."""
        for path in (self.folder / "incoming").glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RegistryError(
                f"the registry {self.folder} cannot be used: {error.strerror or error}; nothing was changed. "
                "Look at its disk's free space and permissions"
            ) from error


def _chosen(model: str, wanted: str, versions: list[Version]) -> Version:
    numbered = [version for version in versions if wanted == str(version.number)]
    alike = [version for version in versions if version.digest.startswith(wanted)]
    found = numbered or (alike if len(wanted) >= LEAST_DIGITS else [])
    if len(found) == 1:
        return found[0]
    problem = f"{model}@{wanted} could be {_list(found)}" if found else f"there is no {model}@{wanted}"
    raise UnknownVersion(f"{problem}; {model} has {_list(versions)}")


def _list(versions: list[Version]) -> str:
    return ", ".join(f"{version.number} ({version.short})" for version in versions)


def _is_whole(package: Path, digest: str) -> bool:
    if not package.is_dir():
        return False
    try:
        verify(package, digest)
    except PackageError:
        return False
    return True


def _copy(package: Path, target: Path) -> None:
    for source in sorted(package.rglob("*")):
        if source.is_file():
            path = target / source.relative_to(package)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, source.read_bytes())
            path.chmod(0o444)
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        _sync(folder)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """A name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
