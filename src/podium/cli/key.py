"""`podium key`: callers' keys, made, listed and revoked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from podium.callers import NAME, NAME_RULE, PREFIX, RESERVED, Key, Rate, new_token
from podium.cli.columns import aligned
from podium.cli.control import Steering, author, context_option, with_control
from podium.errors import NotFound, PolicyError
from podium.run import key_digest
from podium.schema import did_you_mean

TEXT_LENGTH = 200
HEAD = ("caller", "id", "owner", "purpose", "rate", "created", "state")


class _RateOption(click.ParamType[Rate]):
    """So many requests in a second, minute or hour."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        found = Rate.parse(str(value))
        if found is None:
            self.fail(f"{value!r} is no rate; write as in 100/s, 600/m or 5000/h", param, ctx)
        return found


@click.group()
def key() -> None:
    """Make, list and revoke the keys of those who call the endpoint."""


@key.command()
@click.argument("words", nargs=-1, required=True, metavar="[ENDPOINT] CALLER")
@click.option("--owner", default="", help="Who answers for it: a person, a mail address.")
@click.option("--purpose", default="", help="What it is for.")
@click.option(
    "--rate",
    type=_RateOption(),
    metavar="RATE",
    help="The most that each gateway lets in: 100/s, 600/m, 5000/h.",
)
@click.option("--another", is_flag=True, help="A second key for a caller who has one: to change over.")
@context_option
def create(
    *, words: tuple[str, ...], owner: str, purpose: str, rate: Rate | None, another: bool, context: str | None
) -> None:
    """Make a caller's key and print it, this once."""
    endpoint, name = _endpoint_and(words, "CALLER")
    if not NAME.fullmatch(name) or name.startswith(PREFIX) or name in RESERVED:
        raise click.UsageError(
            f"{name!r} cannot be a caller's name: {NAME_RULE}; not {' or '.join(RESERVED)}, nor {PREFIX}…"
        )
    _check_text(owner, purpose)
    token = new_token()
    new = Key(
        digest=key_digest(token),
        name=name,
        owner=owner,
        purpose=purpose,
        rate=rate,
        created=_now(),
        author=author(),
    )

    async def do(control: Steering) -> None:
        has = [each for each in await control.keys() if each.name == name and each.revoked is None]
        if has and not another:
            raise PolicyError(
                f"{name!r} has a key already ({_ids(has)}); `--another` makes one beside it, to change over"
            )
        known = await control.keep_key(new)
        click.echo(token)
        click.echo(
            f"the key of {name}, id {new.id}, shown this once, {known}: send it as "
            "`Authorization: Bearer KEY` or as `X-API-Key`",
            err=True,
        )

    with_control(endpoint, do, context)


@key.command(name="list")
@click.argument("endpoint", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@context_option
def list_(endpoint: str | None, as_json: bool, context: str | None) -> None:
    """List all keys, the revoked ones too."""

    async def show(control: Steering) -> None:
        keys = await control.keys()
        if as_json:
            click.echo(msgspec.json.encode([_as_json(each) for each in keys]).decode())
        elif keys:
            click.echo("\n".join(aligned([HEAD, *map(_row, keys)])))
        else:
            click.echo("there are no keys yet: podium key create CALLER")

    with_control(endpoint, show, context)


@key.command()
@click.argument("words", nargs=-1, required=True, metavar="[ENDPOINT] CALLER|ID|KEY")
@context_option
def revoke(words: tuple[str, ...], context: str | None) -> None:
    """End a key for good, by its caller's name, its id, or itself."""
    endpoint, word = _endpoint_and(words, "CALLER, an id or a key")

    async def do(control: Steering) -> None:
        found = _named(await control.keys(), word)
        known = await control.keep_key(replace(found, revoked=_now(), revoker=author()))
        click.echo(f"the key {found.id} of {found.name} is revoked, {known}")

    with_control(endpoint, do, context)


def _endpoint_and(words: Sequence[str], what: str) -> tuple[str | None, str]:
    if len(words) > 2:
        raise click.UsageError(f"give {what}, with the endpoint before it or without")
    return (words[0] if len(words) == 2 else None), words[-1]


def _check_text(*texts: str) -> None:
    for text in texts:
        if not text.isprintable() or len(text) > TEXT_LENGTH:
            raise click.UsageError(
                f"{text[:40]!r} is shown in lists: one line of up to {TEXT_LENGTH} characters"
            )


def _named(keys: Sequence[Key], word: str) -> Key:
    """The one live key that the word means. Raises NotFound, PolicyError."""
    shown = f"{PREFIX}…" if word.startswith(PREFIX) else repr(word)
    named = [each for each in keys if each.is_named(word)]
    live = [each for each in named if each.revoked is None]
    if len(live) == 1:
        return live[0]
    if live:
        raise PolicyError(f"{shown} has {len(live)} keys; say which by its id: {_ids(live)}")
    if named:
        raise PolicyError(
            f"{shown} is revoked already, by {named[-1].revoker}, {_day(named[-1].revoked or 0)}"
        )
    names = sorted({each.name for each in keys if each.revoked is None})
    there = f"; there are {', '.join(names)}" if names else "; there are none"
    raise NotFound(f"no key {shown}{did_you_mean(word, names)}{there}")


def _ids(keys: Sequence[Key]) -> str:
    return ", ".join(f"{each.id} of {_day(each.created)}" for each in keys)


def _as_json(key: Key) -> dict[str, Any]:
    """What is kept, times as RFC 3339, and the rate as it is written."""
    return {
        "caller": key.name,
        "id": key.id,
        "digest": key.digest,
        "owner": key.owner,
        "purpose": key.purpose,
        "rate": str(key.rate) if key.rate else None,
        "created": _time(key.created),
        "author": key.author,
        "revoked": _time(key.revoked) if key.revoked is not None else None,
        "revoker": key.revoker,
    }


def _row(key: Key) -> tuple[str, ...]:
    state = "live" if key.revoked is None else f"revoked {_day(key.revoked)} by {key.revoker}"
    rate = str(key.rate) if key.rate else "–"
    return key.name, key.id, key.owner or "–", key.purpose or "–", rate, _day(key.created), state


def _now() -> int:
    return time.time_ns() // 1000


def _day(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d}"


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="seconds")
