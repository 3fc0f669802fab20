"""`podium check`'s suite: a good command passes, and each mistake fails the check that is named after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from podium.models.checks import Check, Report, Verdict
from podium.models.examples import Examples, examples_of
from podium.models.process import conformance
from podium.models.process.conformance import Suite
from podium.schema import Field, Kind, Schema

from .programs import launch

INPUTS = Schema(
    (
        Field(name="x", type=Kind.FLOAT, missing=True),
        Field(name="town", type=Kind.STRING),
        Field(name="well", type=Kind.BOOL),
        Field(name="age", type=Kind.INT),
        Field(name="pair", type=Kind.FLOAT, shape=(2,)),
    )
)
OUTPUTS = Schema((Field(name="y", type=Kind.FLOAT, missing=True),))

PROGRAM = """
    import json, signal, sys, time
    seen = 0
    {before}
    for line in sys.stdin:
        asked = json.loads(line)
        id, columns = asked["id"], asked["columns"]
        try:
            x = columns["x"]
            y = [None if value is None else 2 * value + sum(pair) for value, pair in zip(x, columns["pair"])]
            answer = {{"id": id, "columns": {{"y": y}}}}
        except KeyError as problem:
            y, answer = [], {{"id": id, "error": f"no column {{problem}}"}}
        {now}
        print(json.dumps(answer), flush=True)
    {after}
"""


def suite(
    folder: Path, *, now: str = "pass", before: str = "", after: str = "", packed: bool = True
) -> Suite:
    source = PROGRAM.format(now=now, before=before, after=after)
    return Suite(launch(folder, source), INPUTS, OUTPUTS, examples_of(INPUTS), packed=packed)


def failed(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks if check.verdict is Verdict.FAILED}


def test_a_command_that_keeps_the_protocol_passes_every_check(tmp_path: Path) -> None:
    checks = list(suite(tmp_path).run())
    assert [(check.name, check.verdict) for check in checks if check.verdict is not Verdict.OK] == []
    assert Report.of("rule", checks).ok
    assert {"text", "missing values", "a large frame", "its folder stays as it is"} <= {
        c.name for c in checks
    }


@pytest.mark.parametrize(
    ("now", "name", "said", "todo"),
    [
        (
            "if len(y) == 1: answer['columns']['y'] = y[0]",
            "one row",
            "Expected `array`",
            "also where there is",
        ),
        ("if len(y) == 100: y.pop()", "many rows", "99 rows, expected 100", "a value for each row"),
        ("seen += 1; y[:] = [v and v + seen for v in y]", "rows alone and together", "alone", "no memory"),
        ("answer['id'] = min(id, 99999)", "ids", "answered the id 99999, but was asked 100000", "copy `id`"),
        ("if 'later' in asked: sys.exit(4)", "unknown words", "exit status 4", "go on reading lines"),
        ("if 'error' in answer: raise SystemExit('no x')", "nonsense", "said last: no x", '"error": "why"'),
        (
            "if 'error' in answer: answer = {'id': id, 'columns': {}}",
            "nonsense",
            "answered columns",
            "not there",
        ),
        (
            "if id > 1: print('debug', y[:1])",
            "standard output",
            "no answers; one is 'debug [0.",
            "standard error",
        ),
        ("if None in y: y[y.index(None)] = 'NA'", "missing values", "Expected `float | null`", "null"),
        ("if len(y) > 5000: sys.exit(0)", "a large frame", "exit status 0", "go on reading lines"),
        (
            "if 'error' not in answer: answer = {'id': id, 'error': 'no'}",
            "one row",
            "error 'no'",
            "examples = [",
        ),
        (
            "if 'Köln' in columns['town']: raise ValueError('ascii only')",
            "text",
            "ascii only",
            "go on reading",
        ),
        (
            "open(__file__, 'a').write('#')",
            "its folder stays as it is",
            "writes into its folder",
            "temporary folder",
        ),
    ],
)
def test_a_mistake_fails_its_check_and_is_explained(
    tmp_path: Path, now: str, name: str, said: str, todo: str
) -> None:
    found = failed(list(suite(tmp_path, now=now).run()))
    assert name in found, found
    assert said in found[name].said
    assert todo in found[name].todo or todo in found[name].said


def test_who_does_not_flush_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "START_SECONDS", 0.5)  # no need to wait as long as for a real start
    checks = list(suite(tmp_path, before="print = lambda text, flush: sys.stdout.write(text + '\\n')").run())
    assert (checks[0].name, checks[0].verdict) == ("starts", Verdict.FAILED)
    assert "no answer within 0.5 s" in checks[0].said
    assert "flush standard output" in checks[0].todo
    assert {check.verdict for check in checks[1:-1]} == {Verdict.SKIPPED}


def test_who_waits_for_a_second_line_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(conformance, "START_SECONDS", 0.5)
    hold = "held = []\n    say = print\n    def print(text, flush):\n        held.append(text)\n"
    hold += "        if len(held) != 2:\n            say(held.pop(), flush=True)"
    swap = "if id > 5 and len(y) == 1 and not seen:\n            seen = 1; continue"
    found = failed(list(suite(tmp_path, before=hold, now=swap).run()))
    assert any("no answer within 0.5 s" in check.said for check in found.values())


def test_who_does_not_end_with_its_input_is_found_out(tmp_path: Path) -> None:
    found = failed(list(suite(tmp_path, after="time.sleep(60)").run()))
    assert "end when there is no next line" in found["the end of input"].todo


def test_who_ignores_sigterm_and_the_end_is_found_out(tmp_path: Path) -> None:
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    found = failed(list(suite(tmp_path, before=ignore, after="time.sleep(60)").run()))
    assert "do not ignore SIGTERM" in found["SIGTERM"].todo


def test_what_a_model_has_no_input_for_is_skipped_and_not_passed(tmp_path: Path) -> None:
    inputs = Schema((Field(name="x", type=Kind.FLOAT), Field(name="pair", type=Kind.FLOAT, shape=(2,))))
    columns = {"x": np.array([1.0, 2.0]), "pair": np.ones((2, 2))}
    made = Suite(
        launch(tmp_path, PROGRAM.format(now="pass", before="", after="")),
        inputs,
        OUTPUTS,
        Examples(inputs=inputs, columns=columns),
        packed=False,
    )
    skipped = {check.name for check in made.run() if check.verdict is Verdict.SKIPPED}
    assert skipped == {"text", "missing values"}
