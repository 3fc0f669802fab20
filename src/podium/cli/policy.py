"""Commands that change who answers: plan, apply, join, leave, promote, rollback, history."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from podium.cli import gating
from podium.cli.control import Steering, context_option, lineup, with_control
from podium.errors import ArchiveError, NotFound, PolicyError, UnknownVersion
from podium.node.contenders import candidate, policy_of
from podium.project import FILE, ModelSettings, Project
from podium.records import Contender, Policy, Role
from podium.registry.folder import FolderRegistry
from podium.rendezvous import changes
from podium.toml_tables import parse_part

JOINING = (Role.CHALLENGER, Role.CANARY)


def endpoint_and_model(words: Sequence[str]) -> tuple[str | None, str]:
    """`[ENDPOINT] MODEL[@VERSION]`: the endpoint may be left out."""
    if len(words) == 1:
        return None, words[0]
    if len(words) == 2:
        return words[0], words[1]
    raise click.UsageError("give MODEL or MODEL@VERSION, with the endpoint before it or without")


_words = click.argument("words", nargs=-1, required=True, metavar="[ENDPOINT] MODEL[@VERSION]")
_force = click.option(
    "--force", metavar="REASON", default="", help="Past shut gates, for this reason, which is recorded."
)
_reason = click.option("--reason", default="", help="Why, for the history.")


class _Share(click.ParamType[float]):
    """A part of the traffic."""

    name = "10%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = parse_part(str(value))
        if found is None or not 0 <= found <= 1:
            self.fail(f"{value!r} is no share; write as in 10%, from 0% to 100%", param, ctx)
        return found


# --- the project file -----------------------------------------------------------------------


@click.command()
@click.argument("endpoint", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@context_option
def plan(endpoint: str | None, as_json: bool, context: str | None) -> None:
    """Show what `podium apply` would change: how podium.toml differs from the live policy."""

    async def show(control: Steering) -> None:
        live = await control.live()
        found = changes.differences(live, wanted(control.project, live))
        if as_json:
            shown = {"endpoint": live.endpoint, "revision": live.revision, "changes": found}
            click.echo(msgspec.json.encode(shown).decode())
            return
        _show_plan(live, found)
        _show_newer(control.project, live)

    with_control(endpoint, show, context)


@click.command()
@click.argument("endpoint", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_force
@_reason
@context_option
def apply(endpoint: str | None, yes: bool, force: str, reason: str, context: str | None) -> None:
    """Make the live policy what podium.toml says, with the versions that are live where it pins none."""

    async def do(control: Steering) -> None:
        live = await control.live()
        target = wanted(control.project, live)
        found = changes.differences(live, target)
        _show_plan(live, found)
        if not found:
            return
        if not yes and sys.stdin.isatty():
            click.confirm("apply?", abort=True)
        promotes = target.champion.name != live.champion.name
        passed = await _through_gates(control, target.champion, force) if promotes else ""
        await control.change(live, target, reason=f"{reason or f'{FILE} applied'}{passed}")

    with_control(endpoint, do, context)


def wanted(project: Project, live: Policy) -> Policy:
    """The file's policy as the revision after `live`; a model without a pinned version keeps its live one."""
    registry = FolderRegistry(project.registry_dir)
    contenders = [_of_file(registry, model, live) for model in project.models.values()]
    return replace(policy_of(project, contenders), revision=live.revision + 1)


def _of_file(registry: FolderRegistry, model: ModelSettings, live: Policy) -> Contender:
    version = model.version
    if version is None:
        alike = [c for c in live.scoring if c.model == model.name]
        alike.sort(key=lambda contender: contender.role is not model.role)
        version = alike[0].version if alike else None
    return candidate(registry, model.name, version, model.role, model.share).contender


def _show_plan(live: Policy, found: Sequence[str]) -> None:
    if not found:
        click.echo(f"nothing to change: revision {live.revision} is what {FILE} says")
        return
    click.echo(f"from revision {live.revision} ({live.author}: {live.reason}) to {FILE}:")
    for line in found:
        click.echo(f"  {line}")


def _show_newer(project: Project, live: Policy) -> None:
    registry = FolderRegistry(project.registry_dir)
    for model in dict.fromkeys(contender.model for contender in live.scoring):
        newest = registry.versions(model)[-1]
        if newest.number > max(c.number for c in live.scoring if c.model == model):
            click.echo(
                f"{model} {newest.number} ({newest.short}) is in the registry and not on the endpoint: "
                f"`podium join {live.endpoint} {model}@{newest.number}` lets it in"
            )


# --- one contender --------------------------------------------------------------------------


@click.command()
@_words
@click.option(
    "--role", type=click.Choice([r.value for r in JOINING]), default="challenger", show_default=True
)
@click.option("--share", type=_Share(), help="For this part of the traffic its answer is preferred.")
@context_option
@_reason
def join(words: tuple[str, ...], role: str, share: float | None, reason: str, context: str | None) -> None:
    """Warm a version, then let it in; without a version, the newest. Also changes a role or a share."""
    endpoint, word = endpoint_and_model(words)

    async def do(control: Steering) -> None:
        live = await control.live()
        found = _version(control.project, word, Role(role), share or None)
        await _let_in(control, live, found, reason)

    with_control(endpoint, do, context)


def join_as_challenger(word: str, reason: str) -> None:
    """Let `MODEL@VERSION` join the endpoint here, unless it is there: as a challenger, never as champion."""

    async def do(control: Steering) -> None:
        live = await control.live()
        found = _version(control.project, word, Role.CHALLENGER, None)
        for there in live.scoring:
            if there.name == found.name:
                click.echo(f"{found.name} is on the endpoint already, as {there.role.value}")
                return
        await _let_in(control, live, found, reason)

    with_control(None, do)


