"""`/docs`: the endpoint's routes to read and to try, without the internet (decision 0006)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from podium.errors import NotFound

STATIC = "static"


@dataclass(frozen=True, slots=True)
class Page:
    """Something to send to a browser."""

    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    content_type: str


_ASSETS = {
    "docs.js": _File("docs.js", "text/javascript; charset=utf-8"),
    "problems": _File("problems.html", "text/html; charset=utf-8"),
    "swagger-ui.css": _File("swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": _File("swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
}


def page(endpoint: str) -> Page:
    """The page itself, at `/docs`."""
    html = Template(_read("docs.html").decode()).substitute(endpoint=escape(endpoint))
    return Page("text/html; charset=utf-8", html.encode())


def asset(name: str) -> Page:
    """What is below `/docs/`. Raises NotFound."""
    if name not in _ASSETS:
        raise NotFound(f"no page /docs/{name}; there are {', '.join(_ASSETS)}")
    file = _ASSETS[name]
    return Page(file.content_type, _read(file.path))


@cache
def _read(path: str) -> bytes:
    return (files("podium.protocol") / STATIC / path).read_bytes()
