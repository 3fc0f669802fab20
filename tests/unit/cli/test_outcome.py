"""`podium outcome` against a real HTTP server in the gateway's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result
from tests.unit.cli.serving import taken

from podium.cli import outcome as outcome_module
from podium.cli.outcome import BATCH, outcome
from podium.errors import PodiumError, ProjectError


def say(*arguments: str) -> Result:
    return CliRunner().invoke(outcome, arguments)


def error_of(result: Result) -> str:
    assert isinstance(result.exception, PodiumError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def items(gateway: Any) -> list[dict[str, Any]]:
    return [item for _, _, body in gateway.asked for item in body]


# --- one ------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [[], ["diabetes"]])
def test_one_outcome_goes_to_its_request(folder: Path, gateway: Any, endpoint: list[str]) -> None:
    result = say(*endpoint, "order/17 50%", '{"progression": 151}')
    assert json.loads(result.stdout) == taken({"progression": 151})
    ((path, headers, body),) = gateway.asked
    assert (path, body) == ("/outcome/diabetes/order%2F17%2050%25", {"progression": 151})
    assert "podium-observed" not in headers


def test_one_outcome_may_say_when_it_happened(folder: Path, gateway: Any) -> None:
    say("a", '{"progression": 151}', "--observed", "2026-11-24T12:00:00Z")
    ((_, headers, _),) = gateway.asked
    assert headers["podium-observed"] == "2026-11-24T12:00:00Z"


@pytest.mark.parametrize(
    "words", [[], ["a"], ["diabetes", "a", "{}", "{}"], ["diabetes", "a", "--file", "podium.toml"]]
)
def test_too_few_or_too_many_words_are_wrong_usage(folder: Path, words: list[str]) -> None:
    result = say(*words)
    assert result.exit_code == 2
    assert "give an id and its outcome" in result.stderr


def test_another_endpoint_is_refused_with_the_name_that_exists(folder: Path) -> None:
    assert (
        error_of(say("diabetis", "a", "{}"))
        == "no endpoint 'diabetis' here (did you mean 'diabetes'?); there is diabetes"
    )


# --- a file ---------------------------------------------------------------------------------


def test_a_file_of_text_is_sent_in_batches_with_the_types_of_the_outputs(folder: Path, gateway: Any) -> None:
    count = 2 * BATCH + 1
    lines = "".join(f"r{n},{n},good,x\n" for n in range(count))
    (folder / "rows.csv").write_text(f"id,progression,true_grade,note\n{lines}")
    result = say("--file", "rows.csv")
    assert [len(body) for _, _, body in gateway.asked] == [BATCH, BATCH, 1]
    assert items(gateway)[7] == {"id": "r7", "row": 0, "outcome": {"progression": 7.0, "grade": "good"}}
    assert "2,001 outcomes taken in" in result.stdout
    assert "not outputs, left out: note" in result.stderr


def test_what_is_empty_is_not_known_and_a_row_with_nothing_is_left_out(folder: Path, gateway: Any) -> None:
    (folder / "rows.csv").write_text(
        "id,row,observed,progression,grade\na,2,2026-11-24T12:00:00Z,,good\nb,,,,\nnew,,,1,\n"
    )
    result = say("diabetes", "--file", "rows.csv", "--observed", "2026-11-01T00:00:00Z")
    assert items(gateway) == [
        {"id": "a", "row": 2, "outcome": {"grade": "good"}, "observed": "2026-11-24T12:00:00Z"},
        {"id": "new", "row": 0, "outcome": {"progression": 1.0}, "observed": "2026-11-01T00:00:00Z"},
    ]
    assert "2 outcomes taken" in result.stdout
    assert "of 1 the archive cannot tell yet" in result.stdout


def test_a_second_line_of_a_row_is_a_correction_in_a_later_batch(folder: Path, gateway: Any) -> None:
    (folder / "rows.csv").write_text("id,progression\na,1\nb,2\na,3\na,4\n")
    say("--file", "rows.csv")
    assert [[item["id"] for item in body] for _, _, body in gateway.asked] == [["a", "b"], ["a"], ["a"]]


def test_a_batch_is_no_larger_than_a_body_may_be(folder: Path, gateway: Any) -> None:
    lines = "".join(f"r{n},{'x' * 900}\n" for n in range(300))
    (folder / "rows.csv").write_text(f"id,grade\n{lines}")
    say("--file", "rows.csv")
    assert len(items(gateway)) == 300
    assert all(int(headers["content-length"]) <= 100_000 for _, headers, _ in gateway.asked)
    assert len(gateway.asked) == 3


def test_json_lines_and_parquet_keep_their_own_types(folder: Path, gateway: Any) -> None:
    (folder / "rows.jsonl").write_text(
        '{"id": "a", "progression": 1}\n{"id": 0, "grade": "bad", "row": 1.0}\n'
    )
    duckdb.sql(
        "copy (select 'p' as id, 1.5::decimal(4, 1) as progression, null as grade, "
        f"timestamp '2026-01-01' as observed) to '{folder / 'rows.parquet'}'"
    )
    say("--file", "rows.jsonl")
    say("--file", "rows.parquet")
    assert items(gateway) == [
        {"id": "a", "row": 0, "outcome": {"progression": 1}},
        {"id": "0", "row": 1, "outcome": {"grade": "bad"}},
        {"id": "p", "row": 0, "outcome": {"progression": 1.5}, "observed": "2026-01-01T00:00:00+00:00"},
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "",
            "rows.csv is empty; its columns should be id and outputs of {progression: float",
        ),
        ("id,progression\n", "rows.csv has no outcome: no row"),
        ("id,progression\na,\n", "rows.csv has no outcome: no row, or nothing in its columns"),
        (
            "idd,progression\na,1\n",
            "rows.csv: no column 'id' (did you mean 'idd'?); its columns are idd",
        ),
        (
            "id,progresion\na,1\n",
            "rows.csv: no column is an output (did you mean 'progression'?); the",
        ),
        (
            "id,progression\na,high\n",
            "rows.csv:2: progression is 'high', expected progression: float",
        ),
        ("id,progression\n,1\n", "rows.csv:2: the id is empty; no outcome was taken"),
        ("id,row,progression\na,x,1\n", "rows.csv:2: row is 'x', expected a number from 0"),
        ("id,row,progression\na,-1,1\n", "rows.csv:2: row is '-1', expected a number from 0"),
        ("id,row,progression\na,1.5,1\n", "rows.csv:2: row is '1.5', expected a number from 0"),
        ("id,grade,true_grade\na,b,c\n", "rows.csv: an output has two columns: grade, true_grade"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_with_its_line(
    folder: Path, gateway: Any, content: str, words: str
) -> None:
    (folder / "rows.csv").write_text(content)
    result = say("--file", "rows.csv")
    assert isinstance(result.exception, ProjectError)
    assert error_of(result).startswith(words)
    assert gateway.asked == []


def test_a_mistake_further_down_says_what_was_taken_before(folder: Path, gateway: Any) -> None:
    lines = "".join(f"r{n},{n}\n" for n in range(BATCH))
    (folder / "rows.csv").write_text(f"id,progression\n{lines}more,1\neven more,high\n")
    words = error_of(say("--file", "rows.csv"))
    assert words.startswith("rows.csv:1003: progression is 'high'")
    assert words.endswith("; 1,000 outcomes were taken, up to rows.csv:1001")


def test_a_refusal_is_told_with_the_line_that_it_is_about(folder: Path, gateway: Any) -> None:
    (folder / "rows.csv").write_text("id,progression\na,1\nb,2\nnobody,3\n")
    problem = {"type": "/docs/problems#unknown-request", "detail": "no request 'nobody'", "path": "$[2].id"}
    gateway.problem = (404, json.dumps(problem).encode())
    assert error_of(say("--file", "rows.csv")) == "rows.csv:4: no request 'nobody'; no outcome was taken"


def test_a_gateway_that_is_busy_is_asked_again(
    folder: Path, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_module, "RETRY_SECONDS", 0.0)
    (folder / "rows.csv").write_text("id,progression\na,1\n")
    gateway.problem = (503, b'{"detail": "the stream is away"}')
    assert error_of(say("--file", "rows.csv")) == "the stream is away; no outcome was taken"
    assert len(gateway.asked) == outcome_module.TRIES + 1
