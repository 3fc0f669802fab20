"""`requirements.txt`: the exact libraries that a package needs, and theirs, as installed here."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from podium.errors import MissingExtra

FILE = "requirements.txt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write(package: Path, libraries: Iterable[str]) -> None:
    lines = [f"{name}=={version}\n" for name, version in sorted(locked(libraries).items())]
    (package / FILE).write_text("".join(lines))


def locked(libraries: Iterable[str]) -> dict[str, str]:
    """These libraries and all that they need: name → version, of those that are installed."""
    found: dict[str, str] = {}
    waiting = [_normal(name) for name in libraries]
    while waiting:
        name = waiting.pop()
        if name in found or name == "podium":
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # needed on another system only, or optional
        found[name] = distribution.version
        waiting += [_needed(line) for line in distribution.requires or () if not _is_extra(line)]
    return found


def of_extra(extra: str) -> list[str]:
    """The libraries of one of Podium's extras. Raises MissingExtra where one is not installed here."""
    of_it = re.compile(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]")
    lines = [line for line in metadata.requires("podium") or () if of_it.search(line.partition(";")[2])]
    names = sorted({_needed(line) for line in lines})
    absent = [name for name in names if name not in versions(names)]
    if absent or not names:  # an installation from before the extra knows no names
        raise MissingExtra(", ".join(absent) or f"what {extra} needs", extra)
    return names


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The installed version of each library that is installed."""
    found = {}
    for name in sorted(set(libraries)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def older(installed: str, wanted: str) -> bool:
    """Whether a version is older than another by its first two numbers."""
    return _release(installed) < _release(wanted)


def imported_by(files: Sequence[Path]) -> list[str]:
    """The installed libraries that these modules import, found without running them."""
    names = {name for file in files for name in _imports(ast.parse(file.read_bytes()))}
    names -= set(sys.stdlib_module_names)
    distributions = metadata.packages_distributions()
    return sorted({_normal(found) for name in names for found in distributions.get(name, ())} - {"podium"})


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _needed(requirement: str) -> str:
    match = _NAME.match(requirement)
    return _normal(match[0]) if match else ""


def _is_extra(requirement: str) -> bool:
    return "extra" in requirement.partition(";")[2]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
