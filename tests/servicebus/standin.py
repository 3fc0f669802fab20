"""A stand-in for Azure Service Bus, as much of it as Podium uses: for tests, on this machine only.

The official SDK talks to it with `UseDevelopmentEmulator=true`: AMQP 1.0 on one port, and on another the
HTTP interface by which topics, subscriptions and rules are made. It has topics, subscriptions with
correlation filters, peek-lock with locks that expire, delivery counts, dead letters, times to live,
`$management` (peek, renewal of locks), a largest message and a largest topic. It forgets all when it ends.

    python standin.py AMQP_PORT HTTP_PORT
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from proton import UNDESCRIBED, Array, Condition, Data, Delivery, Event, Link, Message, symbol, timestamp
from proton.handlers import MessagingHandler
from proton.reactor import Container

HOST = "127.0.0.1"
MAX_MESSAGE = 256 * 1024
TICK_SECONDS = 0.05
ATOM = "http://www.w3.org/2005/Atom"
SB = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
DEAD = "/$deadletterqueue"
MANAGEMENT = "/$management"
CBS = "$cbs"
LOCK_LOST = "com.microsoft:message-lock-lost"
NEVER = float("inf")
PEEK_BYTES = 200_000
"""An answer to a peek holds no more than this, or one message."""


class Kept:
    """One message in one subscription."""

    def __init__(self, message: Message, sequence: int, expires: float) -> None:
        self.message = message
        self.sequence = sequence
        self.expires = expires
        self.count = 0


class Lock:
    """Who has a message, and until when."""

    def __init__(self, queue: Queue, kept: Kept, until: float) -> None:
        self.queue = queue
        self.kept = kept
        self.until = until


class Queue:
    """What a subscription, or its dead letters, holds."""

    def __init__(self, *, lock_s: float = 60.0, most: int = 10, ttl_s: float = NEVER) -> None:
        self.lock_s = lock_s
        self.most = most
        self.ttl_s = ttl_s
        self.rules: dict[str, Rule] = {}
        self.waiting: deque[Kept] = deque()
        self.locked: dict[uuid.UUID, Lock] = {}
        self.links: deque[Link] = deque()
        self.sequence = 0
        self.dead: Queue | None = None

    def put(self, message: Message, now: float) -> None:
        self.sequence += 1
        self.waiting.append(Kept(message, self.sequence, now + self.ttl_s))

    def give_back(self, kept: Kept, *, failed: bool) -> None:
        """Where it was; too often, and it is a dead letter."""
        kept.count += failed
        if self.dead is not None and kept.count >= self.most:
            self.bury(kept, "MaxDeliveryCountExceeded")
            return
        place = next((i for i, other in enumerate(self.waiting) if other.sequence > kept.sequence), None)
        self.waiting.insert(len(self.waiting) if place is None else place, kept)

    def bury(self, kept: Kept, reason: str) -> None:
        assert self.dead is not None
        kept.message.properties = {**(kept.message.properties or {}), "DeadLetterReason": reason}
        self.dead.put(kept.message, 0.0)

    def everything(self) -> list[Kept]:
        held = [lock.kept for lock in self.locked.values()]
        return sorted([*self.waiting, *held], key=lambda kept: kept.sequence)

    def size(self) -> int:
        return sum(len(kept.message.body or b"") for kept in self.everything())


class Rule:
    """A filter: nothing asked for lets everything in."""

    def __init__(self, label: str | None, properties: dict[str, str]) -> None:
        self.label = label
        self.properties = properties

    def matches(self, message: Message) -> bool:
        if self.label is not None and message.subject != self.label:
            return False
        found = {_text(key): value for key, value in (message.properties or {}).items()}
        return all(str(found.get(key)) == value for key, value in self.properties.items())


class Entities:
    """Topics and their subscriptions, by lower-case name."""

    def __init__(self, *, topic_bytes: float = NEVER) -> None:
        self.lock = threading.RLock()
        self.topic_bytes = topic_bytes
        self.topics: dict[str, dict[str, Queue]] = {}
        self.documents: dict[str, ET.Element] = {}

    def queue(self, address: str) -> Queue | None:
        """Of `topic/subscriptions/name`, with or without its dead letters."""
        path, dead, _ = address.partition(DEAD)
        topic, _, name = path.partition("/subscriptions/")
        found = self.topics.get(topic, {}).get(name)
        return found.dead if found and dead else found

    def publish(self, topic: str, messages: list[Message]) -> str | None:
        """The condition that refuses it, if it is refused."""
        subscriptions = self.topics.get(topic)
        if subscriptions is None:
            return "amqp:not-found"
        if sum(queue.size() for queue in subscriptions.values()) > self.topic_bytes:
            return "amqp:resource-limit-exceeded"
        now = time.time()
        for message in messages:
            for queue in subscriptions.values():
                if any(rule.matches(message) for rule in queue.rules.values()):
                    queue.put(_copy(message), now)
        return None

    def queues(self) -> Iterator[Queue]:
        for subscriptions in self.topics.values():
            for queue in subscriptions.values():
                yield queue
                if queue.dead is not None:
                    yield queue.dead


class Amqp(MessagingHandler):  # type: ignore[misc]  # proton has no types
    """The broker's own door."""

    def __init__(self, port: int, entities: Entities) -> None:
        super().__init__(prefetch=1000, auto_accept=False, auto_settle=False)
        self._url = f"{HOST}:{port}"
        self._entities = entities
        self._replies: dict[tuple[Any, str], Link] = {}

    def on_start(self, event: Event) -> None:
        self._acceptor = event.container.listen(self._url)
        event.container.schedule(TICK_SECONDS, self)
        print("listening", flush=True)

    def on_timer_task(self, event: Event) -> None:
        """Locks and messages that have run out; and what came by others' doing."""
        now = time.time()
        with self._entities.lock:
            for queue in list(self._entities.queues()):
                for token, lock in list(queue.locked.items()):
                    if lock.until < now:
                        del queue.locked[token]
                        queue.give_back(lock.kept, failed=True)
                while queue.waiting and queue.waiting[0].expires < now:
                    queue.waiting.popleft()
                self._pump(queue)
        event.container.schedule(TICK_SECONDS, self)

    # --- links ------------------------------------------------------------------------------

    def on_link_opening(self, event: Event) -> None:
        link = event.link
        remote = link.remote_source if link.is_sender else link.remote_target
        address = _path(remote.address)
        link.source.address = link.remote_source.address
        link.target.address = link.remote_target.address
        link.snd_settle_mode = link.remote_snd_settle_mode
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        with self._entities.lock:
            if _is_service(address):
                if link.is_sender:
                    self._replies[event.connection, address] = link
                return
            if not link.is_sender:
                link.max_message_size = MAX_MESSAGE
                if address not in self._entities.topics:
                    self._refuse(link, address)
                return
            queue = self._entities.queue(address)
            if queue is None:
                self._refuse(link, address)
                return
            queue.links.append(link)

    def _refuse(self, link: Link, address: str) -> None:
        link.condition = Condition("amqp:not-found", f"The messaging entity '{address}' could not be found.")
        link.open()
        link.close()

    def on_link_closing(self, event: Event) -> None:
        self._forget(event.link)

    def on_disconnected(self, event: Event) -> None:
        gone = event.connection
        with self._entities.lock:
            for queue in self._entities.queues():
                for link in [link for link in queue.links if link.connection == gone]:
                    queue.links.remove(link)

    def _forget(self, link: Link) -> None:
        with self._entities.lock:
            for queue in self._entities.queues():
                with suppress(ValueError):
                    queue.links.remove(link)

    # --- in ---------------------------------------------------------------------------------

    def on_delivery(self, event: Event) -> None:
        delivery, link = event.delivery, event.link
        if not link.is_receiver or not delivery.readable or delivery.partial:
            return
        raw = link.recv(delivery.pending)
        link.advance()
        address = _path(link.target.address)
        if _is_service(address):
            self._serve(event, address, _decode(raw))
            _settle(delivery, Delivery.ACCEPTED)
            return
        with self._entities.lock:
            refused = self._entities.publish(address, list(_messages(raw)))
            if refused:
                delivery.local.condition = _condition(refused, "refused by the stand-in")
            _settle(delivery, Delivery.REJECTED if refused else Delivery.ACCEPTED)
            for queue in self._entities.topics.get(address, {}).values():
                self._pump(queue)

    # --- out --------------------------------------------------------------------------------

    def on_sendable(self, event: Event) -> None:
        address = _path(event.link.source.address)
        with self._entities.lock:
            queue = self._entities.queue(address)
            if queue is not None:
                self._pump(queue)
        if event.link.drain_mode:
            event.link.drained()

    def _pump(self, queue: Queue) -> None:
        """To each listener with credit in its turn."""
        while queue.waiting and any(link.credit > 0 for link in queue.links):
            link = queue.links[0]
            queue.links.rotate(-1)
            if link.credit > 0:
                self._send(link, queue, queue.waiting.popleft())

    def _send(self, link: Link, queue: Queue, kept: Kept) -> None:
        tag = uuid.uuid4().hex[:16]  # the SDK makes the lock's token of it, which needs 16 bytes
        token = uuid.UUID(bytes_le=tag.encode())
        until = time.time() + queue.lock_s
        deletes = link.snd_settle_mode == Link.SND_SETTLED
        delivery = link.send(_stamped(kept, until), tag=tag)
        if deletes:
            delivery.settle()
        else:
            queue.locked[token] = Lock(queue, kept, until)
            self._sent[delivery.tag] = (queue, token)

    _sent: dict[str, tuple[Queue, uuid.UUID]] = {}  # noqa: RUF012  # one broker a process

    def on_accepted(self, event: Event) -> None:
        self._settled(event.delivery, Delivery.ACCEPTED)

    def on_rejected(self, event: Event) -> None:
        self._settled(event.delivery, Delivery.REJECTED)

    def on_released(self, event: Event) -> None:
        self._settled(event.delivery, event.delivery.remote_state)

    def _settled(self, delivery: Delivery, state: int) -> None:
        with self._entities.lock:
            queue, token = self._sent.pop(delivery.tag, (None, None))
            lock = queue.locked.pop(token, None) if queue else None
            if lock is None:
                delivery.local.condition = _condition(LOCK_LOST, "The lock is lost.")
                _settle(delivery, Delivery.REJECTED)
                return
            if state == Delivery.REJECTED:
                lock.queue.bury(lock.kept, "refused")
            elif state != Delivery.ACCEPTED:
                lock.queue.give_back(lock.kept, failed=state == Delivery.MODIFIED)
                self._pump(lock.queue)
            _settle(delivery, state)

    # --- $cbs and $management ---------------------------------------------------------------

    def _serve(self, event: Event, address: str, request: Message) -> None:
        asked = {_text(key): value for key, value in (request.properties or {}).items()}
        operation = _text(asked.get("operation", ""))
        status, body = 200, {}
        if address != CBS:
            with self._entities.lock:
                queue = self._entities.queue(address.removesuffix(MANAGEMENT))
                if queue is None:
                    status = 404
                elif operation == "com.microsoft:peek-message":
                    status, body = self._peek(queue, request.body)
                elif operation == "com.microsoft:renew-lock":
                    status, body = self._renew(queue, request.body)
                else:
                    status = 501
        answer = Message(correlation_id=request.id, body=body)
        answer.properties = {"statusCode": status, "status-code": status, "status-description": operation}
        if status == 410:
            answer.properties["errorCondition"] = symbol(LOCK_LOST)
        self._replies[event.connection, address].send(answer)

    def _peek(self, queue: Queue, asked: dict[Any, Any]) -> tuple[int, Any]:
        asked = {_text(key): value for key, value in asked.items()}
        first, count = int(asked["from-sequence-number"]), int(asked["message-count"])
        found: list[dict[str, bytes]] = []
        size = 0
        for kept in queue.everything():
            if kept.sequence < first:
                continue
            encoded = _stamped(kept, 0.0).encode()
            size += len(encoded)
            if len(found) == count or (found and size > PEEK_BYTES):
                break
            found.append({"message": encoded})
        return (200, {"messages": found}) if found else (204, {})

    def _renew(self, queue: Queue, asked: dict[Any, Any]) -> tuple[int, Any]:
        tokens = next(value for key, value in asked.items() if _text(key) == "lock-tokens")
        until = time.time() + queue.lock_s
        elements = tokens.elements if isinstance(tokens, Array) else tokens
        for token in elements:
            if token not in queue.locked:
                return 410, {}
            queue.locked[token].until = until
        expirations = [timestamp(int(until * 1000)) for _ in elements]
        return 200, {"expirations": Array(UNDESCRIBED, Data.TIMESTAMP, *expirations)}


