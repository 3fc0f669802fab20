"""`podium check` of a worker on the stream: a good one passes, each mistake is seen and explained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from podium.cli import outside
from podium.models.checks import Check, Verdict
from podium.models.examples import Examples, examples_of
from podium.models.process.child import Launch

OUTSIDER = Path(__file__).with_name("outsider.py")


def made(*mistakes: str, argv: tuple[str, ...] = ()) -> dict[str, Check]:
    command = argv or (sys.executable, str(OUTSIDER), *mistakes)
    launch = Launch(name="outsider", argv=command, folder=Path.cwd(), in_place=True)
    inputs = examples_of({"x": "float"}).inputs
    examples = Examples(inputs=inputs, columns={"x": np.array([1.0, 2.0, 3.5])})
    outputs = examples_of({"y": "float"}).inputs
    checks = outside.checks(launch, outputs, examples, output=subprocess.DEVNULL)
    return {check.name: check for check in checks}


def failed(checks: dict[str, Check]) -> dict[str, str]:
    return {name: check.said for name, check in checks.items() if check.verdict is Verdict.FAILED}


def test_a_worker_that_keeps_the_protocol_passes_every_check() -> None:
    checks = made()
    assert failed(checks) == {}
    assert len(checks) > 15
    assert "y = 2.0" in checks["starts"].said


def test_a_careless_worker_is_told_each_of_its_mistakes() -> None:
    checks = made("careless")
    assert failed(checks) == {
        "numbers": "its `seq` does not grow with each message",
        "frames for others": "it scored a frame that names others",
        "an expired frame": "it scored a frame that has expired",
        "a late frame": "`late` is None, expected [0, 1]",
    }
    assert "drop frames whose `contenders` do not name you" in checks["frames for others"].todo


def test_a_worker_that_takes_part_before_it_is_let_in_is_refused_everything_else() -> None:
    checks = made("early")
    assert failed(checks) == {"starts": "it scored a frame before it was let in"}
    assert checks["one row"].verdict is Verdict.SKIPPED
    assert "only its first probe lets you in" in checks["starts"].todo


def test_a_worker_that_dies_of_junk_or_ignores_sigterm_is_told_so() -> None:
    checks = made("fragile")
    assert failed(checks)["junk"] == "the worker ended with exit status 3"
    assert "go on with the next message" in checks["junk"].todo
    assert failed(made("stays")) == {"SIGTERM": "still there a second after SIGTERM"}


@pytest.mark.parametrize(("argv", "said"), [(("false",), "ended with exit status 1"), (("no-such",), "127")])
def test_a_program_that_is_no_worker_fails_at_once(argv: tuple[str, ...], said: str) -> None:
    assert said in failed(made(argv=argv))["starts"]
