"""What a server's reply holds, or why it is of no use: in one line, with the beginning of what was said."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from podium.errors import ModelFailed
from podium.models.server.http import Reply

_SHOWN = 160
_WORDS = ("error", "message", "detail", "error_code", "title")
"""Under which of these names a server says what went wrong; Flask's, FastAPI's, MLServer's and MLflow's."""

_SILENT = re.compile(rb"<(script|style|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(rb"<[^>]*>")


def checked(reply: Reply) -> Reply:
    """Raises ModelFailed unless the server says that it is an answer."""
    if 300 <= reply.status < 400:
        raise ModelFailed(
            f"it answered {reply.status}, a redirect to {reply.location[:_SHOWN] or 'nowhere'}, which is not "
            "followed: give the address itself in `url`"
        )
    if reply.status != 200:
        raise ModelFailed(f"it answered {reply.status}{_said(reply)}")
    return reply


def json_of(reply: Reply) -> Any:
    """The JSON of a good reply, whatever content type it claims. Raises ModelFailed."""
    try:
        return msgspec.json.decode(checked(reply).body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if re.search(rb"[\[:,\s](NaN|-?Infinity)\b", reply.body) and b"<" not in reply.body:
            raise ModelFailed(f"it answered NaN or Infinity, which is no JSON{_said(reply)}") from None
        what = "HTML" if "html" in reply.kind else "what is no JSON"
        raise ModelFailed(f"it answered {what}{_said(reply)} ({error})") from None


def _said(reply: Reply) -> str:
    text = _message(reply.body) or _TAG.sub(b" ", _SILENT.sub(b" ", reply.body)).decode(errors="replace")
    words = " ".join(html.unescape(text).split())
    if not words:
        return " and nothing else"
    return f": {words[:_SHOWN]}{'…' if len(words) > _SHOWN else ''}"


def _message(body: bytes) -> str:
    """What a JSON body says went wrong, where it is one."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    for word in _WORDS:
        if isinstance(found, Mapping) and found.get(word):
            told = found[word]
            return told if isinstance(told, str) else msgspec.json.encode(told).decode()
    return ""