class Http(BaseHTTPRequestHandler):
    """What makes topics, subscriptions and rules, and counts."""

    entities: Entities
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = ET.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
        parts = self._parts()
        with self.entities.lock:
            path = "/".join(parts)
            if not self._allowed():
                return
            if path in self.entities.documents:
                self._answer(409, b"<Error><Code>409</Code><Detail>it exists</Detail></Error>")
                return
            match parts:
                case [topic]:
                    self.entities.topics[topic] = {}
                case [topic, "subscriptions", name] if topic in self.entities.topics:
                    queue = self.entities.topics[topic][name] = _queue(body)
                    queue.rules["$default"] = Rule(None, {})
                case [topic, "subscriptions", name, "rules", rule]:
                    queue = self.entities.topics[topic][name]
                    queue.rules[rule] = _rule(body)
                case _:
                    self._answer(404, b"<Error><Code>404</Code></Error>")
                    return
            self.entities.documents[path] = body
        self._answer(201, ET.tostring(_entry(parts[-1], body)))

    def do_DELETE(self) -> None:
        parts = self._parts()
        with self.entities.lock:
            found = self.entities.documents.pop("/".join(parts), None)
            match parts:
                case [topic, "subscriptions", name]:
                    found = self.entities.topics.get(topic, {}).pop(name, None) and found
                case [topic, "subscriptions", name, "rules", rule]:
                    subscription = self.entities.topics.get(topic, {}).get(name)
                    found = subscription and subscription.rules.pop(rule, None)
                case [topic]:
                    self.entities.topics.pop(topic, None)
        self._answer(200 if found is not None else 404, b"")

    def do_GET(self) -> None:
        parts = self._parts()
        with self.entities.lock:
            if not self._allowed():
                return
            if len(parts) == 2 and parts[1] == "subscriptions":
                self._feed(parts[0])
                return
            body = self.entities.documents.get("/".join(parts))
        if body is None:  # the service answers with an empty feed
            self._answer(200, f'<feed xmlns="{ATOM}"/>'.encode())
        else:
            self._answer(200, ET.tostring(_entry(parts[-1], body)))

    def _feed(self, topic: str) -> None:
        feed = ET.Element(f"{{{ATOM}}}feed")
        if "skip=0" in unquote(urlsplit(self.path).query) or "skip" not in self.path:
            for name, queue in self.entities.topics.get(topic, {}).items():
                feed.append(_entry(name, _counts(queue)))
        self._answer(200, ET.tostring(feed))

    def _allowed(self) -> bool:
        """A key called `listener` may make and look at nothing; one called `wrong` is not known."""
        token = unquote(self.headers.get("Authorization", ""))
        for name, status in (("skn=listener", 403), ("skn=wrong", 401)):
            if name in token:
                self._answer(status, f"<Error><Code>{status}</Code><Detail>refused</Detail></Error>".encode())
                return False
        return True

    def _parts(self) -> list[str]:
        return [part.lower() for part in unquote(urlsplit(self.path).path).strip("/").split("/")]

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/atom+xml; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


