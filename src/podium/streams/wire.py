"""A connection to a NATS server with only what frames need, and without a task or a queue for each listener.

A general client reads, parses and queues each message, and wakes a task for it. On the request path
that costs more than all that is done with the message, so here a message is handed to its listener while
the bytes that brought it are read, and what is published is written at once.

The protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from podium.errors import StreamAway
from podium.streams.nats_address import Address, Server
from podium.streams.race import first

log = logging.getLogger(__name__)

BUFFER_BYTES = 128 * 1024
KEPT_BUFFER_BYTES = 1024 * 1024
"""A buffer that a large message made larger than this is given back after it."""

STAGGER_SECONDS = 0.25
"""So long a server has to let us in before the next one is tried beside it."""

NEWLINE = b"\r\n"
_PAYLOAD_FOLLOWS = (b"M", b"H")  # MSG and HMSG


class Message(NamedTuple):
    """What a listener gets; `status` is the server's own word on a request, as in `503` or `404`."""

    payload: bytes
    subject: str
    reply: str
    status: str


Listen: TypeAlias = Callable[[Message], None]


class Wire(asyncio.BufferedProtocol):
    """One connection, from `open` to its end; it does not reconnect.

    `publish`, `listen` and `unlisten` never wait: what cannot be sent at once waits in `pending` bytes.
    Listeners are called in the order of the messages, and must not wait either. After each look at what
    has come the connection looks away for `linger` seconds. `heard` grows with whatever comes.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.closed = False
        self.linger = 0.0
        self.heard = 0
        self._error = "the connection was closed"
        self.info: dict[str, Any] = {}
        self._ended: Callable[[], None] = _nobody
        self._awaited: set[asyncio.Future[Any]] = set()
        self._greeted = self.answer()
        self._listeners: dict[int, Listen] = {}
        self._sid = 0
        self._pongs: deque[asyncio.Future[Any] | None] = deque()
        self._resize(BUFFER_BYTES)
        self._filled = 0
        self._needed = 0

    @classmethod
    async def open(cls, url: str, *, ended: Callable[[], None]) -> Wire:
        """A connection to the first of the URL's servers that lets us in; a silent one holds up none.

        Raises StreamAway, OSError, ProjectError. `ended` is called once when it ends, unless that was by
        `close`.
        """
        address = Address.parse(url)
        places = await _places(address.servers)
        ways = [partial(cls._open_one, address, server, ip) for server, ip in places]
        wire = await first(ways, stagger=STAGGER_SECONDS, discard=cls.close)
        if wire.closed:
            raise wire._gone()
        wire._ended = ended  # only now: the end of one that was not chosen is nobody's business
        return wire

    @classmethod
    async def _open_one(cls, address: Address, server: Server, ip: str) -> Wire:
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(cls, ip, server.port)
        try:
            await wire._greeted
            if address.encrypted or wire.info.get("tls_required"):
                await wire._encrypt(address, server)
            wire._introduce(address.user, address.password)
            await wire.settle()
        except BaseException:
            wire.close()
            raise
        return wire

    async def _encrypt(self, address: Address, server: Server) -> None:
        """The server has said who it is in clear; before a password follows, both change to TLS."""
        if not (self.info.get("tls_required") or self.info.get("tls_available")):
            raise StreamAway(f"{server} does not speak TLS, so it is sent no password")
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                self._transport, self, address.trust(), server_hostname=address.name or server.host
            )
        except ssl.SSLError as error:
            raise StreamAway(f"no TLS with {server}: {_reason(error)}") from None
        if transport is None:
            raise StreamAway(f"no TLS with {server}: it hung up")
        self._transport = transport

    def _introduce(self, user: str, password: str) -> None:
        about = {
            "verbose": False,
            "pedantic": False,
            "lang": "podium",
            "version": "1",
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            **({"user": user, "pass": password} if user else {}),
        }
        self._transport.write(b"CONNECT " + json.dumps(about).encode() + NEWLINE)

    # --- out --------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Bytes that the system has not taken yet."""
        return self._transport.get_write_buffer_size()

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        head = f"PUB {subject} {reply} {len(payload)}\r\n".encode()
        self._transport.writelines((head, payload, NEWLINE))

    def listen(self, subject: str, listener: Listen, group: str = "") -> int:
        """Returns the subscription's number; `settle` says when the server knows of it."""
        self._sid += 1
        self._listeners[self._sid] = listener
        self._transport.write(f"SUB {subject} {group} {self._sid}\r\n".encode())
        return self._sid

    async def unlisten(self, sid: int) -> None:
        """Returns when all that was sent to it is handled. Raises StreamAway."""
        self._send(f"UNSUB {sid}\r\n".encode())
        await self.settle()
        self._listeners.pop(sid, None)

    def forget(self, sid: int) -> None:
        """The same at once, without what is on its way."""
        self._listeners.pop(sid, None)
        self._send(f"UNSUB {sid}\r\n".encode())

    def _send(self, command: bytes) -> None:
        if not self.closed:
            self._transport.write(command)

    async def settle(self) -> None:
        """Return when the server has handled all that it was told so far. Raises StreamAway."""
        answer = self.answer()
        self._ask_life(answer)
        await answer

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._ask_life(None)

    def _ask_life(self, answer: asyncio.Future[Any] | None) -> None:
        self._pongs.append(answer)
        self._send(b"PING\r\n")

    def answer(self) -> asyncio.Future[Any]:
        """A future for what the server will say; it fails with StreamAway when the connection ends."""
        if self.closed:
            raise self._gone()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._awaited.add(future)
        future.add_done_callback(self._awaited.discard)
        return future

    async def request(self, subject: str, payload: bytes, *, seconds: float) -> bytes:
        """What the server answers. Raises StreamAway, TimeoutError."""
        answer = self.answer()
        inbox = new_inbox()
        sid = self.listen(inbox, partial(_answered, answer))
        try:
            self.publish(subject, payload, inbox)
            async with asyncio.timeout(seconds):
                found: Message = await answer
        finally:
            self.forget(sid)
        if found.status:
            raise StreamAway(f"the message stream has no {subject} ({found.status})")
        return found.payload

    def close(self) -> None:
        """End at once, and tell nobody."""
        self._ended = _nobody
        self.abort()

    def abort(self) -> None:
        """End at once, as if the connection had broken."""
        self._transport.abort()
        self.connection_lost(None)

    # --- in ---------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        self.heard += nbytes
        if self._filled >= self._needed:
            self._read()
        if self.linger and not self.closed:  # look away: what comes meanwhile wakes nobody
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(self.linger, self._look_again)

    def _look_again(self) -> None:
        if not self.closed:
            self._transport.resume_reading()

    def _read(self) -> None:
        """Handle what has come whole; the rest moves to the buffer's start."""
        start, filled = 0, self._filled
        self._needed = 0
        while (end := self._buffer.find(NEWLINE, start, filled)) >= 0:
            line = bytes(self._view[start:end])
            first = end + len(NEWLINE)
            if line[:1] in _PAYLOAD_FOLLOWS:
                words = line.split()
                last = first + int(words[-1])
                if last + len(NEWLINE) > filled:
                    self._needed = last + len(NEWLINE) - start
                    break
                self._hand_over(words, self._view[first:last])
                start = last + len(NEWLINE)
            else:
                self._obey(line)
                start = first
        self._filled = filled - start
        self._make_room(start, filled)

    def _make_room(self, start: int, filled: int) -> None:
        rest = self._view[start:filled]
        if self._needed > len(self._buffer):
            self._resize(self._needed, rest)
        elif len(self._buffer) > KEPT_BUFFER_BYTES >= self._needed and len(rest) < BUFFER_BYTES:
            self._resize(max(BUFFER_BYTES, self._needed), rest)
        elif start:
            self._view[: len(rest)] = rest
        elif len(rest) == len(self._buffer):
            self._fail("a line of the server's is too long")

    def _resize(self, size: int, keep: memoryview | bytes = b"") -> None:
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)
        self._view[: len(keep)] = keep

    def _hand_over(self, words: list[bytes], content: memoryview) -> None:
        """`MSG subject sid [reply] size`, or `HMSG subject sid [reply] head-size size`."""
        listener = self._listeners.get(int(words[2]))
        if listener is None:
            return
        status = ""
        sizes = 1
        if words[0] == b"HMSG":
            sizes = 2
            head = int(words[-2])
            status = _status(bytes(content[:head]))
            content = content[head:]
        reply = words[3].decode() if len(words) > 3 + sizes else ""
        try:
            listener(Message(bytes(content), words[1].decode(), reply, status))
        except Exception:
            log.exception("a receiver of %s failed", words[1].decode())

    def _obey(self, line: bytes) -> None:
        match line[:4]:
            case b"PING":
                self._transport.write(b"PONG\r\n")
            case b"PONG":
                answer = self._pongs.popleft()
                if answer is not None and not answer.done():
                    answer.set_result(None)
            case b"INFO":
                self.info = json.loads(line[4:])
                if not self._greeted.done():
                    self._greeted.set_result(None)
            case b"-ERR":
                self._error = line[4:].decode().strip(" '")
                log.warning("stream: the broker says %s", self._error)

    def _fail(self, error: str) -> None:
        self._error = error
        self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        self._error = str(error or self._error)
        for answer in self._awaited:
            if not answer.done():
                answer.set_exception(self._gone())
                answer.exception()  # whoever waited may have left: that is nothing to complain about
        self._ended()

    def _gone(self) -> StreamAway:
        return StreamAway(f"the message stream is away: {self._error}")


async def _places(servers: Sequence[Server]) -> list[tuple[Server, str]]:
    """Each server, or each of those behind its name, with its address. Raises OSError for none."""
    loop = asyncio.get_running_loop()
    places: list[tuple[Server, str]] = []
    unknown: OSError | None = None
    for server in servers:
        try:
            found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        except OSError as error:
            unknown = error
        else:
            places += [(server, str(where[0])) for *_, where in found]
    if unknown and not places:
        raise unknown
    return places


def new_inbox() -> str:
    """A subject that nobody else listens to."""
    return f"_INBOX.{secrets.token_hex(12)}"


def _answered(answer: asyncio.Future[Message], message: Message) -> None:
    if not answer.done():
        answer.set_result(message)


def _status(head: bytes) -> str:
    """The number in a header's first line, as in `NATS/1.0 503`."""
    words = head.partition(NEWLINE)[0].split()
    return words[1].decode() if len(words) > 1 else ""


def _reason(error: ssl.SSLError) -> str:
    """The library's own words, without the place in its source."""
    words = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
    return str(words or error)


def _nobody() -> None:
    """Nobody wants to know."""
