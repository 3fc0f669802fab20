"""HTTP to requests and answers to HTTP: translation only, the path is `podium.gateway.predict`."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import numpy as np

from podium.errors import MethodNotAllowed, NotFound, PodiumError
from podium.gateway.callers import Callers
from podium.gateway.limits import REFUSALS, Bodies, caller_id, deadline_ms
from podium.gateway.metrics import CONTENT_TYPE, metrics_text
from podium.gateway.outcomes import Outcomes, Taken
from podium.gateway.predict import Predictor
from podium.gateway.probes import Probes
from podium.gateway.problems import internal_error, problem
from podium.gateway.readiness import check_answers, check_ready
from podium.gateway.rsgi import HeaderList, Protocol, ProtocolClosed, Reply, Scope
from podium.gateway.training import Training
from podium.protocol import docs_page, oip, openapi, outcomes
from podium.records import Answer
from podium.run import Run
from podium.validation import Rows, Validator

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Scope, Protocol, float, str], Awaitable[Reply]]
JSON = ("content-type", "application/json")
OUTCOME = "/outcome/"

_encode = msgspec.json.Encoder().encode


class ScoreReply(msgspec.Struct):
    """The body of a scored answer; model and version are null for the default answer."""

    id: str
    answer: dict[str, Any] | list[dict[str, Any]]
    model: str | None
    version: str | None
    rule: str
    ms: float


class OutcomeReply(msgspec.Struct):
    """The body of a request's outcome that was taken."""

    id: str
    outcome: dict[str, Any] | list[dict[str, Any]]
    observed: str


class OutcomesReply(msgspec.Struct):
    """The body of many outcomes that were taken: of how many rows, and how many could not be checked."""

    outcomes: int
    unchecked: int