# --- documents ------------------------------------------------------------------------------


def _queue(body: ET.Element) -> Queue:
    found = Queue(
        lock_s=_seconds(body, "LockDuration", 60.0),
        most=int(_of(body, "MaxDeliveryCount") or 10),
        ttl_s=_seconds(body, "DefaultMessageTimeToLive", NEVER),
    )
    found.dead = Queue()
    return found


def _rule(body: ET.Element) -> Rule:
    properties = {}
    for pair in body.iter(f"{{{SB}}}KeyValueOfstringanyType"):
        properties[str(pair.findtext(f"{{{SB}}}Key"))] = str(pair.findtext(f"{{{SB}}}Value"))
    return Rule(_of(body, "Label"), properties)


def _counts(queue: Queue) -> ET.Element:
    assert queue.dead is not None
    content = ET.Element(f"{{{ATOM}}}content", {"type": "application/xml"})
    description = ET.SubElement(content, f"{{{SB}}}SubscriptionDescription")
    ET.SubElement(description, f"{{{SB}}}MessageCount").text = str(len(queue.everything()))
    details = ET.SubElement(description, f"{{{SB}}}CountDetails")
    space = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
    for name, count in (
        ("ActiveMessageCount", len(queue.everything())),
        ("DeadLetterMessageCount", len(queue.dead.everything())),
    ):
        ET.SubElement(details, f"{{{space}}}{name}").text = str(count)
    entry = ET.Element(f"{{{ATOM}}}entry")
    entry.append(content)
    return entry


