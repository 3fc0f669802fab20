"""`podium.toml`, read once into frozen settings.

Everything that the file can say is known here: an unknown key, role or word of the schedule is an error
that names the file, the line and the nearest valid word. Nothing is silently ignored.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from podium import fields, kubernetes, servers
from podium.errors import ProjectError
from podium.features import features_of
from podium.kubernetes import KubernetesSettings
from podium.records import DECOY, Gates, Guards, Role
from podium.run import COUNTERS, DRIFT_WINDOW_S, Features, Large, Limits, WorkerSettings
from podium.schema import Schema, did_you_mean
from podium.servers import Server
from podium.toml_tables import Table, nearest, parse_duration

FILE = "podium.toml"
PODIUM_DIR = Path(".podium")
RUN_DIR = PODIUM_DIR / "run"
DEFAULT_DEADLINE_MS = 100.0
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""Models and endpoints: a name becomes one token of a subject on the stream and a word after `@`."""

ROLES = tuple(role.value for role in Role if role is not Role.DECOY)
SYNC = ("interval", "always")
KEYS = ("optional", "required")
STREAMS = ("nats", "tls", "servicebus")
"""The schemes of URLs that can be the message stream."""

SOURCES = ("module", "command", "sql", "url")
"""What a model is: a Python module, a program in any language, a file of SQL, a server."""

_OF_SOURCE = {
    "files": ("command",),
    "build": ("command",),
    "stream": ("command",),
    "parameters": ("sql",),
    "inputs": ("command", "sql", "url"),
    "outputs": ("command", "sql", "url"),
    "examples": ("command", "sql", "url"),
    **dict.fromkeys(servers.KEYS, ("url",)),
}
_NAME_RULE = "a letter, then letters, digits, `-` and `_`"


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSettings:
    """What clients call. Without declared inputs or outputs the champion's are the endpoint's.

    `inputs` are what clients send; with `keys_required` nobody is answered without a caller's key.
    """

    name: str
    deadline_ms: float = DEFAULT_DEADLINE_MS
    default: dict[str, Any] | None = None
    inputs: Schema | None = None
    outputs: Schema | None = None
    limits: Limits = field(default_factory=Limits)
    agreement: float = 0.05
    keys_required: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A model in any language: the program and its arguments, run in the model's package.

    `files` are those of the project that it needs besides the ones that it names, and `build` makes
    others of them; both relative to the project, in POSIX notation. `stream` says that it is a worker
    on the message stream itself, and reads and writes no lines.
    """

    argv: tuple[str, ...]
    files: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    stream: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A model in SQL: its file, and values for the names after `$` in it."""

    file: Path
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSettings:
    """A model's source and its part on the endpoint; `version` pins one, else the newest is taken.

    The source is one of `module`, `command`, `sql` and `server`. All but the first are described here: by
    `inputs` and `outputs`, else by the endpoint's, and `examples` are rows that they can score.

    `share` is the part of the traffic (0 to 1) for which a challenger's answer is preferred.
    """

    name: str
    role: Role
    module: Path | None = None
    command: Command | None = None
    sql: Query | None = None
    server: Server | None = None
    inputs: Schema | None = None
    outputs: Schema | None = None
    examples: tuple[dict[str, Any], ...] = ()
    share: float | None = None
    version: str | None = None
    worker: WorkerSettings = field(default_factory=WorkerSettings)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveSettings:
    """Where the tables are (an absolute path, or a URL), and when the stream syncs to the disk.

    `sync` is `interval` (a power cut may lose the last two minutes that were not archived yet) or
    `always` (each message, at about a quarter of the rate).
    """

    location: str
    sync: str = "interval"


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """One `podium.toml`. `schedule` is as in `podium.records.Policy`: ms, then acceptable words.

    `stream` is a message stream's URL, or empty for a broker of our own. Inputs and scores of the last
    `drift_window_s` seconds are compared with training.
    """

    folder: Path
    endpoint: EndpointSettings
    models: dict[str, ModelSettings] = field(default_factory=dict)
    schedule: tuple[tuple[float, tuple[str, ...]], ...]
    decoy: bool = False
    gates: Gates = field(default_factory=Gates)
    guards: Guards = field(default_factory=Guards)
    archive: ArchiveSettings
    stream: str = ""
    large: Large = field(default_factory=Large)
    drift_window_s: float = DRIFT_WINDOW_S
    features: Features | None = None
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)

    @property
    def name(self) -> str:
        return self.endpoint.name

    @property
    def inputs(self) -> Schema | None:
        """What models are given: what clients send, and features; None where the champion says it."""
        return _given(self.endpoint.inputs, self.features)

    @property
    def champion(self) -> ModelSettings:
        return next(model for model in self.models.values() if model.role is Role.CHAMPION)

    @property
    def podium_dir(self) -> Path:
        return self.folder / PODIUM_DIR

    @property
    def registry_dir(self) -> Path:
        return self.podium_dir / "registry"

    @property
    def run_dir(self) -> Path:
        return self.folder / RUN_DIR

    @property
    def counters_dir(self) -> Path:
        return self.run_dir / COUNTERS

    @property
    def logs_dir(self) -> Path:
        return self.podium_dir / "logs"


