"""What a NATS URL says: `nats://USER:PASSWORD@HOST:PORT`, or `tls://…` where nothing goes in clear.

Several servers of one cluster stand one after the other, as in `nats://USER:PASSWORD@A:4222,B:4222`; a
host's name may stand for several as well. Beyond the server's own form it may have, after `?`: `ca` (a file
with the authorities that are trusted, instead of the system's), `name` (the name in the servers'
certificate, where it is not the host's) and `replicas` (how many servers of a cluster keep what is stored).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from podium.errors import ProjectError

PORT = 4222
OPTIONS = ("ca", "name", "replicas")
REPLICAS = (1, 3, 5)


class Server(NamedTuple):
    """Where one server, or all those behind one name, listen."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One NATS server or cluster. `encrypted` says that it must speak TLS; it may ask for it unasked.

    `name` is the one in the servers' certificate, where that is not the host's.
    """

    servers: tuple[Server, ...]
    user: str = ""
    password: str = ""
    encrypted: bool = False
    ca: str | None = None
    name: str = ""
    replicas: int = 1

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ProjectError, which never holds the password, for what is no such URL."""
        try:
            parts = urlsplit(url)
            credentials, _, hosts = parts.netloc.rpartition("@")
            servers = tuple(_server(host) for host in hosts.split(","))
        except ValueError as error:
            raise ProjectError(f"the stream's URL cannot be read: {error}") from None
        user, _, password = credentials.partition(":")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(options.keys() - set(OPTIONS)):
            raise ProjectError(f"the stream's URL has {unknown[0]!r}; known are {', '.join(OPTIONS)}")
        return cls(
            servers=servers,
            user=unquote(user),
            password=unquote(password),
            encrypted=parts.scheme == "tls",
            ca=options.get("ca"),
            name=options.get("name", ""),
            replicas=_replicas(options.get("replicas", "1")),
        )

    @property
    def urls(self) -> list[str]:
        """A URL for each server, without credentials and options, as a general client takes them."""
        return [f"{'tls' if self.encrypted else 'nats'}://{server}" for server in self.servers]

    def trust(self) -> ssl.SSLContext:
        """Who may be the server. Raises ProjectError for a file of authorities that cannot be read."""
        try:
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise ProjectError(f"the stream's authorities in {self.ca} cannot be read: {error}") from None


def _server(text: str) -> Server:
    """Raises ValueError for a port that is none."""
    parts = urlsplit(f"//{text}")
    return Server(parts.hostname or "localhost", parts.port or PORT)


def _replicas(word: str) -> int:
    if word not in map(str, REPLICAS):
        raise ProjectError(f"replicas={word} in the stream's URL: a stream is kept by 1, 3 or 5 servers")
    return int(word)
