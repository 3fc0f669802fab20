"""The command line as a whole: what every command does alike."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from podium.cli import COMMANDS, podium


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jion"], "podium: No such command 'jion'; `podium --help` shows how\n"),
        (["--loud"], "podium: No such option '--loud'; `podium --help` shows how\n"),
        (["new"], "podium: Missing argument 'DIR'; `podium new --help` shows how\n"),
        (
            ["join", "forest", "--role", "champion"],
            "podium: Invalid value for '--role': 'champion' is not one of 'challenger', 'canary'; "
            "`podium join --help` shows how\n",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_2(words: list[str], said: str) -> None:
    result = CliRunner().invoke(podium, words, prog_name="podium")
    assert (result.exit_code, result.stderr, result.stdout) == (2, said, "")


def test_without_a_command_podium_shows_them_all() -> None:
    said = CliRunner().invoke(podium, [], prog_name="podium").output
    assert all(f"  {name} " in said for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(podium, [command, "--help"], prog_name="podium")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: podium {command} ")