def find(start: Path) -> Path:
    """The nearest folder, from `start` upward, with a `podium.toml`. Raises ProjectError."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise ProjectError(f"no {FILE} in {start} or above it; `podium new DIR` makes a project that works")


def load(folder: Path) -> Project:
    """Read a project. Raises ProjectError with file, line and what would have been right."""
    folder = folder.resolve()
    path = folder / FILE
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise ProjectError(f"no {FILE} in {folder}; `podium new DIR` makes a project that works") from None
    except UnicodeDecodeError as error:
        raise ProjectError(f"{FILE}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise ProjectError(f"{FILE}: {error.strerror}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        at = int(line[1]) if line else text.count("\n") + 1
        raise ProjectError(f"{FILE}:{at}: not TOML: {error}") from None
    return _project(folder, Table(FILE, text, data))


def _project(folder: Path, top: Table) -> Project:
    top.only(
        "stream",
        "endpoint",
        "features",
        "models",
        "schedule",
        "decoy",
        "gates",
        "guards",
        "drift",
        "archive",
        "large",
        "kubernetes",
    )
    endpoint = _endpoint(top.table("endpoint", needed=True))
    features = _features(folder, top, endpoint)
    given = replace(endpoint, inputs=_given(endpoint.inputs, features))
    models = _models(folder, top.table("models", needed=True), given)
    decoy = top.table("decoy").only("enabled")
    return Project(
        folder=folder,
        endpoint=endpoint,
        models=models,
        schedule=_schedule(top.table("schedule"), endpoint, models),
        decoy=decoy.flag("enabled", False),
        gates=_gates(top.table("gates"), endpoint),
        guards=_guards(top.table("guards"), endpoint, models),
        archive=_archive(folder, top.table("archive")),
        stream=_stream(top),
        large=_large(top.table("large")),
        drift_window_s=_drift_window(top.table("drift")),
        features=features,
        kubernetes=kubernetes.settings_of(top.table("kubernetes")),
    )


def _features(folder: Path, top: Table, endpoint: EndpointSettings) -> Features | None:
    if "features" not in top:
        return None
    return features_of(top.table("features"), folder, asked=endpoint.inputs, deadline_ms=endpoint.deadline_ms)


def _given(asked: Schema | None, features: Features | None) -> Schema | None:
    return asked and features.beside(asked) if features else asked


# --- the endpoint ---------------------------------------------------------------------------


def _endpoint(table: Table) -> EndpointSettings:
    table.only("name", "deadline", "default", "inputs", "outputs", "limits", "agreement", "keys")
    name = table.text("name", None)
    if not NAME.fullmatch(name):
        table.fail(f"{name!r} cannot be an endpoint's name: {_NAME_RULE}", "name")
    deadline = table.duration("deadline", DEFAULT_DEADLINE_MS)
    if deadline <= 0:
        table.fail("a deadline is longer than 0ms", "deadline")
    return EndpointSettings(
        name=name,
        deadline_ms=deadline,
        default=table.table("default").values if "default" in table else None,
        inputs=fields.schema(table.table("inputs")) if "inputs" in table else None,
        outputs=fields.schema(table.table("outputs")) if "outputs" in table else None,
        limits=_limits(table.table("limits")),
        agreement=table.number("agreement", 0.05),
        keys_required=table.choice("keys", "optional", KEYS) == "required",
    )


def _limits(table: Table) -> Limits:
    table.only("body_bytes", "body_timeout", "header_timeout", "in_flight")
    usual = Limits()
    return Limits(
        body_bytes=table.count("body_bytes", usual.body_bytes),
        body_seconds=table.duration("body_timeout", usual.body_seconds * 1000) / 1000,
        header_seconds=table.duration("header_timeout", usual.header_seconds * 1000) / 1000,
        in_flight=table.count("in_flight", usual.in_flight),
    )


# --- the models -----------------------------------------------------------------------------


def _models(folder: Path, table: Table, endpoint: EndpointSettings) -> dict[str, ModelSettings]:
    models = {name: _model(folder, table, name, endpoint) for name in table.values}
    champions = [model.name for model in models.values() if model.role is Role.CHAMPION]
    if not champions:
        table.fail('no model is the champion: give one of them `role = "champion"`')
    if len(champions) > 1:
        first, second = champions[:2]
        table.fail(f"{first!r} and {second!r} are both champion, there is one", second, "role")
    return models


def _model(folder: Path, models: Table, name: str, endpoint: EndpointSettings) -> ModelSettings:
    if name == DECOY:
        models.fail(f"{DECOY!r} is taken by the decoy itself: `[decoy] enabled = true`", name)
    if not NAME.fullmatch(name):
        models.fail(f"{name!r} cannot be a model's name: {_NAME_RULE}", name)
    table = models.table(name)
    table.only(
        "module",
        "command",
        "files",
        "build",
        "stream",
        "sql",
        "parameters",
        "url",
        "protocol",
        "layout",
        "health",
        "request",
        "response",
        "inputs",
        "outputs",
        "examples",
        "role",
        "share",
        "version",
        "replicas",
        "threads",
        "timeout",
        "batch_rows",
    )
    source = _source(table)
    inputs = fields.schema(table.table("inputs")) if "inputs" in table else None
    outputs = fields.schema(table.table("outputs")) if "outputs" in table else None
    server = None
    if source == "url":
        server = servers.server_of(table, inputs or endpoint.inputs, outputs or endpoint.outputs)
    usual = _usual_worker(server)
    return ModelSettings(
        name=name,
        role=Role(table.choice("role", None, ROLES)),
        module=table.file(folder, "module") if source == "module" else None,
        command=_command(folder, table) if source == "command" else None,
        sql=_query(folder, table) if source == "sql" else None,
        server=server,
        inputs=inputs,
        outputs=outputs,
        examples=_examples(table),
        share=table.part("share", None),
        version=_version(table),
        worker=WorkerSettings(
            replicas=table.count("replicas", usual.replicas),
            threads=table.count("threads", usual.threads),
            timeout=table.duration("timeout", usual.timeout * 1000, least=1000) / 1000,
            batch_rows=table.count("batch_rows", usual.batch_rows),
        ),
    )


def _usual_worker(server: Server | None) -> WorkerSettings:
    """A server that takes one row a request is asked several times at once, about fewer rows together."""
    if server is None or server.protocol != "json":
        return WorkerSettings()
    return WorkerSettings(threads=servers.ROW_CONNECTIONS, batch_rows=servers.ROW_BATCH)


def _source(table: Table) -> str:
    """Which of the sources this model has; a key that belongs to another one is an error."""
    given = [key for key in SOURCES if key in table]
    if not given:
        table.fail(f"says nowhere what it is: {_choice(SOURCES)}")
    if len(given) > 1:
        table.fail(f"has a `{given[0]}` and a `{given[1]}`, a model is one of {_choice(SOURCES)}", given[1])
    for key, owners in _OF_SOURCE.items():
        if key in table and given[0] not in owners:
            table.fail(f"`{key}` is for models with {_choice(owners)}, this one has a `{given[0]}`", key)
    return given[0]


def _choice(words: Sequence[str]) -> str:
    return " or ".join(f"`{word}`" for word in words)


def _command(folder: Path, table: Table) -> Command:
    argv = tuple(table.words("command", ()))
    if not argv or not argv[0]:
        table.fail(
            'is empty: a command is a program and its arguments, as in ["Rscript", "models/rule.R"]',
            "command",
        )
    files = tuple(table.words("files", ()))
    for named in files:
        if not (folder / named).exists():
            table.fail(f"there is no file or folder {named}{nearest(folder, named, '*')}", "files")
    build = tuple(table.words("build", ()))
    return Command(argv=argv, files=files, build=build, stream=table.flag("stream", False))


def _query(folder: Path, table: Table) -> Query:
    parameters = table.table("parameters")
    for name, value in parameters.values.items():
        if type(value) not in (int, float, str, bool):
            parameters.fail(f"{value!r} is no number, text, true or false", name)
    return Query(file=table.file(folder, "sql"), parameters=dict(parameters.values))


def _examples(table: Table) -> tuple[dict[str, Any], ...]:
    rows = table.values.get("examples", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        table.fail("is not a list of rows, as in [{ bmi = 0.05 }, { bmi = 0.01 }]", "examples")
    return tuple(rows)


def _version(table: Table) -> str | None:
    if "version" not in table:
        return None
    value = table.values["version"]
    if type(value) is int or (isinstance(value, str) and value):
        return str(value)
    table.fail("a version is the registry's number or a prefix of a digest in quotes", "version")


# --- gates and guards -----------------------------------------------------------------------

_BOUNDS = ("errors", "late", "defaults", "disagreement")


def _gates(table: Table, endpoint: EndpointSettings) -> Gates:
    table.only("requests", "failures", "error", "segment", "p99", "confidence")
    confidence = table.part("confidence", Gates().confidence) or 0.0
    if not 0.5 <= confidence < 1:
        table.fail(
            'is from 50% to less than 100%, which no number of outcomes reaches; as in "95%"', "confidence"
        )
    if "confidence" in table and "error" not in table and "segment" not in table:
        table.fail("is of `error` and `segment`, and neither is there", "confidence")
    return Gates(
        requests=table.count("requests", 1) if "requests" in table else 0,
        failures=table.part("failures", None),
        error=table.part("error", None),
        segment=table.part("segment", None),
        p99_ms=_p99(table, endpoint.deadline_ms) if "p99" in table else None,
        confidence=confidence,
    )


def _p99(table: Table, deadline_ms: float) -> float:
    value = table.values["p99"]
    if value == "deadline":
        return deadline_ms
    found = parse_duration(value) if isinstance(value, str) else None
    if found is None:
        near = did_you_mean(str(value), ("deadline",))
        table.fail(f'{value!r} is neither "deadline" nor a duration as in "100ms"{near}', "p99")
    return found if found > 0 else table.fail("no model takes 0ms, so this gate never opens", "p99")


def _guards(table: Table, endpoint: EndpointSettings, models: Mapping[str, ModelSettings]) -> Guards:
    table.only("errors", "late", "defaults", "disagreement", "window", "requests")
    if table.values and not any(bound in table for bound in _BOUNDS):
        table.fail(f'watches nothing: set {", ".join(_BOUNDS[:-1])} or {_BOUNDS[-1]}, as in `errors = "5%"`')
    if "disagreement" in table and not any(model.role is Role.CANARY for model in models.values()):
        table.fail("is with the canary, and no model is one", "disagreement")
    if "defaults" in table and endpoint.default is None:
        table.fail("is of default answers, and the endpoint has no `default`", "defaults")
    usual = Guards()
    return Guards(
        **{bound: _bound(table, bound) for bound in _BOUNDS},
        window_s=table.duration("window", usual.window_s * 1000, least=1000) / 1000,
        requests=table.count("requests", usual.requests),
    )


def _bound(table: Table, key: str) -> float | None:
    bound = table.part(key, None)
    return bound if bound != 1 else table.fail("nothing is more than 100%, so this guard never acts", key)


# --- drift, the schedule, the archive -------------------------------------------------------


def _drift_window(table: Table) -> float:
    """In seconds."""
    return table.only("window").duration("window", DRIFT_WINDOW_S * 1000, least=1000) / 1000


def _schedule(
    table: Table, endpoint: EndpointSettings, models: Mapping[str, ModelSettings]
) -> tuple[tuple[float, tuple[str, ...]], ...]:
    deadline = endpoint.deadline_ms
    if not table.values:
        second = min(60.0, 0.6 * deadline)  # a deadline under 60 ms leaves the others a chance too
        return (0.0, (Role.CHAMPION.value,)), (second, ROLES)
    steps: dict[float, tuple[str, ...]] = {}
    for key in table.values:
        after = parse_duration(key)
        if after is None:
            table.fail(f'{key!r} is no time; write as in "60ms"', key)
        if after in steps:
            table.fail(f"{key!r} is there twice", key)
        if after >= deadline:
            table.fail(
                f"{key!r} is not before the deadline of {deadline:g}ms, so nobody would be let in", key
            )
        steps[after] = _words(table, key, models)
    if not any(_somebody(words, models) for words in steps.values()):
        table.fail('names nobody who is on the endpoint; as in "0ms" = ["champion"]')
    return tuple(sorted(steps.items()))


def _words(table: Table, key: str, models: Mapping[str, ModelSettings]) -> tuple[str, ...]:
    words = table.words(key, ())
    known = [*ROLES, *models]
    if not words:
        table.fail(f'{key!r} names nobody; as in "{key}" = ["champion"]', key)
    for word in words:
        if word not in known:
            near = did_you_mean(word, known)
            table.fail(f"{word!r} is neither a role nor a model{near}; known are {', '.join(known)}", key)
    return tuple(words)


def _somebody(words: Iterable[str], models: Mapping[str, ModelSettings]) -> bool:
    return any(word in (model.role.value, model.name) for word in words for model in models.values())


def _stream(top: Table) -> str:
    if "stream" not in top:
        return ""
    url = top.text("stream", None)
    if url.partition("://")[0] not in STREAMS:
        top.fail(f"{url!r} is no stream; known are {', '.join(f'{name}://…' for name in STREAMS)}", "stream")
    return url


def _archive(folder: Path, table: Table) -> ArchiveSettings:
    table.only("location", "sync")
    location = table.text("location", ".podium/archive")
    if "://" not in location:
        location = str(folder / Path(location).expanduser())
    return ArchiveSettings(location=location, sync=table.choice("sync", "interval", SYNC))


LARGEST_THRESHOLD = 12 * 1024 * 1024
"""A frame must fit into a message of the broker's, 16 MiB, with what is beside its columns."""


def _large(table: Table) -> Large:
    table.only("threshold", "ttl", "store_bytes", "memory_bytes", "keep")
    usual = Large()
    threshold = table.count("threshold", usual.threshold)
    if threshold > LARGEST_THRESHOLD:
        table.fail(f"is {LARGEST_THRESHOLD} at most: what is larger fits no message", "threshold")
    return Large(
        threshold=threshold,
        ttl=table.duration("ttl", usual.ttl * 1000, least=1000) / 1000,
        store_bytes=table.count("store_bytes", usual.store_bytes),
        memory_bytes=table.count("memory_bytes", usual.memory_bytes),
        keep=table.flag("keep", usual.keep),
    )
