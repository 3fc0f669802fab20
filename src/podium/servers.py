"""A model that a server answers: where it is, what it speaks, and how rows become its requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from podium.schema import Schema, did_you_mean
from podium.toml_tables import Table

LAYOUTS: dict[str, tuple[str, ...]] = {
    "json": (),
    "oip": ("tensors", "matrix"),
    "sagemaker": ("csv", "json"),
    "mlflow": ("dataframe_split", "inputs"),
    "vertex": ("objects", "lists"),
}
"""The protocols, and the ways in which each can be told the rows, the usual one first."""

METHODS = ("GET", "POST")
KEYS = ("protocol", "layout", "health", "request", "response")
"""Keys of a model that go with `url`."""

ROW_CONNECTIONS = 8
"""Requests under way at once, unless said otherwise, where each is about one row."""

ROW_BATCH = 256
"""Rows that such a model is asked about together, unless said otherwise."""

_ROUTES = {"oip": "/infer", "sagemaker": "/invocations", "mlflow": "/invocations"}
_STEP = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(\d+)\]|\["([^"\]]+)"\]|\['([^'\]]+)'\]""")


class Server(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a model is served and in which protocol. `url` has no `/` at its end.

    The rest is for the protocol `json`, of one row a request. `query` has the input behind each
    parameter; each text in `body` is an input, and without it all inputs are sent by name; `outputs` has
    the path of each output that is not found under its own name.
    """

    url: str
    protocol: str
    layout: str = ""
    health: str = ""
    method: str = "POST"
    path: str = ""
    query: dict[str, str] = {}
    body: Any = None
    outputs: dict[str, str] = {}


Step = str | int


def steps(path: str) -> tuple[Step, ...] | None:
    """`$.scores[0]["bmi"]` as its keys and indices; None for what is no such path."""
    if not path.startswith("$"):
        return None
    found: list[Step] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return None
        found.append(int(match[2]) if match[2] else match[1] or match[3] or match[4])
        at = match.end()
    return tuple(found)


def inputs_in(body: Any) -> Iterator[str]:
    """The inputs that a body names."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, Mapping):
        for value in body.values():
            yield from inputs_in(value)
    elif isinstance(body, list):
        for value in body:
            yield from inputs_in(value)


# --- from podium.toml -----------------------------------------------------------------------


def server_of(table: Table, inputs: Schema | None, outputs: Schema | None) -> Server:
    """What a model's table says of its server; names are checked against the schemas that are known here.

    Raises ProjectError.
    """
    protocol = table.choice("protocol", "json", list(LAYOUTS))
    request, response = table.table("request"), table.table("response")
    for name in ("request", "response"):
        if name in table and protocol != "json":
            table.fail(
                f"`{name}` is for the protocol json, this one is {protocol}: leave one of them out", name
            )
    url, path = _url(table, protocol), _path(request, "path")
    if path and "?" in url:
        request.fail("follows a url with a query; write the path into the url", "path")
    body, query = _body(request, inputs), _named(request, "query", inputs)
    return Server(
        url=url,
        protocol=protocol,
        layout=_layout(table, protocol),
        health=_path(table, "health"),
        method=_method(request, query, body),
        path=path,
        query=query,
        body=body,
        outputs=_outputs(response, outputs),
    )


def _url(table: Table, protocol: str) -> str:
    url = table.text("url", None)
    problem, parts = "", SplitResult("", "", "", "", "")
    try:
        parts = urlsplit(url)
        problem = "" if parts.port != 0 else "has the port 0"
    except ValueError as error:
        problem = f"is no address: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
        problem = problem or f'{url!r} is no address; write as in "http://127.0.0.1:9000/v2/models/NAME"'
    elif parts.username is not None:
        problem = "has a user's name in it; a package is no place for credentials"
    elif parts.fragment or (parts.query and protocol != "json"):
        problem = f"{url!r} has more than a path; write it up to the path"
    if problem:
        table.fail(problem, "url")
    plain = url if parts.query else url.rstrip("/").removesuffix(_ROUTES.get(protocol, "\0"))
    path = urlsplit(plain).path
    if protocol == "oip" and "/models/" not in path:
        table.fail(f'names no model; write as in "{plain}/v2/models/NAME"', "url")
    if protocol == "vertex" and not path:
        table.fail(f'has no route; write as in "{plain}/v1/models/NAME:predict"', "url")
    return plain


def _layout(table: Table, protocol: str) -> str:
    known = LAYOUTS[protocol]
    if "layout" in table and not known:
        table.fail(f"is not for the protocol {protocol}: its `request` says how rows are sent", "layout")
    return table.choice("layout", known[0], known) if known else ""


def _path(table: Table, key: str) -> str:
    if key not in table:
        return ""
    path = table.text(key, None)
    if not path.startswith("/") or re.search(r"[\s?#]", path):
        table.fail(f'{path!r} is no path; write as in "/{key}"', key)
    return path


def _method(request: Table, query: Mapping[str, str], body: Any) -> str:
    request.only("method", "path", "query", "body")
    method = request.choice("method", "GET" if query and body is None else "POST", METHODS)
    if method == "GET" and body is not None:
        request.fail('goes with the method "POST", this one is "GET"', "body")
    return method


def _named(request: Table, key: str, inputs: Schema | None) -> dict[str, str]:
    table = request.table(key)
    for name, value in table.values.items():
        if not isinstance(value, str):
            table.fail(f'{value!r} is no input; write as in {name} = "bmi"', name)
        _known(table, value, inputs, name)
    return dict(table.values)


def _body(request: Table, inputs: Schema | None) -> Any:
    if "body" not in request:
        return None
    body = request.values["body"]
    if not isinstance(body, dict | list):
        request.fail('is neither a table nor a list, as in { features = ["bmi", "s5"] }', "body")
    for name in inputs_in(body):
        _known(request, name, inputs, "body")
    try:
        msgspec.json.encode(body)
    except (TypeError, msgspec.MsgspecError) as error:
        request.fail(f"cannot be sent as JSON: {error}", "body")
    return body


def _known(table: Table, name: str, inputs: Schema | None, key: str) -> None:
    if inputs is not None and name not in inputs:
        table.fail(f"{name!r} is no input{inputs.nearest(name)}; the inputs are {inputs}", key)


def _outputs(response: Table, outputs: Schema | None) -> dict[str, str]:
    response.only("outputs")
    table = response.table("outputs")
    for name, path in table.values.items():
        if outputs is not None and name not in outputs:
            near = did_you_mean(name, outputs.names)
            table.fail(f"{name!r} is no output{near}; the outputs are {outputs}", name)
        if not isinstance(path, str) or steps(path) is None:
            table.fail(f'{path!r} is no path; write as in "$.score" or "$.predictions[0]"', name)
    return dict(table.values)
