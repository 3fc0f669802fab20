"""What one `podium up` hands to its processes: one small file, read at their start.

The supervisor writes it anew with each revision of the policy.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from podium.counters import SUFFIX
from podium.records import Policy
from podium.schema import Schema

COUNTERS = "counters"
"""The folder, in a node's run folder, where its processes count."""

DRIFT_WINDOW_S = 600.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway lets in."""

    body_bytes: int = 4 * 1024 * 1024
    body_seconds: float = 10.0
    header_seconds: float = 10.0
    in_flight: int = 1024


class Large(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to inputs that are too large for a message.

    Columns over `threshold` bytes go by reference through an object store of `store_bytes`, in which
    they are no longer than `ttl` (s). The bodies over a mebibyte that one gateway holds at a time have
    `memory_bytes` together. `keep` says that the archive has the values, and not the digests alone.
    """

    threshold: int = 8 * 1024 * 1024
    ttl: float = 3600.0
    store_bytes: int = 1024 * 1024 * 1024
    memory_bytes: int = 256 * 1024 * 1024
    keep: bool = False


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a contender's processes run.

    `timeout` (s) is how long a process may go without a sign of life, and how long after its
    deadline a request's score is still awaited before it counts as an error.
    """

    replicas: int = 1
    threads: int = 1
    timeout: float = 5.0
    batch_rows: int = 4096


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """Inputs of models that the gateway looks up itself, and where.

    `source` is `module`, `table`, `redis` or `url`, and `at` its absolute path or URL. `key` is the input
    by which they are looked up, `name` what a key is called in Redis. After `budget_ms` their defaults are
    used. `where` is how an error about the source begins, `folder` the project's.
    """

    source: str
    at: str
    fields: Schema
    key: str = ""
    name: str = ""
    budget_ms: float = 20.0
    refresh_s: float = 60.0
    where: str = ""
    folder: str = ""

    def beside(self, asked: Schema) -> Schema:
        """What models are given: what clients send, then the features."""
        return Schema(asked.fields + self.fields.fields)


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """What any process has to be told: its stream, a URL with credentials, and where it may write."""

    stream: str
    run_dir: str

    @property
    def counters(self) -> Path:
        return Path(self.run_dir) / COUNTERS

    def board(self, process: str) -> Path:
        """Where this process, of that name, counts."""
        return self.board_of(process, os.getpid())

    def board_of(self, process: str, pid: int) -> Path:
        """Where the process of that name and pid counts."""
        return self.counters / f"{process.replace(' ', '-')}-{pid}{SUFFIX}"


class Post(Station, frozen=True, kw_only=True):
    """All that a worker has to be told; it needs no policy, since frames name who is meant."""

    endpoint: str
    worker: WorkerSettings = WorkerSettings()
    large: Large = Large()


class Run(Station, frozen=True, kw_only=True):
    """One endpoint on one machine. Paths are absolute.

    `inputs` are what models are given. `admin_key` is the key's digest, or empty where there is none;
    with `keys_required` nobody is answered without a caller's key.
    Drift is of the last `drift_window_s` seconds.
    """

    policy: Policy
    inputs: Schema
    outputs: Schema
    archive: str
    registry: str = ""
    limits: Limits = Limits()
    large: Large = Large()
    workers: dict[str, WorkerSettings] = {}
    agreement: float = 0.05
    drift_window_s: float = DRIFT_WINDOW_S
    admin_key: str = ""
    keys_required: bool = False
    features: Features | None = None

    @property
    def asked(self) -> Schema:
        """What clients send: all inputs but those that are looked up."""
        if self.features is None:
            return self.inputs
        looked_up = self.features.fields
        return Schema(tuple(field for field in self.inputs.fields if field.name not in looked_up))

    @property
    def endpoint(self) -> str:
        return self.policy.endpoint

    def post(self, model: str) -> Post:
        """What a worker of this model is told."""
        return Post(
            stream=self.stream,
            run_dir=self.run_dir,
            endpoint=self.endpoint,
            worker=self.workers.get(model, WorkerSettings()),
            large=self.large,
        )

    @property
    def patience(self) -> float:
        """Seconds after a request's deadline until a missing score is an error."""
        return max((w.timeout for w in self.workers.values()), default=WorkerSettings().timeout)


def key_digest(key: str) -> str:
    """What is kept of a key; nothing for none."""
    return hashlib.sha256(key.encode()).hexdigest() if key else ""


def save(run: Run, path: Path) -> None:
    """Write for the owner's eyes only, since it holds the broker's credentials; atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".new")
    written.unlink(missing_ok=True)
    file = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "wb") as output:
        output.write(msgspec.json.format(msgspec.json.encode(run)))
        output.flush()
        os.fsync(file)  # after a power cut it is what knows the newest policy
    written.replace(path)


def load(path: Path) -> Run:
    return msgspec.json.decode(path.read_bytes(), type=Run)
