"""Names of images: `HOST[:PORT]/NAME[:TAG][@sha256:…]`, or `oci:FOLDER[:TAG]` for a layout on the disk."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from podium.errors import ImageError

_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>{_NAME}(?:/{_NAME})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)
_LABEL = "[A-Za-z0-9-]{1,63}"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{{1,5}}))?")
_LAST_PORT = 65535
_LAYOUT_TAG = re.compile(r"\w[\w.-]{0,127}")
DOCKER_HUB = "docker.io"
LATEST = "latest"
LOCAL = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """An image in a registry. A digest wins over a tag; without either the tag is `latest`."""

    host: str
    name: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """As Docker reads it: without a host it is Docker's hub. Raises ImageError."""
        host, slash, rest = text.partition("/")
        if not slash or not ("." in host or ":" in host or host == "localhost"):
            host, rest = DOCKER_HUB, text if slash else f"library/{text}"
        found, place = _REFERENCE.fullmatch(rest), _HOST.fullmatch(host)
        if not found or not place or int(place["port"] or 1) not in range(1, _LAST_PORT + 1):
            raise ImageError(
                f"{text!r} is no image's name: it is like registry.example.com/team/model:1, in lower case"
            )
        return cls(host=host, name=found["name"], tag=found["tag"] or "", digest=found["digest"] or "")

    @property
    def version(self) -> str:
        """What a registry is asked for."""
        return self.digest or self.tag or LATEST

    @property
    def is_local(self) -> bool:
        return self.host.rpartition(":")[0] in LOCAL or self.host in LOCAL

    @property
    def repository(self) -> str:
        return f"{self.host}/{self.name}"

    def at(self, digest: str) -> Reference:
        return replace(self, digest=digest)

    def __str__(self) -> str:
        tag, digest = self.tag and f":{self.tag}", self.digest and f"@{self.digest}"
        return f"{self.repository}{tag}{digest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutReference:
    """An image in a layout on this disk; without a tag the only one there."""

    folder: Path
    tag: str = ""

    def __str__(self) -> str:
        return f"oci:{self.folder}{self.tag and f':{self.tag}'}"


def parse(text: str) -> Reference | LayoutReference:
    """Raises ImageError."""
    if not text.startswith("oci:"):
        return Reference.parse(text)
    place = text.removeprefix("oci:")
    folder, colon, tag = place.rpartition(":")
    if colon and folder and _LAYOUT_TAG.fullmatch(tag):
        return LayoutReference(folder=Path(folder), tag=tag)
    if not place:
        raise ImageError("oci: needs a folder, as in oci:./image")
    return LayoutReference(folder=Path(place))
