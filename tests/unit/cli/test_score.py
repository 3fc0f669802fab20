"""`podium score` against a real HTTP server in the gateway's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.cli.serving import scored, state

from podium.cli.score import BATCH, score
from podium.errors import NotFound, NotRunning, PodiumError, ProjectError
from podium.node.state import LOCK, write_state


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(score, arguments)


def error_of(result: Result) -> str:
    assert isinstance(result.exception, PodiumError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.mark.parametrize("words", [['{"bmi": 0.5}'], ["diabetes", '{"bmi": 0.5}']])
def test_one_row_gets_the_gateways_answer_as_it_is(folder: Path, gateway: Any, words: list[str]) -> None:
    result = ask(*words)
    assert json.loads(result.stdout) == scored({"bmi": 0.5})
    ((path, _, body),) = gateway.asked
    assert (path, body) == ("/score/diabetes", {"bmi": 0.5})


def test_a_contender_and_a_deadline_can_be_asked_for(folder: Path, gateway: Any) -> None:
    ask('{"bmi": 0.5}', "--model", "forest@2", "--deadline", "50ms")
    ((_, headers, _),) = gateway.asked
    assert (headers["podium-force"], headers["podium-deadline"]) == ("forest@2", "50ms")


def test_a_file_gets_a_line_for_each_row_in_its_order(folder: Path, gateway: Any) -> None:
    count = 2 * BATCH + 1
    rows = "".join(f"{n},ignored\n" for n in range(count))
    (folder / "rows.csv").write_text(f"bmi,target\n{rows}")
    result = ask("--file", "rows.csv")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["progression"] for answer in answers] == [100.0 * n for n in range(count)]
    assert (answers[0]["model"], answers[0]["rule"]) == ("linear", "champion")
    assert [len(body) for _, _, body in gateway.asked] == [BATCH, BATCH, 1]
    assert "not inputs, left out: target" in result.stderr
    assert f"{count} rows scored" in result.stderr


def test_a_files_text_becomes_what_the_schema_says(folder: Path, gateway: Any) -> None:
    header = "bmi,age,smokes,city,pair,lab"
    (folder / "rows.csv").write_text(f'\ufeff{header}\n0.5,41,TRUE,007,"[1, 2]",\n', encoding="utf-8")
    ask("--file", "rows.csv")
    ((_, _, (row,)),) = gateway.asked
    assert row == {"bmi": 0.5, "age": 41, "smokes": True, "city": "007", "pair": [1, 2], "lab": None}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("high,1,true,a,[],", "rows.csv:2: bmi is 'high', expected bmi: float"),
        (",1,true,a,[],", "rows.csv:2: bmi is '', expected bmi: float"),
        ("1,1.5,true,a,[],", "rows.csv:2: age is '1.5', expected age: int"),
        ("1,1,maybe,a,[],", "rows.csv:2: smokes is 'maybe', expected smokes: bool"),
        ("1,1,true,a,1;2,", "rows.csv:2: pair is '1;2', expected pair: float[2]"),
        ("1", "rows.csv:2: age is None, expected age: int"),
    ],
)
def test_a_value_that_is_none_is_refused_with_its_line(
    folder: Path, gateway: Any, row: str, words: str
) -> None:
    (folder / "rows.csv").write_text(f"bmi,age,smokes,city,pair,lab\n{row}\n")
    result = ask("--file", "rows.csv")
    assert isinstance(result.exception, ProjectError)
    assert error_of(result).startswith(words)
    assert gateway.asked == []


def test_a_file_without_any_input_is_refused_with_the_inputs(folder: Path) -> None:
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    assert "no column is an input of the endpoint; its inputs are {bmi: float" in error_of(
        ask("--file", "rows.csv")
    )


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            422,
            b'{"title": "x", "detail": "\'bmi\' is missing", "expected": "bmi: float"}',
            "'bmi' is missing",
        ),
        (504, b'{"title": "nobody in time"}', "nobody in time"),
        (502, b"<html>", "the gateway says 502"),
    ],
)
def test_a_refusal_is_told_in_the_gateways_own_words(
    folder: Path, gateway: Any, status: int, body: bytes, words: str
) -> None:
    gateway.problem = (status, body)
    assert error_of(ask('{"bmi": 1}')).startswith(words)


def test_another_endpoint_is_refused_with_the_name_that_exists(folder: Path) -> None:
    result = ask("diabetis", '{"bmi": 1}')
    assert isinstance(result.exception, NotFound)
    assert error_of(result) == "no endpoint 'diabetis' here (did you mean 'diabetes'?); there is diabetes"


@pytest.mark.parametrize("words", [[], ["diabetes", "{}", "{}"], ["diabetes", "{}", "--file", "podium.toml"]])
def test_too_few_or_too_many_words_are_wrong_usage(folder: Path, words: list[str]) -> None:
    result = ask(*words)
    assert result.exit_code == 2
    assert "give one row of JSON" in result.stderr


def test_a_gateway_that_does_not_answer_is_not_running(folder: Path, gateway: Any) -> None:
    write_state(state(1), folder / ".podium" / "run")
    result = ask('{"bmi": 1}')
    assert isinstance(result.exception, NotRunning)
    assert "see `podium status`" in error_of(result)


def test_a_project_that_does_not_run_says_how_to_start_it(folder: Path) -> None:
    (folder / ".podium" / "run" / LOCK).unlink()
    result = ask('{"bmi": 1}')
    assert isinstance(result.exception, NotRunning)
    assert "`podium up` starts it" in error_of(result)