class HttpGateway:
    """The HTTP routes of one endpoint, as an RSGI application."""

    def __init__(
        self,
        run: Run,
        predictor: Predictor,
        probes: Probes,
        bodies: Bodies,
        *,
        callers: Callers,
        outcomes: Outcomes,
        training: Training,
    ) -> None:
        self._run = run
        self._predictor = predictor
        self._probes = probes
        self._bodies = bodies
        self._callers = callers
        self._outcomes = outcomes
        self._training = training
        self._validator = Validator(run.asked)
        self._contract = oip.Contract(run.endpoint, run.asked, run.outputs)
        self._score_path = f"/score/{run.endpoint}"
        self._routes = [(re.compile(pattern), handlers) for pattern, handlers in self._table()]

    def _table(self) -> list[tuple[str, dict[str, Handler]]]:
        model = re.escape(f"/v2/models/{self._run.endpoint}")
        version = f"{model}/versions/([^/]+)"
        outcome = re.escape(f"{OUTCOME}{self._run.endpoint}")
        return [
            (re.escape(self._score_path), {"POST": self._score_post, "GET": self._score_get}),
            (f"{model}/infer|{version}/infer", {"POST": self._infer}),
            (outcome, {"POST": self._take_many}),
            (f"{outcome}/(.+)", {"POST": self._take_one}),
            (f"{re.escape(f'/train/{self._run.endpoint}')}/([^/]+)", {"POST": self._train, "GET": self._job}),
            ("/ready", {"GET": self._ready}),
            ("/live", {"GET": self._live}),
            (f"{model}/ready|{version}/ready", {"GET": self._model_ready}),
            ("/v2/health/ready", {"GET": self._server_ready}),
            ("/v2/health/live", {"GET": self._server_live}),
            (f"{model}|{version}", {"GET": self._metadata}),
            ("/v2/?", {"GET": self._server_metadata}),
            ("/v2/repository/index", {"POST": self._index}),
            ("/metrics", {"GET": self._metrics}),
            (re.escape("/openapi.json"), {"GET": self._openapi}),
            ("/docs(?:/(.+))?", {"GET": self._docs}),
            ("/", {"GET": self._home}),
        ]

    async def __rsgi__(self, scope: Scope, protocol: Protocol) -> None:
        began = time.monotonic()
        try:
            if scope.path == self._score_path and scope.method == "POST":  # nearly every request
                reply = await self._score_post(scope, protocol, began, "")
            else:
                reply = await self._reply(scope, protocol, began)
        except ProtocolClosed:
            return  # the client left in the middle of its body
        except PodiumError as error:
            if isinstance(error, REFUSALS):
                door = self._outcomes if scope.path.startswith(OUTCOME) else self._predictor.tally
                door.refused(type(error).__name__)
            reply = problem(error, scope.path)
        except Exception:
            log.exception("%s %s", scope.method, scope.path)
            reply = internal_error(scope.path)
        protocol.response_bytes(reply.status, reply.headers, reply.body)
        if reply.status == 413 or (reply.status in (401, 429) and "content-length" in scope.headers):
            await self._bodies.discard(protocol)

    async def _reply(self, scope: Scope, protocol: Protocol, began: float) -> Reply:
        path = scope.path  # which the server has decoded: an id may have a % of its own
        method = "GET" if scope.method == "HEAD" else scope.method  # the server leaves the body away
        for pattern, handlers in self._routes:
            if found := pattern.fullmatch(path):
                if method not in handlers:
                    allowed = tuple(handlers)
                    raise MethodNotAllowed(f"{path} takes {' or '.join(allowed)}", allowed)
                argument = next((group for group in found.groups() if group), "")
                return await handlers[method](scope, protocol, began, argument)
        raise self._not_found(path)

    # --- scoring ----------------------------------------------------------------------------

    async def _score_post(self, scope: Scope, protocol: Protocol, began: float, _: str) -> Reply:
        caller = self._callers.let_in(scope.headers)
        body = await self._body(scope, protocol)
        return await self._score(scope, self._validator.json(body), began, caller)

    async def _score_get(self, scope: Scope, protocol: Protocol, began: float, _: str) -> Reply:
        caller = self._callers.let_in(scope.headers)
        return await self._score(scope, self._validator.query(scope.query_string), began, caller)

    async def _score(self, scope: Scope, rows: Rows, began: float, caller: str | None) -> Reply:
        headers = scope.headers
        answer = await self._predictor.answer(
            rows,
            began,
            id=caller_id(headers.get("podium-id")),
            deadline=deadline_ms(headers.get("podium-deadline")),
            force=headers.get("podium-force"),
            key=headers.get("podium-key"),
            caller=caller,
            trace=headers.get("traceparent"),
        )
        reply = ScoreReply(
            answer.id,
            _rows_of(answer, single=rows.single),
            answer.model or None,
            answer.version or None,
            answer.rule,
            answer.ms,
        )
        return Reply(200, [JSON, *_answer_headers(answer, scope)], _encode(reply))

    async def _infer(self, scope: Scope, protocol: Protocol, began: float, version: str) -> Reply:
        """Open Inference Protocol; a version in the path forces that contender."""
        headers = scope.headers
        caller = self._callers.let_in(headers)
        body = await self._body(scope, protocol)
        request = self._contract.read(body, headers.get("inference-header-content-length"), self._validator)
        answer = await self._predictor.answer(
            request.rows,
            began,
            id=caller_id(headers.get("podium-id")) or caller_id(request.id or None),
            deadline=deadline_ms(headers.get("podium-deadline")),
            force=version or headers.get("podium-force"),
            key=headers.get("podium-key"),
            caller=caller,
            trace=headers.get("traceparent"),
        )
        typed, content = self._contract.write(request, answer)
        return Reply(200, typed + _answer_headers(answer, scope), content)

    # --- outcomes ---------------------------------------------------------------------------

    async def _take_one(self, scope: Scope, protocol: Protocol, began: float, id: str) -> Reply:
        self._callers.let_in(scope.headers)
        body = await self._body(scope, protocol)
        taken = await self._outcomes.of_request(id, body, scope.headers.get(outcomes.HEADER))
        first = taken.outcomes[0]
        rows = [outcomes.plain(outcome.values) for outcome in taken.outcomes]
        observed = taken.received if first.observed is None else first.observed
        reply = OutcomeReply(id, rows[0] if first.path == "$" else rows, outcomes.shown_time(observed))
        return Reply(_status_of(taken), [JSON], _encode(reply))

    async def _take_many(self, scope: Scope, protocol: Protocol, began: float, _: str) -> Reply:
        self._callers.let_in(scope.headers)
        taken = await self._outcomes.of_many(await self._body(scope, protocol))
        reply = OutcomesReply(len(taken.outcomes), taken.unchecked)
        return Reply(_status_of(taken), [JSON], _encode(reply))

    async def _body(self, scope: Scope, protocol: Protocol) -> bytes:
        encoding = scope.headers.get("content-encoding")
        whole = protocol.whole
        if whole is not None and not encoding and len(whole) <= self._run.limits.body_bytes:
            return whole  # nearly every request
        body = await self._bodies.read(scope, protocol)
        return oip.decompress(body, encoding, self._run.limits.body_bytes) if encoding else body

    # --- training ---------------------------------------------------------------------------

    async def _train(self, scope: Scope, protocol: Protocol, began: float, model: str) -> Reply:
        job = await self._training.ask(model, scope.headers.get("authorization"))
        return Reply(202, [JSON, ("location", f"/train/{self._run.endpoint}/{job.job}")], _encode(job))

    async def _job(self, scope: Scope, protocol: Protocol, began: float, id: str) -> Reply:
        return Reply(200, [JSON], _encode(self._training.look(id, scope.headers.get("authorization"))))

    # --- everything else --------------------------------------------------------------------

    async def _live(self, *_: object) -> Reply:
        return Reply(200, [JSON], _encode({"status": "live"}))

    async def _ready(self, *_: object) -> Reply:
        check_ready(self._predictor, self._probes)
        return Reply(200, [JSON], _encode({"status": "ready"}))

    async def _server_live(self, *_: object) -> Reply:
        return Reply(200, [JSON], oip.server_live())

    async def _server_ready(self, *_: object) -> Reply:
        check_ready(self._predictor, self._probes)
        return Reply(200, [JSON], oip.server_ready())

    async def _model_ready(self, scope: Scope, protocol: Protocol, began: float, version: str) -> Reply:
        if version:
            check_answers(self._predictor.policy.named(version), self._predictor, self._probes)
        else:
            check_ready(self._predictor, self._probes)
        return Reply(200, [JSON], self._contract.model_ready())

    async def _metadata(self, scope: Scope, protocol: Protocol, began: float, version: str) -> Reply:
        if version:
            self._predictor.policy.named(version)
        names = [contender.name for contender in self._predictor.policy.scoring]
        return Reply(200, [JSON], self._contract.model_metadata(names))

    async def _server_metadata(self, *_: object) -> Reply:
        return Reply(200, [JSON], oip.server_metadata())

    async def _index(self, *_: object) -> Reply:
        names = [contender.name for contender in self._predictor.policy.scoring]
        return Reply(200, [JSON], self._contract.repository_index(names))

    async def _metrics(self, *_: object) -> Reply:
        text = metrics_text(self._run.counters, self._predictor.policy)
        return Reply(200, [("content-type", CONTENT_TYPE)], text)

    async def _openapi(self, *_: object) -> Reply:
        run, policy = self._run, self._predictor.policy
        document = openapi.document(
            policy,
            run.asked,
            run.outputs,
            run.limits,
            training=bool(run.admin_key),
            keys_required=run.keys_required,
        )
        return Reply(200, [JSON], document)

    async def _docs(self, scope: Scope, protocol: Protocol, began: float, asset: str) -> Reply:
        page = docs_page.asset(asset) if asset else docs_page.page(self._run.endpoint)
        return Reply(200, [("content-type", page.content_type)], page.content)

    async def _home(self, *_: object) -> Reply:
        return Reply(307, [("location", "/docs")], b"")

    def _not_found(self, path: str) -> NotFound:
        name = self._run.endpoint
        if path.startswith(("/score/", "/v2/models/", "/train/", OUTCOME)):
            return NotFound(f"no such endpoint or route: {path}; the endpoint here is {name!r}")
        return NotFound(f"no route {path}; POST {self._score_path} scores, /docs shows the rest")


def _status_of(taken: Taken) -> int:
    """202 where somebody must believe that the request exists."""
    return 202 if taken.unchecked else 200


def _answer_headers(answer: Answer, scope: Scope) -> HeaderList:
    headers = [("podium-id", answer.id), ("podium-rule", answer.rule)]
    if answer.model:
        headers.append(("podium-model", f"{answer.model}@{answer.version}"))
    if trace := scope.headers.get("traceparent"):
        headers.append(("traceparent", trace))
    return headers


def _rows_of(answer: Answer, *, single: bool) -> dict[str, Any] | list[dict[str, Any]]:
    if single:
        row = answer.rows.start
        return {name: values[row] for name, values in answer.columns.items()}
    parts = [values[answer.rows] for values in answer.columns.values()]
    columns = [part.tolist() if isinstance(part, np.ndarray) else part for part in parts]
    return [dict(zip(answer.columns, row, strict=True)) for row in zip(*columns, strict=True)]
