"""Who we are to a registry: what `docker login`, `podman login` or a credential helper keeps.

Looked at in this order: `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json`, `~/.docker/config.json`. In a
file, a helper for the registry (`credHelpers`) wins over `credsStore`, and that over what the file holds.
"""

from __future__ import annotations

import base64
import binascii
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from podium.errors import Denied
from podium.oci.reference import DOCKER_HUB

HELPER_SECONDS = 30.0
_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN = "<token>"
"""The user's name that a helper gives for an identity token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """A user and a password, or an identity token (Azure's registry, after `az acr login`)."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class _Auth(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Config(msgspec.Struct):
    auths: dict[str, _Auth] = {}
    creds_store: str = msgspec.field(default="", name="credsStore")
    cred_helpers: dict[str, str] = msgspec.field(default={}, name="credHelpers")


class _Helped(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""


def credentials_of(host: str, environment: Mapping[str, str]) -> Credentials | None:
    """None where nobody has logged in. Raises Denied for a file or a helper that does not work."""
    path = _config_path(environment)
    try:
        config = msgspec.json.decode(path.read_bytes(), type=_Config)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError, UnicodeDecodeError) as error:
        raise Denied(f"{path}, which holds the registries' passwords, cannot be read: {error}") from None
    keys = (_HUB_KEY, host) if host == DOCKER_HUB else (host, f"https://{host}")
    for key in keys:
        helper = config.cred_helpers.get(key) or config.creds_store
        if helper and (found := _helped(helper, key, environment)):
            return found
        if key in config.auths:
            return _kept(config.auths[key], host, path)
    return None


def _config_path(environment: Mapping[str, str]) -> Path:
    if named := environment.get("REGISTRY_AUTH_FILE"):
        return Path(named)
    folder = environment.get("DOCKER_CONFIG")
    return (
        Path(folder) if folder else Path(environment.get("HOME", "~")).expanduser() / ".docker"
    ) / "config.json"


def _helped(helper: str, key: str, environment: Mapping[str, str]) -> Credentials | None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS,
            check=False,
            env=dict(environment),
        )
    except FileNotFoundError:
        raise Denied(f"{key}: its password is kept by {program}, which is not in PATH: install it") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Denied(f"{key}: {program} gives no password: {error}") from None
    if done.returncode:
        said = (done.stdout or done.stderr).decode(errors="replace").strip().partition("\n")[0]
        if "not found" in said:
            return None
        raise Denied(f"{key}: {program} gives no password: {said}")
    try:
        found = msgspec.json.decode(done.stdout, type=_Helped)
    except msgspec.DecodeError as error:
        raise Denied(f"{key}: {program} says something else than a password: {error}") from None
    if found.username == _TOKEN:
        return Credentials(identity=found.secret)
    return Credentials(user=found.username, password=found.secret)


def _kept(auth: _Auth, host: str, path: Path) -> Credentials | None:
    user, password = auth.username, auth.password
    if auth.auth:
        try:
            user, _, password = base64.b64decode(auth.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Denied(f"{path}: what it keeps for {host} is damaged: log in again") from None
    if auth.identitytoken:
        return Credentials(user=user, identity=auth.identitytoken)
    return Credentials(user=user, password=password) if user else None