def _entry(name: str, body: ET.Element) -> ET.Element:
    entry = ET.Element(f"{{{ATOM}}}entry")
    ET.SubElement(entry, f"{{{ATOM}}}title", {"type": "text"}).text = name
    content = next(element for element in body.iter() if element.tag.rpartition("}")[2] == "content")
    entry.append(content)
    return entry


def _of(body: ET.Element, name: str) -> str | None:
    return next((element.text for element in body.iter(f"{{{SB}}}{name}")), None)


def _seconds(body: ET.Element, name: str, usual: float) -> float:
    """An ISO 8601 duration of minutes and seconds, or the usual one."""
    text = _of(body, name)
    if not text or not text.startswith("PT"):
        return usual
    seconds, number = 0.0, ""
    for letter in text[2:]:
        if letter in "HMS":
            seconds += float(number) * {"H": 3600, "M": 60, "S": 1}[letter]
            number = ""
        else:
            number += letter
    return seconds


# --- messages -------------------------------------------------------------------------------


def _messages(raw: bytes) -> Iterator[Message]:
    """What was sent: one message, or those of a batch, whose bodies are messages themselves."""
    bodies = list(_data_sections(raw))
    if bodies and all(body[:2] == b"\x00\x53" and 0x70 <= body[2] <= 0x78 for body in bodies):
        yield from map(_decode, bodies)
    else:
        yield _decode(raw)


