"""Everything that can go wrong, as facts.

An error names what happened and, where somebody can mend it, what to do. It knows no transport:
the HTTP status of each one is a table in `podium.gateway.problems`, and the command line prints
the message as one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class PodiumError(Exception):
    """The root of every error that Podium raises on purpose.

    `problem` is the document that explains it, where a client got one with a refusal.
    """

    problem: Mapping[str, Any] | None = None


# --- what a client can do wrong -------------------------------------------------------------


class BadInput(PodiumError):
    """A request that cannot be scored.

    `path` points at the offending part as in `$.bmi` or `$[3].bmi`; `expected` says what would
    have been right.
    """

    def __init__(self, message: str, *, path: str = "$", expected: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.expected = expected


class NotJSON(BadInput):
    """The body is not JSON at all."""


class InvalidInput(BadInput):
    """The body is JSON, but it does not fit the endpoint's schema."""


class TooLarge(PodiumError):
    """The body, or what it becomes on the stream, is over a limit."""


class SlowBody(PodiumError):
    """The body did not arrive in time."""


class UnknownEncoding(PodiumError):
    """The body is compressed in a way that Podium does not read."""


class NotFound(PodiumError):
    """A name that does not exist; the message lists the names that do."""


class UnknownRequest(NotFound):
    """An outcome for a request that nobody made; `path` is where in the body, or header, its id is."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class MethodNotAllowed(PodiumError):
    """The path exists, the method does not."""

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class TooManyRequests(PodiumError):
    """More requests are in flight than the endpoint's limit."""


class Unauthorized(PodiumError):
    """A key is needed, and the one given is missing or wrong."""


class UnknownCaller(Unauthorized):
    """A request without a caller's key where one is needed, or with one that is not there (any more)."""


class OverRate(TooManyRequests):
    """A caller asks more than its key lets in; in so many `seconds` it will be let in again."""

    def __init__(self, message: str, *, seconds: int = 1) -> None:
        super().__init__(message)
        self.seconds = seconds


class Forbidden(PodiumError):
    """This is switched off here."""


class NobodyInTime(PodiumError):
    """No contender's score was acceptable before the deadline, and there is no default answer."""


class Stopping(PodiumError):
    """The gateway is shutting down and takes no new requests."""


class StreamAway(PodiumError):
    """The message stream cannot be reached, so nothing can be scored or kept."""


class StoreFull(PodiumError):
    """What is too large for a message finds no room in the stream's object store."""


class NotReady(PodiumError):
    """Asked whether it can answer, the gateway says why it cannot yet."""


# --- what a client meets and no gateway raises ----------------------------------------------


class Unreachable(PodiumError):
    """No gateway answers there, or none within the time that the client had."""


class GatewayFailed(PodiumError):
    """What came is no answer and no explanation: the gateway failed, or something else answers there."""


# --- what an owner can do wrong -------------------------------------------------------------


class ProjectError(PodiumError):
    """`podium.toml` or a model module says something that cannot be."""


class SchemaMismatch(ProjectError):
    """Two schemas that should fit each other do not."""


class MissingExtra(PodiumError):
    """An optional dependency is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed: pip install 'podium[{extra}]'")
        self.extra = extra


class ArchiveError(PodiumError):
    """The archive does not hold, or cannot give, what was asked; the message says what it holds."""


class BadPeriod(ArchiveError):
    """What should say a stretch of time does not."""


class PackageError(PodiumError):
    """A model's package cannot be made or loaded."""


class UnknownFormat(PackageError):
    """The package holds a format that this Podium does not know."""


class DigestMismatch(PackageError):
    """The package's bytes are not the bytes that its digest names."""


class NewerManifest(PackageError):
    """The package was made by a newer Podium."""


class VersionConflict(PackageError):
    """An installed library cannot read what the package holds."""


class Untrusted(PackageError):
    """Loading would run code that the user's trust list does not allow."""


class WrongSample(PackageError):
    """The loaded model does not give its own sample answers."""


class BodyLost(PodiumError):
    """A large body is not in the stream's object store (any more), or not as it was put there."""


class RegistryError(PodiumError):
    """The registry does not hold, or cannot keep, what was asked."""


class UnknownVersion(RegistryError):
    """No such model or version; the message lists those that exist."""


class NodeError(PodiumError):
    """Something on this machine stands in the way."""


class AlreadyRunning(NodeError):
    """This project folder is already served by another `podium up`."""


class NotRunning(NodeError):
    """Nothing is running for this project folder."""


class ClusterError(PodiumError):
    """A cluster cannot be reached, refuses an object, or cannot run one; nothing more was changed."""


class PolicyError(PodiumError):
    """A policy cannot be changed like this."""


class RevisionTaken(PolicyError):
    """Somebody else has changed the policy meanwhile."""


class ModelFailed(PodiumError):
    """A model gave no usable score; the message goes into the archive."""


# --- images and their registries ------------------------------------------------------------


class ImageError(PodiumError):
    """An image cannot be made, kept or understood."""


class NoSuchImage(ImageError):
    """There is no such image, tag or blob."""


class DamagedBlob(ImageError):
    """Bytes are not those that their digest names."""


class WrongPlatform(ImageError):
    """An image is not there for the platform that is wanted."""


class ImageRegistryAway(ImageError):
    """An image registry cannot be reached, or broke off again and again."""


class Denied(ImageError):
    """An image registry does not let us in, or does not let us do this."""


class Refused(ImageError):
    """An image registry does not take what it is given: a quota, a limit, a rule of its own."""


class Unsigned(ImageError):
    """What should be signed is not, or not with this key."""


class FeaturesFailed(PodiumError):
    """What should give a request's features gave nothing usable; it goes on with their defaults."""
