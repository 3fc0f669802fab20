"""One repository of a registry, over the OCI distribution API: manifests, blobs, what refers to them.

A blob goes up in pieces. Where a connection breaks off in the middle, the registry is asked how far it got,
and the rest follows; what it has from another repository it is asked to mount, and nothing goes up.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import urlencode, urljoin

import msgspec

from podium.errors import DamagedBlob, Denied, ImageRegistryAway, NoSuchImage, Refused
from podium.oci.credentials import Credentials, credentials_of
from podium.oci.documents import INDEX, INDEXES, MANIFESTS, Descriptor, Index, decode, encode, sha256
from podium.oci.layout import Layout
from podium.oci.reference import DOCKER_HUB, Reference
from podium.oci.transport import AGAIN, PAUSES, BrokenOff, Reply, Transport

CHUNK = 16 * 1024 * 1024
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """How a registry is reached: an authority beside the system's, or no TLS at all."""

    ca: Path | None = None
    plain: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


class _LostUpload(Exception):
    """The registry does not know an upload any more: it has to begin anew."""


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


class _Problem(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Problems(msgspec.Struct):
    errors: list[_Problem] = []


class Repository:
    """A repository. `with` closes its connections. Raises ImageError's kinds, each in one line."""

    def __init__(self, reference: Reference, access: Access | None = None) -> None:
        access = access or Access()
        self.name = reference.name
        self.host = reference.host
        self._environment = access.environment
        api = "registry-1.docker.io" if self.host == DOCKER_HUB else self.host
        self._transport = Transport(api, ca=access.ca, plain=access.plain, local=reference.is_local)
        self._authorization: dict[str, str] = {}
        self._mounts_from = ""
        self.sent = 0
        """Bytes of blobs that went up."""

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    # --- manifests ----------------------------------------------------------------------------

    def manifest(self, version: str) -> tuple[Descriptor, bytes]:
        """A manifest or index, by tag or digest. Raises NoSuchImage, DamagedBlob."""
        reply = self._ask(
            "GET", self._path("manifests", version), headers={"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        )
        if reply.status == 404:
            raise NoSuchImage(
                f"{self.host}/{self.name} has no {version}; look at name and tag, and whether it was pushed"
            )
        self._check(reply, f"reading {version}")
        digest = sha256(reply.body)
        if version.startswith("sha256:") and digest != version:
            raise DamagedBlob(f"{self.host}/{self.name} gave another manifest than {version}: {digest}")
        kind = reply.header("content-type").partition(";")[0].strip()
        return Descriptor(media_type=kind, digest=digest, size=len(reply.body)), reply.body

    def put_manifest(self, content: bytes, media_type: str, version: str) -> Descriptor:
        """Keep a manifest under a tag, or under its own digest; its blobs are there already."""
        reply = self._ask(
            "PUT", self._path("manifests", version), headers={"Content-Type": media_type}, body=content
        )
        self._check(reply, f"writing the manifest {version}")
        return Descriptor(media_type=media_type, digest=sha256(content), size=len(content))

    def referrers(self, digest: str) -> list[Descriptor]:
        """Manifests about this one: of the referrers API, or of its fallback tag."""
        reply = self._ask("GET", self._path("referrers", digest))
        if reply.status == 404:
            try:
                _, content = self.manifest(_fallback(digest))
            except NoSuchImage:
                return []
        else:
            self._check(reply, f"reading what refers to {digest}")
            content = reply.body
        return decode(content, Index, what=f"what refers to {digest}").manifests

    def refer(self, content: bytes, manifest: Descriptor, subject: str) -> None:
        """Keep a manifest that is about `subject`; in the fallback tag where there is no referrers API."""
        reply = self._ask(
            "PUT",
            self._path("manifests", manifest.digest),
            headers={"Content-Type": manifest.media_type},
            body=content,
        )
        self._check(reply, f"writing the manifest {manifest.digest}")
        if reply.header("oci-subject"):
            return
        others = [each for each in self.referrers(subject) if each.digest != manifest.digest]
        index = Index(schema_version=2, media_type=INDEX, manifests=[*others, manifest])
        self.put_manifest(encode(index), INDEX, _fallback(subject))

    # --- blobs --------------------------------------------------------------------------------

    def has(self, digest: str) -> bool:
        reply = self._ask("HEAD", self._path("blobs", digest))
        if reply.status != 404:
            self._check(reply, f"looking for {digest}")
        return reply.status != 404

    def fetch(self, blob: Descriptor, layout: Layout) -> None:
        """Bring a blob here, unless it is. Raises NoSuchImage, DamagedBlob."""
        if layout.has(blob.digest):
            return
        for pause in (*PAUSES, None):
            try:
                layout.put_stream(self._pieces(blob), blob.media_type, expected=blob.digest)
                return
            except BrokenOff as error:
                if pause is None:
                    raise ImageRegistryAway(f"{self.host} broke off again and again: {error}") from None
                time.sleep(pause)

    def _pieces(self, blob: Descriptor) -> Iterator[bytes]:
        url = self._path("blobs", blob.digest)
        headers = self._headers("pull")
        for _ in range(5):
            with self._transport.stream(url, headers) as (reply, pieces):
                if reply.status in (301, 302, 303, 307, 308):
                    url = urljoin(self._transport.absolute(url), reply.header("location"))
                    headers = {}  # the storage behind a registry has its own way, in the address
                    continue
                if reply.status == 401 and headers is not None and self._log_in(reply, "pull"):
                    headers = self._headers("pull")
                    continue
                if reply.status == 404:
                    raise NoSuchImage(f"{self.host}/{self.name} has no blob {blob.digest}")
                self._check(reply, f"reading {blob.digest}")
                yield from pieces
                return
        raise ImageRegistryAway(f"{self.host} leads in circles for {blob.digest}")

    def push(self, blob: Descriptor, layout: Layout, *, mount_from: str = "") -> int:
        """Let the registry have a blob; returns the bytes that went up, 0 where it had it.

        Raises DamagedBlob for one that is damaged here.
        """
        if self.has(blob.digest):
            return 0
        layout.checked(blob)  # the registry would refuse it, at its end
        self._mounts_from = mount_from or self._mounts_from
        for pause in (*PAUSES, None):
            try:
                return self._sent(blob, layout, mount_from)
            except _LostUpload as error:
                if pause is None:
                    raise ImageRegistryAway(
                        f"{self.host} broke off again and again, {error} of {blob.size} of {blob.digest}; "
                        "nothing of it is visible there: push again"
                    ) from None
                time.sleep(pause)
        raise AssertionError  # the last try returns or raises

    def _sent(self, blob: Descriptor, layout: Layout, mount_from: str) -> int:
        start = self._path("blobs", "uploads/")
        mount = f"{start}?{urlencode({'mount': blob.digest, 'from': mount_from})}"
        reply = self._ask("POST", mount if mount_from else start, headers={"Content-Length": "0"})
        if mount_from and reply.status in (401, 403):  # we may not read there: so the bytes go up
            reply = self._ask("POST", start, headers={"Content-Length": "0"})
        self._check(reply, f"beginning to write {blob.digest}")
        if reply.status == 201:
            return 0
        with layout.path(blob.digest).open("rb") as file:
            location = self._upload(file, blob, self._location(reply))
        joint = "&" if "?" in location else "?"
        url = f"{location}{joint}{urlencode({'digest': blob.digest})}"
        reply = self._ask("PUT", url, headers={"Content-Length": "0"})
        self._check(reply, f"finishing {blob.digest}")
        self.sent += blob.size
        return blob.size

    def _upload(self, file: IO[bytes], blob: Descriptor, location: str) -> str:
        """Send the pieces; returns where the upload is finished. Each piece that arrives renews the tries."""
        at, tries = 0, 0
        while at < blob.size:
            file.seek(at)
            piece = file.read(CHUNK)
            reply = self._piece(location, at, piece)
            if reply is not None and reply.status == 202:
                location, at, tries = self._location(reply), at + len(piece), 0
                continue
            if reply is not None and reply.status == 401 and self._log_in(reply, "push") and tries == 0:
                tries = 1  # a token may run out during a long upload; the next one should not
                continue
            if reply is not None and reply.status not in (*AGAIN, 404, 416):
                self._check(reply, f"writing {blob.digest} at byte {at} of {blob.size}")
            if tries == len(PAUSES):
                raise _LostUpload(f"at byte {at}")
            time.sleep(PAUSES[tries])
            tries += 1
            location, at = self._resumed(location, blob, at)
        return location

    def _piece(self, location: str, at: int, piece: bytes) -> Reply | None:
        """The registry's answer; None where the connection broke off."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{at}-{at + len(piece) - 1}",
            **self._headers("push"),
        }
        try:
            return self._transport.once("PATCH", location, headers=headers, body=piece)
        except BrokenOff:
            return None

    def _resumed(self, location: str, blob: Descriptor, at: int) -> tuple[str, int]:
        """Where the upload goes on, as the registry says. Raises _LostUpload where it does not know any more.

        Docker's own registry forgets an upload when it has a part of a piece, and knows it when it has none.
        """
        reply = self._ask("GET", location)
        if reply.status in (404, 416):
            raise _LostUpload(f"at byte {at}")
        self._check(reply, f"going on with {blob.digest}")
        found = _RANGE.match(reply.header("range"))
        arrived = int(found[1]) + 1 if found and int(found[1]) else 0
        return self._location(reply) if reply.header("location") else location, arrived

    def _location(self, reply: Reply) -> str:
        return urljoin(self._transport.base + "/", reply.header("location"))

    # --- who we are ---------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        action = "pull" if method in ("GET", "HEAD") and "/uploads/" not in url else "push"
        reply = self._transport.ask(
            method, url, headers={**(headers or {}), **self._headers(action)}, body=body
        )
        if reply.status == 401 and self._log_in(reply, action):
            reply = self._transport.ask(
                method, url, headers={**(headers or {}), **self._headers(action)}, body=body
            )
        return reply

    def _headers(self, action: str) -> dict[str, str]:
        known = self._authorization.get(action) or self._authorization.get("push")
        return {"Authorization": known} if known else {}

    def _log_in(self, reply: Reply, action: str) -> bool:
        """Get what the registry asks for; False where it was given, and the registry refuses it."""
        scheme, _, rest = reply.header("www-authenticate").partition(" ")
        credentials = credentials_of(self.host, self._environment)
        match scheme.lower():
            case "basic":
                found = credentials.basic if credentials and credentials.user else ""
            case "bearer":
                found = f"Bearer {self._token(dict(_PARAMETER.findall(rest)), action, credentials)}"
            case _:
                raise Denied(
                    f"{self.host} asks for {scheme or 'nothing that is known'}: basic and bearer are"
                )
        if not found or (scheme.lower() == "basic" and self._authorization.get(action) == found):
            return False
        self._authorization[action] = found
        return True

    def _token(self, asked: Mapping[str, str], action: str, credentials: Credentials | None) -> str:
        scopes = [f"repository:{self.name}:{'pull,push' if action == 'push' else 'pull'}"]
        if self._mounts_from and action == "push":  # or the registry would not mount what we may not read
            scopes.append(f"repository:{self._mounts_from}:pull")
        service, realm = asked.get("service", ""), asked.get("realm", "")
        if credentials and credentials.identity:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity,
                "client_id": "podium",
                "service": service,
                "scope": " ".join(scopes),
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            reply = self._transport.ask("POST", realm, headers=headers, body=urlencode(form).encode())
        else:
            headers = {"Authorization": credentials.basic} if credentials else {}
            query = urlencode({"service": service, "scope": scopes}, doseq=True)
            reply = self._transport.ask("GET", f"{realm}?{query}", headers=headers)
        self._check(reply, "logging in")
        token = decode(reply.body, _Token, what=f"the token of {realm}")
        return token.token or token.access_token

    # --- what it says -------------------------------------------------------------------------

    def _path(self, kind: str, what: str) -> str:
        return f"/v2/{self.name}/{kind}/{what}"

    def _check(self, reply: Reply, doing: str) -> None:
        if reply.status // 100 == 2:
            return
        where = f"{self.host}/{self.name}: {doing}"
        said = _said(reply)
        match reply.status:
            case 401:
                raise Denied(
                    f"{where}: user or password is missing or wrong; `docker login {self.host}`, or "
                    f"`podman login`, keeps the right one{said}"
                )
            case 403:
                raise Denied(f"{where}: this user may not do that{said}; ask the registry's owner")
            case 404:
                raise NoSuchImage(f"{where}: there is no such repository or upload{said}")
            case 413 | 507 | 429:
                raise Refused(
                    f"{where}: the registry takes no more (status {reply.status}){said}; look at its quota "
                    "and limits"
                )
            case status if status >= 500:
                raise ImageRegistryAway(f"{where}: the registry failed with status {status}{said}; try again")
            case status:
                raise Refused(f"{where}: the registry refuses with status {status}{said}")


def _said(reply: Reply) -> str:
    try:
        problems = msgspec.json.decode(reply.body, type=_Problems).errors
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return f" ({'; '.join(' '.join((p.code, p.message)).strip() for p in problems)})" if problems else ""


def _fallback(digest: str) -> str:
    """The tag under which registries without a referrers API keep what refers to a digest."""
    return digest.replace(":", "-", 1)
