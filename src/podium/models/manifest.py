"""`manifest.json`: what a package says about itself.

It holds no time: the same inputs give the same bytes. When a version was made is in the registry.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from podium.errors import NewerManifest, PackageError
from podium.profiles import Profiles
from podium.schema import Schema

FILE = "manifest.json"
VERSION = 1


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """How far a number may be from the expected one: `absolute + relative * |expected|`."""

    relative: float
    absolute: float


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """The code that made the model: its module's SHA-256, and the commit that last changed the module.

    Without a commit the project has no git, or the module has changes that are not committed.
    """

    module: str
    commit: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A package's manifest.

    `layout` says how the columns are put together for the model (`podium.models.layout`), `code` names
    the module and class (`FILE:CLASS` under `code/`) of a format that runs code. `data` is the SHA-256
    of the examples. `libraries` are the versions that the model was made and packed with. `profiles` say
    how inputs and scores were distributed in training; a package of an older Podium has none.
    """

    manifest_version: int = VERSION
    model: str
    format: str
    inputs: Schema
    outputs: Schema
    metrics: dict[str, float]
    tolerance: Tolerance
    data: str
    revision: Revision
    python: str
    libraries: dict[str, str]
    layout: str = ""
    code: str = ""
    profiles: Profiles = Profiles()


class _Versioned(msgspec.Struct):
    manifest_version: int


def write(manifest: Manifest, package: Path) -> None:
    encoded = msgspec.json.encode(manifest, order="deterministic")
    (package / FILE).write_bytes(msgspec.json.format(encoded) + b"\n")


def read(package: Path) -> Manifest:
    """Raises NewerManifest for one of a newer Podium, PackageError for none or a damaged one."""
    try:
        content = (package / FILE).read_bytes()
        version = msgspec.json.decode(content, type=_Versioned).manifest_version
        if version > VERSION:
            raise NewerManifest(
                f"{package.name[:12]} has a manifest of version {version}, this Podium reads up to "
                f"{VERSION}: pip install --upgrade podium"
            )
        return msgspec.json.decode(content, type=Manifest)
    except FileNotFoundError:
        raise PackageError(f"{package} is no package: it has no {FILE}") from None
    except (msgspec.DecodeError, OSError) as error:
        raise PackageError(f"{package}/{FILE} cannot be read: {error}") from None
