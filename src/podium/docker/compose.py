"""The compose file: a service for the stream, the gateway, each contender and the archiver.

Nobody is root, nothing is written but in memory and volumes, and secrets are files that are named here and
made by somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from podium.docker.plan import ARCHIVE_DIR, GATEWAY, IMAGES, STREAM, DockerPlan, worker
from podium.docker.stream import CONFIG, MONITOR, USERS
from podium.environment import HEALTH_PORT, PORT, SETTINGS, lasting_digest
from podium.images.build import USER
from podium.records import Contender, Role
from podium.yaml_text import yaml

Service: TypeAlias = dict[str, Any]

NATS = "nats"
INSIDE, OUTSIDE = "inside", "outside"
URL, ADMIN_KEY = "stream", "admin_key"
SECRETS = "secrets"
STREAM_ENV, ARCHIVE_ENV = "stream.env", "archive.env"
STOP_SECONDS = 20
"""A gateway and the archiver take six to finish what is in hand; on a busy machine it is longer."""

READY_SECONDS = 120
"""As long may a process take to be ready for the first time: a model is loaded and tried."""


def compose(plan: DockerPlan) -> str:
    head = f"# The endpoint {plan.run.endpoint}, as `podium render docker` wrote it.\n"
    return head + yaml([document(plan)])


def document(plan: DockerPlan) -> dict[str, Any]:
    services = {
        **({NATS: _nats(plan)} if plan.own_stream else {}),
        GATEWAY: _gateway(plan),
        **{worker(each.model): _worker(plan, each) for each in plan.run.policy.contenders},
        "archiver": _archiver(plan),
    }
    volumes = [*([STREAM] if plan.own_stream else []), *(["archive"] if plan.own_archive else [])]
    return {
        "name": plan.name,
        "services": services,
        "networks": {**({INSIDE: {"internal": True}} if plan.own_stream else {}), OUTSIDE: {}},
        **({"volumes": {name: {} for name in volumes}} if volumes else {}),
        "secrets": {name: {"file": f"./{SECRETS}/{name}"} for name in secrets(plan)},
    }


def secrets(plan: DockerPlan) -> list[str]:
    """The stream's URL with its password, the admin key, NATS's users."""
    return [URL, ADMIN_KEY, *([USERS] if plan.own_stream else [])]


def needed(plan: DockerPlan) -> list[str]:
    """Files beside this one that somebody else makes, since there are secrets in them."""
    return [*(f"{SECRETS}/{name}" for name in secrets(plan)), *_stream_env(plan), *_archive_env(plan)]


def _stream_env(plan: DockerPlan) -> list[str]:
    return [STREAM_ENV] if plan.stream_keys else []


def _archive_env(plan: DockerPlan) -> list[str]:
    return [] if plan.own_archive else [ARCHIVE_ENV]


# --- services -------------------------------------------------------------------------------


def _nats(plan: DockerPlan) -> Service:
    healthy = f"http://127.0.0.1:{MONITOR}/healthz?js-server-only=true"
    return {
        "image": f"{plan.folder}/nats:{plan.release}",
        "build": _build(STREAM),
        **_restricted(),
        "secrets": [USERS],
        "volumes": [_file(f"./{CONFIG}", f"/etc/nats/{CONFIG}"), _volume(STREAM, "/data")],
        "networks": [INSIDE],
        "healthcheck": _healthcheck(["wget", "-q", "-O", "/dev/null", healthy], every=2, seconds=30),
    }


def _gateway(plan: DockerPlan) -> Service:
    return {
        "image": plan.gateway_image,
        "build": _build(GATEWAY),
        "command": ["run", "gateway"],
        "labels": _told_anew(plan),
        **_own(plan, PORT, outside=True, told={"PODIUM_ADMIN_KEY_FILE": f"/run/secrets/{ADMIN_KEY}"}),
        "secrets": [URL, ADMIN_KEY],
        "volumes": [_settings()],
        # Whoever reaches it may ask it: another address than this machine's own is the user's decision.
        "ports": [f"${{PODIUM_HOST:-127.0.0.1}}:${{PODIUM_PORT:-{PORT}}}:{PORT}"],
    }


def _worker(plan: DockerPlan, contender: Contender) -> Service:
    own = plan.worker_of(contender)
    decoy = contender.role is Role.DECOY
    told = {
        "PODIUM_ENDPOINT": plan.run.endpoint,
        "PODIUM_THREADS": str(own.threads),
        "PODIUM_TIMEOUT": f"{own.timeout:g}",
        "PODIUM_BATCH_ROWS": str(own.batch_rows),
    }
    return {
        "image": plan.gateway_image if decoy else plan.image_of(contender),
        **({} if decoy else {"build": _build(worker(contender.model))}),
        "command": ["run", "worker", contender.name],
        **_own(plan, HEALTH_PORT, outside=contender.model in plan.outbound, told=told),
        "secrets": [URL],
        **({"deploy": {"replicas": own.replicas}} if own.replicas > 1 else {}),
    }


def _archiver(plan: DockerPlan) -> Service:
    volumes = [_settings(), *([_volume("archive", ARCHIVE_DIR)] if plan.own_archive else [])]
    return {
        "image": plan.gateway_image,
        "command": ["run", "archiver"],
        "labels": _told_anew(plan),
        **_own(plan, HEALTH_PORT, outside=not plan.own_archive, keys=_archive_env(plan)),
        "secrets": [URL],
        "volumes": volumes,
    }


# --- what they have in common ---------------------------------------------------------------


def _build(target: str) -> Service:
    """Only one service says so of an image: others that name it find it made."""
    return {"context": f"./{IMAGES}", "target": target}


def _own(
    plan: DockerPlan,
    port: int,
    *,
    outside: bool,
    told: Mapping[str, str] = MappingProxyType({}),
    keys: Iterable[str] = (),
) -> Service:
    """One of Podium's own processes, whose probes are answered on this port. `keys`: files of variables."""
    inside = [INSIDE] if plan.own_stream else []
    files = [*_stream_env(plan), *keys]
    return {
        **_restricted(),
        "environment": {"PODIUM_STREAM_FILE": f"/run/secrets/{URL}", **told},
        **({"env_file": [f"./{file}" for file in files]} if files else {}),
        "tmpfs": ["/tmp:size=32m,mode=1777"],
        "networks": [*inside, *([OUTSIDE] if outside or not inside else [])],
        **({"depends_on": {NATS: {"condition": "service_healthy"}}} if plan.own_stream else {}),
        "healthcheck": _healthcheck(_ask(port), every=10, seconds=READY_SECONDS),
    }


def _told_anew(plan: DockerPlan) -> dict[str, str]:
    """Who reads the settings file is made anew for another one, which no builder or engine looks into."""
    return {"podium.settings": lasting_digest(plan.run)}


def _restricted() -> Service:
    return {
        "user": USER,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": f"{STOP_SECONDS}s",
    }


def _ask(port: int) -> list[str]:
    """What every image of Podium has is Python; a program that asks over HTTP it may not have."""
    return [
        *("python3", "-I", "-c"),
        f"import http.client as h; c = h.HTTPConnection('127.0.0.1', {port}, timeout=4); "
        "c.request('GET', '/ready'); exit(c.getresponse().status != 200)",
    ]


def _healthcheck(command: Iterable[str], *, every: int, seconds: int) -> Service:
    return {
        "test": ["CMD", *command],
        "interval": f"{every}s",
        "timeout": "5s",
        "retries": 3,
        "start_period": f"{seconds}s",
    }


def _settings() -> Service:
    return _file(f"./{SETTINGS.name}", str(SETTINGS))


def _file(source: str, target: str) -> Service:
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def _volume(name: str, target: str) -> Service:
    return {"type": "volume", "source": name, "target": target}
