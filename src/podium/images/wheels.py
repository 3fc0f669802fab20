"""Wheels for another machine: downloaded by pip, known by their hashes, unpacked here. No code of them runs.

`images.lock`, beside `podium.toml`, has file and SHA-256 of every wheel, for each platform and Python. What
it does not have yet is downloaded and added; what it has must be those bytes. Keep it in version control:
then everybody's image is the same one.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from podium.errors import DamagedBlob, ImageError, WrongPlatform
from podium.images.contents import LIBRARIES
from podium.oci.documents import Platform
from podium.oci.layers import File

LOCK = "images.lock"
DOWNLOAD_SECONDS = 900.0
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_NEWEST_GLIBC = 36
"""Debian 12's; wheels for an older one run too."""


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel by its file's name and its bytes."""

    name: str
    version: str
    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What wheels are for."""

    platform: Platform
    python: str

    def __str__(self) -> str:
        return f"{self.platform} python{self.python}"

    @property
    def options(self) -> list[str]:
        """pip's, so that it takes wheels of that machine and Python and of no other."""
        machine = _MACHINES.get(self.platform.architecture)
        if self.platform.os != "linux" or machine is None:
            known = ", ".join(f"linux/{each}" for each in _MACHINES)
            raise WrongPlatform(f"there are no wheels for {self.platform} here; images are for {known}")
        digits = self.python.replace(".", "")
        glibcs = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, 4, -1)]
        platforms = [*glibcs, f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]
        abis = (f"cp{digits}", "abi3", "none")
        return [
            *("--only-binary=:all:", "--no-deps", "--implementation", "cp", "--python-version", self.python),
            *(word for abi in abis for word in ("--abi", abi)),
            *(word for name in platforms for word in ("--platform", name)),
        ]


def gather(libraries: Mapping[str, str], target: Target, *, lock: Path, cache: Path) -> list[Wheel]:
    """The wheels of these libraries (name → version), by name, all in `cache`.

    Raises ImageError where pip cannot get one, DamagedBlob where one is not what the lock says.
    """
    known = _read(lock)
    locked = {(wheel.name, wheel.version): wheel for wheel in known.get(str(target), [])}
    wanted = sorted(libraries.items())
    missing = [each for each in wanted if each not in locked or not _is_here(locked[each], cache)]
    if missing:
        try:
            found = _download(missing, locked, target, cache)
        except OSError as error:
            raise ImageError(f"cannot keep wheels in {cache}: {error.strerror or error}") from None
        locked |= {(wheel.name, wheel.version): wheel for wheel in found}
        _write(lock, {**known, str(target): sorted(locked.values(), key=lambda w: (w.name, w.version))})
    return [locked[each] for each in wanted]


def place_of(wheel: Wheel, cache: Path) -> Path:
    return cache / wheel.sha256 / wheel.file


def unpacked(wheels: Iterable[Wheel], cache: Path) -> Iterator[File]:
    """What the wheels install, in one folder. Raises DamagedBlob, ImageError."""
    for wheel in wheels:
        path = place_of(wheel, cache)
        if _digest(path) != wheel.sha256:
            raise DamagedBlob(f"{path} is damaged: its bytes have another digest than {LOCK} says; delete it")
        try:
            with zipfile.ZipFile(path) as archive:
                yield from _files(archive, wheel)
        except zipfile.BadZipFile as error:
            raise ImageError(f"{wheel.file} is no wheel: {error}") from None


def _files(archive: zipfile.ZipFile, wheel: Wheel) -> Iterator[File]:
    for info in archive.infolist():
        inside = _inside(info.filename, wheel)
        if inside is not None and not info.is_dir():
            executable = bool(info.external_attr >> 16 & 0o111)
            yield File(path=f"{LIBRARIES}/{inside}", content=archive.read(info), executable=executable)


def _inside(name: str, wheel: Wheel) -> str | None:
    """Where a member goes; None for scripts, headers and data, which nothing imports."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ImageError(f"{wheel.file} wants to write outside its folder: {name!r}")
    if not path.parts[0].endswith(".data"):
        return name
    if len(path.parts) > 2 and path.parts[1] in ("purelib", "platlib"):
        return "/".join(path.parts[2:])
    return None


# --- pip ------------------------------------------------------------------------------------


def _download(
    wanted: list[tuple[str, str]],
    locked: Mapping[tuple[str, str], Wheel],
    target: Target,
    cache: Path,
) -> list[Wheel]:
    """Those that the lock knows must have its hashes; pip wants hashes of all or of none, so twice."""
    known = [each for each in wanted if each in locked]
    new = [each for each in wanted if each not in locked]
    with tempfile.TemporaryDirectory(prefix="podium-wheels-") as folder:
        for some in (known, new):
            if some:
                _pip(
                    [_line(name, version, locked.get((name, version))) for name, version in some],
                    target,
                    Path(folder),
                    hashes=some is known,
                )
        return [_keep(path, wanted, cache) for path in sorted(Path(folder).glob("*.whl"))]


def _line(name: str, version: str, locked: Wheel | None) -> str:
    return f"{name}=={version}" + (f" --hash=sha256:{locked.sha256}" if locked else "")


def _pip(lines: list[str], target: Target, folder: Path, *, hashes: bool) -> None:
    listed = folder / "requirements.txt"
    listed.write_text("\n".join(lines) + "\n")
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *(["--require-hashes"] if hashes else []),
        *("--dest", str(folder), "--requirement", str(listed)),
        *target.options,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ImageError(f"pip has not got the wheels within {DOWNLOAD_SECONDS:g} s; try again") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.strip().startswith(("ERROR", "/"))]
        said = " ".join(" ".join(errors[:2] or done.stderr.splitlines()[-1:]).split())[:300]
        hint = f"; {LOCK} names other bytes than the index has" if hashes and "hash" in said.lower() else ""
        raise ImageError(f"pip has no wheels for {target}: {said}{hint}")


def _keep(path: Path, wanted: list[tuple[str, str]], cache: Path) -> Wheel:
    name, version, *_ = path.name.split("-")
    name = name.lower().replace("_", "-").replace(".", "-")
    found = next((each for each in wanted if each[0] == name), (name, version))
    wheel = Wheel(name=found[0], version=found[1], file=path.name, sha256=_digest(path))
    place = place_of(wheel, cache)
    place.parent.mkdir(parents=True, exist_ok=True)
    made = place.with_suffix(".new")
    shutil.copyfile(path, made)
    made.replace(place)
    return wheel


def _is_here(wheel: Wheel, cache: Path) -> bool:
    path = place_of(wheel, cache)
    return path.is_file() and _digest(path) == wheel.sha256


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(lock: Path) -> dict[str, list[Wheel]]:
    try:
        return msgspec.json.decode(lock.read_bytes(), type=dict[str, list[Wheel]])
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, OSError, UnicodeDecodeError) as error:
        raise ImageError(
            f"{lock} cannot be read: {error}; delete it, and the next build writes it anew"
        ) from None


def _write(lock: Path, wheels: Mapping[str, list[Wheel]]) -> None:
    made = lock.with_suffix(".new")
    try:
        made.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(wheels.items())))) + b"\n")
        made.replace(lock)
    except OSError as error:
        raise ImageError(f"{lock} cannot be written: {error.strerror}") from None
