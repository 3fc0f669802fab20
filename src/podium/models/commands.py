"""What of a project goes into the package of a command: the files that it names, and what they build."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from podium.errors import PackageError, ProjectError
from podium.project import PODIUM_DIR, Command
from podium.schema import did_you_mean

FILE = "command.json"
BUILD_SECONDS = 600


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a package says of its command. `executable` are files, relative to the command's folder."""

    argv: tuple[str, ...]
    executable: tuple[str, ...] = ()

    @classmethod
    def read(cls, package: Path) -> Kept:
        """Raises PackageError."""
        try:
            kept = msgspec.json.decode((package / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise PackageError(f"{package.name[:12]}: {FILE} cannot be read: {error}") from None
        if not kept.argv:
            raise PackageError(f"{package.name[:12]}: {FILE} names no program")
        return kept

    def write(self, package: Path) -> None:
        (package / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")

    def make_executable(self, folder: Path) -> None:
        """A registry, an archive or an image may have lost the permission; a digest does not know it."""
        for name in self.executable:
            path = folder / name
            if not os.access(path, os.X_OK):
                path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def gather(command: Command, *, root: Path, into: Path) -> Kept:
    """Copy the project's files that the command needs, build what is to be built. Raises ProjectError."""
    root = root.resolve()
    for name in sorted({name for source in _named(command, root) for name in _files(source, root)}):
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target)
    if command.build:
        _build(command.build, into)
    _check_arguments(command, into, root)
    found = sorted(path for path in into.rglob("*") if path.is_file())
    executable = tuple(path.relative_to(into).as_posix() for path in found if os.access(path, os.X_OK))
    return Kept(argv=command.argv, executable=executable)


def _named(command: Command, root: Path) -> Iterator[Path]:
    yield from (root / name for name in command.files)
    for argument in (*command.argv, *command.build):
        path = root / argument.rpartition("=")[2]
        if not argument.startswith("/") and os.path.isfile(path):  # Path's raises for a long argument
            yield path


def _files(source: Path, root: Path) -> Iterator[Path]:
    """A file, or those of a folder but for hidden ones and Python's byte code; relative to the project."""
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        inside = path.relative_to(source).parts
        if path.is_dir() or any(part.startswith(".") or part == "__pycache__" for part in inside):
            continue
        real = path.resolve()
        if not real.is_relative_to(root) or real.is_relative_to(root / PODIUM_DIR):
            raise ProjectError(f"{path} is not one of the project's own files, so it cannot be packed")
        yield path.absolute().relative_to(root)


def _build(argv: tuple[str, ...], folder: Path) -> None:
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProjectError(f"build: `{' '.join(argv)}` took longer than {BUILD_SECONDS} s") from None
    except OSError as error:
        raise ProjectError(f"build: {argv[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        said = [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
        telling = next((line for line in said if "error" in line.lower()), said[-1] if said else "")
        tail = f": {telling.strip()}" if telling else ""
        raise ProjectError(f"build: `{' '.join(argv)}` ended with exit status {done.returncode}{tail}")


def _check_arguments(command: Command, into: Path, root: Path) -> None:
    """An argument that looks like a file of the project and is none is a typing error."""
    there = [path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()]
    for argument in command.argv:
        first, slash, _ = argument.partition("/")
        if slash and first and os.path.isdir(root / first) and not os.path.exists(into / argument):
            near = did_you_mean(argument, there)
            raise ProjectError(
                f"command: there is no {argument} in the package{near}; it holds "
                f"{', '.join(there) or 'nothing'}. Files that the command does not name go into `files`"
            )