async def _let_in(control: Steering, live: Policy, found: Contender, reason: str) -> None:
    changed = changes.joined(live, found)
    if not (lines := changes.differences(live, changed)):
        raise PolicyError(f"{found.name} is {found.role.value} already (revision {live.revision})")
    await control.change(live, changed, reason=reason or f"{found.name} joins")
    _show(lines)
    click.echo(f"Next: podium status, then podium compare {live.endpoint} {live.champion.name} {found.name}")


@click.command()
@_words
@_reason
@context_option
def leave(words: tuple[str, ...], reason: str, context: str | None) -> None:
    """Let a contender go: it is ignored first, then finishes what it has, then stops."""
    endpoint, word = endpoint_and_model(words)

    async def do(control: Steering) -> None:
        live = await control.live()
        changed = changes.left(live, word)
        await control.change(live, changed, reason=reason or f"{word} leaves")
        _show(changes.differences(live, changed))

    with_control(endpoint, do, context)


@click.command()
@_words
@_force
@_reason
@context_option
def promote(words: tuple[str, ...], force: str, reason: str, context: str | None) -> None:
    """Make a contender the champion, if the gates are open; the champion until now becomes a challenger."""
    endpoint, word = endpoint_and_model(words)

    async def do(control: Steering) -> None:
        live = await control.live()
        changed = changes.promoted(live, word)
        passed = await _through_gates(control, changed.champion, force)
        why = reason or f"{changed.champion.name} promoted"
        await control.change(live, changed, reason=f"{why}{passed}")
        _show(changes.differences(live, changed))
        click.echo(f"Back: podium rollback {live.endpoint}")

    with_control(endpoint, do, context)


async def _through_gates(control: Steering, contender: Contender, force: str) -> str:
    """Judge a promotion by the live policy's gates; returns what the history is to say of them.

    Raises PolicyError, with what each gate measured, for one that is shut, unless it is forced.
    """
    history = await control.history()
    if not gating.any_set(history[-1].gates):
        return ""
    try:
        results = await asyncio.to_thread(gating.results, control.project, history, contender)
    except (ArchiveError, NotFound) as error:  # nothing to judge by is no reason to let somebody in
        shut = f"no gate can be judged: {error}"
    else:
        for line in gating.words(results):
            click.echo(line)
        shut = ", ".join(result.gate for result in results if not result.passed)
        shut = shut and f"shut: {shut}"
    if shut and not force:
        raise PolicyError(
            f"{contender.name} is not promoted, {shut}. More requests and outcomes may open a gate; "
            '`--force "REASON"` promotes all the same, and is recorded'
        )
    return f"; forced ({shut}): {force}" if shut else "; all gates open"


@click.command()
@click.argument("endpoint", required=False)
@click.option("--to", "revision", type=click.IntRange(1), help="This revision, instead of the last good one.")
@_reason
@context_option
def rollback(endpoint: str | None, revision: int | None, reason: str, context: str | None) -> None:
    """Go back to the last revision that nobody had to take back, or to a named one."""

    async def do(control: Steering) -> None:
        live = await control.live()
        old = await _earlier(control, live, revision)
        changed = changes.restored(live, old)
        if not (lines := changes.differences(live, changed)):
            raise PolicyError(f"revision {old.revision} is what is live (revision {live.revision})")
        await control.change(live, changed, reason=reason or f"back to revision {old.revision}")
        click.echo(f"as revision {old.revision} was ({old.author}: {old.reason}):")
        _show(lines)

    with_control(endpoint, do, context)


async def _earlier(control: Steering, live: Policy, revision: int | None) -> Policy:
    """Raises NotFound, PolicyError, with the revisions that exist."""
    if revision is not None:
        if found := await control.revision(revision):
            return found
        raise NotFound(f"there is no revision {revision}; `podium history` shows 1 to {live.revision}")
    good = changes.last_good(await control.history())
    if good is None:
        raise PolicyError(
            f"nothing to go back to from revision {live.revision}; `podium history` shows all, "
            "`--to REVISION` names one"
        )
    return good


def _version(project: Project, word: str, role: Role, share: float | None) -> Contender:
    """`MODEL[@VERSION]` from the registry. Raises UnknownVersion with those that exist."""
    model, at, version = word.partition("@")
    if at and not version:
        raise UnknownVersion(f"{word!r} has no version after the @; leave it away for the newest")
    registry = FolderRegistry(project.registry_dir)
    return candidate(registry, model, version or None, role, share).contender


# --- what was ---------------------------------------------------------------------------------


@click.command()
@click.argument("endpoint", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document: all revisions, whole.")
@context_option
def history(endpoint: str | None, as_json: bool, context: str | None) -> None:
    """Show every revision of the policy: when, who, why, and what it changed."""

    async def show(control: Steering) -> None:
        revisions = await control.history()
        if as_json:
            click.echo(msgspec.json.encode(revisions).decode())
            return
        before: Policy | None = None
        for policy in revisions:
            when = datetime.fromtimestamp(policy.changed / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            back = f" (as revision {policy.restores})" if policy.restores else ""
            click.echo(f"{policy.revision}  {when}  {policy.author}: {policy.reason}{back}")
            _show(changes.differences(before, policy) if before else [lineup(policy)])
            before = policy

    with_control(endpoint, show, context)


def _show(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(f"  {line}")
