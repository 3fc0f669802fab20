"""What a NATS URL says: `nats://USER:PASSWORD@HOST:PORT`, or `tls://…` where nothing goes in clear.

Beyond the server's own form it may have, after `?`: `ca` (a file with the authorities that are trusted,
instead of the system's), `name` (the name in the server's certificate, where it is not the host's) and
`replicas` (how many servers of a cluster keep what is stored).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from podium.errors import ProjectError

PORT = 4222
OPTIONS = ("ca", "name", "replicas")
REPLICAS = (1, 3, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One NATS server or cluster. `encrypted` says that it must speak TLS; it may ask for it unasked."""

    host: str
    port: int = PORT
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
            port = parts.port or PORT
        except ValueError as error:
            raise ProjectError(f"the stream's URL cannot be read: {error}") from None
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(options.keys() - set(OPTIONS)):
            raise ProjectError(f"the stream's URL has {unknown[0]!r}; known are {', '.join(OPTIONS)}")
        host = parts.hostname or "localhost"
        return cls(
            host=host,
            port=port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            encrypted=parts.scheme == "tls",
            ca=options.get("ca"),
            name=options.get("name", host),
            replicas=_replicas(options.get("replicas", "1")),
        )

    @property
    def server(self) -> str:
        """The URL without credentials and options, as a general client takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.encrypted else 'nats'}://{host}:{self.port}"

    def trust(self) -> ssl.SSLContext:
        """Who may be the server. Raises ProjectError for a file of authorities that cannot be read."""
        try:
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise ProjectError(f"the stream's authorities in {self.ca} cannot be read: {error}") from None


def _replicas(word: str) -> int:
    if word not in map(str, REPLICAS):
        raise ProjectError(f"replicas={word} in the stream's URL: a stream is kept by 1, 3 or 5 servers")
    return int(word)