def _data_sections(raw: bytes) -> Iterator[bytes]:
    data = Data()
    while raw:
        data.clear()
        raw = raw[data.decode(raw) :]
        data.rewind()
        data.next()
        section = data.get_py_described() if data.type() == Data.DESCRIBED else None
        if section is not None and section.descriptor == 0x75:
            yield bytes(section.value)


def _decode(raw: bytes) -> Message:
    message = Message()
    message.decode(raw)
    return message


def _copy(message: Message) -> Message:
    return _decode(message.encode())


def _stamped(kept: Kept, until: float) -> Message:
    message = kept.message
    message.delivery_count = kept.count
    annotations = {
        symbol("x-opt-sequence-number"): kept.sequence,
        symbol("x-opt-enqueued-sequence-number"): kept.sequence,
        symbol("x-opt-enqueued-time"): timestamp(int(time.time() * 1000)),
    }
    if until:
        annotations[symbol("x-opt-locked-until")] = timestamp(int(until * 1000))
    message.annotations = annotations
    return message


def _condition(name: str, words: str) -> Condition:
    """The SDK reads all three parts of an error."""
    return Condition(name, words, {symbol("by"): "stand-in"})


def _settle(delivery: Delivery, state: int) -> None:
    delivery.update(state)
    delivery.settle()


def _path(address: str) -> str:
    return unquote(urlsplit(address).path if "//" in address else address).strip("/").lower()


def _is_service(address: str) -> bool:
    return address == CBS or address.endswith(MANAGEMENT)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def main(amqp_port: int, http_port: int, topic_bytes: float) -> None:
    entities = Entities(topic_bytes=topic_bytes)
    Http.entities = entities
    server = ThreadingHTTPServer((HOST, http_port), Http)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Container(Amqp(amqp_port, entities)).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else NEVER)
