"""What a process of an image is told: environment variables over one mounted file.

Pure: the environment comes in as a mapping. The variables are the table in docs/images.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from podium.errors import ProjectError
from podium.run import COUNTERS, Post, Run, WorkerSettings, key_digest

SETTINGS = Path("/etc/podium/settings.json")
RUN_DIR = "/tmp/podium"
PORT = 8080
HEALTH_PORT = 8081

GIVES_BACK = {"_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:0,muzzy_decay_ms:0"}
"""For the allocator inside deltalake, with which the archiver writes. Left alone it holds more and more of
what commits have used: https://github.com/delta-io/delta-rs/issues/4241"""

KNOWN = (
    "PODIUM_STREAM",
    "PODIUM_STREAM_FILE",
    "PODIUM_SETTINGS",
    "PODIUM_ENDPOINT",
    "PODIUM_ARCHIVE",
    "PODIUM_ADMIN_KEY",
    "PODIUM_ADMIN_KEY_FILE",
    "PODIUM_RUN_DIR",
    "PODIUM_NUMBER",
    "PODIUM_HOST",
    "PODIUM_PORT",
    "PODIUM_GRPC_PORT",
    "PODIUM_HEALTH_PORT",
    "PODIUM_PACKAGE",
    "PODIUM_DIGEST",
    "PODIUM_VERSION_NUMBER",
    "PODIUM_THREADS",
    "PODIUM_TIMEOUT",
    "PODIUM_BATCH_ROWS",
    "PODIUM_TRUST",
    "PODIUM_PUBLIC_KEY",
    "PODIUM_REGISTRY_CA",
    "PODIUM_REGISTRY_PLAIN",
)
_ALIKE = 0.9
NOT_IN_FILE = ("stream", "registry", "run_dir", "admin_key")
"""What a container is told by its environment, or by its image."""

Environment = Mapping[str, str]
Told = TypeVar("Told")


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """Which package a worker serves: a folder or `oci://REFERENCE`, its digest and number."""

    place: str
    digest: str
    number: int
    run_dir: str


def check_names(environment: Environment) -> None:
    """Raise ProjectError for a variable that is nearly one of ours: it would be ignored silently."""
    for name in sorted(environment):
        near = get_close_matches(name, KNOWN, n=1, cutoff=_ALIKE)
        if name.startswith("PODIUM_") and name not in KNOWN and near:
            raise ProjectError(f"there is no variable {name} (did you mean {near[0]}?); unset it, or mend it")


def file_of(run: Run) -> dict[str, Any]:
    """What the mounted file of an endpoint's containers says: no secret is in it."""
    told: dict[str, Any] = msgspec.to_builtins(run)
    if told["features"]:
        told["features"]["folder"] = ""  # the project's, which is on the machine that wrote this
    return {key: value for key, value in told.items() if key not in NOT_IN_FILE}


def text_of(run: Run) -> str:
    """That file."""
    return msgspec.json.format(msgspec.json.encode(file_of(run))).decode() + "\n"


def lasting_digest(run: Run) -> str:
    """Changes when processes must be told anew. A policy is not among that: they follow the store's."""
    lasting = {key: value for key, value in file_of(run).items() if key != "policy"}
    return hashlib.sha256(msgspec.json.encode(lasting)).hexdigest()[:16]


def run_of(environment: Environment) -> Run:
    """What gateway and archiver are told. Raises ProjectError for what is missing or wrong."""
    told = _file(environment, needed=True)
    told |= {"stream": _stream(environment, told), "run_dir": _run_dir(environment, told)}
    if archive := environment.get("PODIUM_ARCHIVE"):
        told["archive"] = archive
    if key := _secret(environment, "PODIUM_ADMIN_KEY"):
        told["admin_key"] = key_digest(key)
    return _converted(told, Run, environment)


def post_of(environment: Environment, model: str) -> Post:
    """What a worker of this model is told. Raises ProjectError for what is missing or wrong."""
    told = _file(environment, needed=False)
    policy = told.get("policy")
    of_policy = policy.get("endpoint", "") if isinstance(policy, dict) else ""
    endpoint = environment.get("PODIUM_ENDPOINT") or of_policy
    if not endpoint:
        raise ProjectError("PODIUM_ENDPOINT is not set: the name of the endpoint that this worker joins")
    workers = told.get("workers")
    settings = workers.get(model, {}) if isinstance(workers, dict) else {}
    usual = _converted(settings, WorkerSettings, environment)
    own = WorkerSettings(
        threads=int(_number(environment, "PODIUM_THREADS", usual.threads, least=1)),
        timeout=_number(environment, "PODIUM_TIMEOUT", usual.timeout, least=0.1, whole=False),
        batch_rows=int(_number(environment, "PODIUM_BATCH_ROWS", usual.batch_rows, least=1)),
    )
    return Post(
        stream=_stream(environment, told),
        run_dir=_run_dir(environment, told),
        endpoint=endpoint,
        worker=own,
    )


