"""The command line: the only place where the parts are put together."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any

import click
from click.exceptions import NoArgsIsHelpError

from podium import __version__
from podium.errors import PodiumError

COMMANDS = {
    "new": ("podium.cli.new:new", "Make a project that works at once."),
    "train": ("podium.cli.models:train", "Train models and put their versions into the registry."),
    "check": ("podium.cli.check:check", "Check that a model in another language keeps its protocol."),
    "models": ("podium.cli.models:models_command", "List the registry's versions."),
    "up": ("podium.cli.node:up", "Run the endpoint on this machine."),
    "down": ("podium.cli.detached:down", "Stop what `podium up` started."),
    "score": ("podium.cli.score:score", "Ask the running endpoint."),
    "outcome": ("podium.cli.outcome:outcome", "Say what really happened after a request."),
    "status": ("podium.cli.status:status", "Show contenders, counts, latencies, processes."),
    "logs": ("podium.cli.logs:logs", "Show what processes write."),
    "plan": ("podium.cli.policy:plan", "Show what applying podium.toml would change."),
    "apply": ("podium.cli.policy:apply", "Make the live policy what podium.toml says."),
    "join": ("podium.cli.policy:join", "Warm a version, then let it in."),
    "leave": ("podium.cli.policy:leave", "Let a contender go."),
    "promote": ("podium.cli.policy:promote", "Make a contender the champion."),
    "rollback": ("podium.cli.policy:rollback", "Go back to the last good revision."),
    "history": ("podium.cli.policy:history", "Show every revision of the policy."),
    "key": ("podium.cli.key:key", "Make, list and revoke callers' keys."),
    "compare": ("podium.cli.compare:compare", "Compare two contenders on the same requests."),
    "report": ("podium.cli.report:report", "Say who called, who answered, how fast, how wrong."),
    "replay": ("podium.cli.replay:replay", "Score archived requests with another version."),
    "export": ("podium.cli.export:export", "Write a table of what was served, to train on."),
    "forget": ("podium.cli.forget:forget", "Remove what is archived of a caller, key or request."),
    "deploy": ("podium.cli.deploy:deploy", "Run the endpoint on a Kubernetes cluster."),
    "render": ("podium.cli.render:render", "Write what containers, a cluster or a cloud need, as files."),
    "build": ("podium.cli.build:build", "Make an OCI image of a model, or of the gateway."),
    "push": ("podium.cli.artifacts:push", "Put a model version into an OCI registry."),
    "pull": ("podium.cli.artifacts:pull", "Get a model version out of an OCI registry."),
    "verify": ("podium.cli.artifacts:verify", "Check an image's or a package's signature."),
    "doctor": ("podium.cli.doctor:doctor", "Find what stands in the way, and say how to mend it."),
}
HIDDEN = {"run": "podium.cli.run:run"}


class _WrongUsage(click.UsageError):
    """Wrong usage, in one line like any other error."""

    def show(self, file: IO[Any] | None = None) -> None:
        what = " ".join(self.format_message().split()).rstrip(".")
        command = self.ctx.command_path if self.ctx else "podium"
        click.echo(f"podium: {what}; `{command} --help` shows how", file=file, err=True)


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise _WrongUsage(error.format_message(), error.ctx) from None


class _Lazy(click.Group):
    """Imports a command's module when that command is called, not before: `podium --help` is quick."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _in_one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _in_one_line():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = HIDDEN.get(cmd_name) or COMMANDS.get(cmd_name, ("", ""))[0]
        if not place:
            return None
        module, name = place.split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="podium")
def podium() -> None:
    """From a model in a file to answers in production, changed there without fear.

    Start with `podium new DIR`.
    """


def main() -> None:
    """Run a command; an error that Podium knows is one line on stderr and exit status 1, wrong usage 2.

    Log messages are for processes that keep a log, which they set up themselves.
    """
    logging.getLogger("podium").addHandler(logging.NullHandler())
    try:
        podium()
    except PodiumError as error:
        click.echo(f"podium: {error}", err=True)
        sys.exit(1)