def packed_of(environment: Environment, run_dir: str) -> Packed:
    """Which package the worker of an image serves. Raises ProjectError."""
    digest = environment.get("PODIUM_DIGEST", "")
    if len(digest) != 64:
        raise ProjectError(
            f"PODIUM_DIGEST is {digest!r}: the package's digest, all 64 digits, as `podium models "
            "--json` has it; `podium build` sets it in the image"
        )
    return Packed(
        place=environment.get("PODIUM_PACKAGE", "/models"),
        digest=digest,
        number=int(_number(environment, "PODIUM_VERSION_NUMBER", 0, least=0)),
        run_dir=run_dir,
    )


def counters_of(environment: Environment) -> Path:
    """Where any process of an image counts."""
    return Path(_run_dir(environment, {})) / COUNTERS


def number_of(environment: Environment) -> int:
    return int(_number(environment, "PODIUM_NUMBER", 1, least=1))


def door_of(environment: Environment) -> tuple[str, int, int | None]:
    """Where the gateway listens: host, HTTP's port, gRPC's port where there is one."""
    grpc = environment.get("PODIUM_GRPC_PORT")
    return (
        environment.get("PODIUM_HOST") or "0.0.0.0",
        _port(environment, "PODIUM_PORT", PORT),
        _port(environment, "PODIUM_GRPC_PORT", 0) if grpc else None,
    )


def health_port_of(environment: Environment) -> int:
    """Where worker and archiver say how they are; 0 is nowhere."""
    return _port(environment, "PODIUM_HEALTH_PORT", HEALTH_PORT)


# --- one by one -----------------------------------------------------------------------------


def _file(environment: Environment, *, needed: bool) -> dict[str, Any]:
    named = environment.get("PODIUM_SETTINGS")
    path = Path(named or SETTINGS)
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        if named or needed:
            raise ProjectError(
                f"the settings file {path} is not there: mount it, or name another in PODIUM_SETTINGS"
            ) from None
        return {}
    except OSError as error:
        raise ProjectError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"the settings file {path} is no JSON object: {error}") from None


def _converted(told: object, kind: type[Told], environment: Environment) -> Told:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        path = environment.get("PODIUM_SETTINGS") or SETTINGS
        raise ProjectError(f"the settings file {path}: {error}") from None


def _stream(environment: Environment, told: Mapping[str, Any]) -> str:
    stream = _secret(environment, "PODIUM_STREAM") or told.get("stream")
    if not isinstance(stream, str) or not stream:
        raise ProjectError("PODIUM_STREAM is not set: the stream's URL, as in nats://user:password@host:4222")
    return stream


def _secret(environment: Environment, name: str) -> str:
    """A variable, or what is in the file that `NAME_FILE` names: then no list of variables shows it."""
    file = environment.get(f"{name}_FILE", "")
    if environment.get(name) or not file:
        return environment.get(name, "")
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{name}_FILE names {file}, which cannot be read: {error}") from None


def _run_dir(environment: Environment, told: Mapping[str, Any]) -> str:
    return environment.get("PODIUM_RUN_DIR") or str(told.get("run_dir") or RUN_DIR)


def _port(environment: Environment, name: str, usual: int) -> int:
    port = int(_number(environment, name, usual, least=0))
    if port > 65535:
        raise ProjectError(f"{name} is {port}: a port is at most 65535")
    return port


def _number(environment: Environment, name: str, usual: float, *, least: float, whole: bool = True) -> float:
    text = environment.get(name, "")
    if not text:
        return usual
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = -1
    if not number >= least:
        kind = "a whole number" if whole else "a number"
        linked = "; Kubernetes sets it for a Service of that name: enableServiceLinks: false"
        raise ProjectError(f"{name} is {text!r}: {kind}, {least:g} or more{linked if '://' in text else ''}")
    return number
