"""Writes the test vectors of the process door into `vectors/process/`: run `python spec/process_lines.py`.

The lines are written out by hand, from the words of `docs/protocol.md`; nothing of Podium is imported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent / "vectors"
ONE = {"progression": {"type": "float", "shape": []}}


def main(folder: Path = VECTORS) -> None:
    target = folder / "process"
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.json"):
        old.unlink()
    for name, vector in {**questions(), **answers(), **refused()}.items():
        text = json.dumps(vector, indent=2, ensure_ascii=False) + "\n"
        (target / f"{name}.json").write_text(text, encoding="utf-8")


def questions() -> dict[str, dict[str, Any]]:
    """Lines that a process must understand."""

    def question(what: str, line: str, number: int, **columns: Any) -> dict[str, Any]:
        return {"what": what, "question": line, "id": number, "columns": columns}

    return {
        "question-one-row": question(
            "One row.", '{"id":7,"columns":{"bmi":[0.05]}}', 7, bmi=tensor("float", [1], [0.05])
        ),
        "question-several-rows": question(
            "Three rows, two columns.",
            '{"id":8,"columns":{"bmi":[0.05,-0.01,0.0],"age":[40,41,42]}}',
            8,
            bmi=tensor("float", [3], [0.05, -0.01, 0.0]),
            age=tensor("int", [3], [40, 41, 42]),
        ),
        "question-missing": question(
            "A missing number is null.",
            '{"id":9,"columns":{"bmi":[null,0.05]}}',
            9,
            bmi=tensor("float", [2], [None, 0.05]),
        ),
        "question-texts": question(
            "Text is UTF-8: empty, with a quote, a backslash and a line's end, and beyond 16 bits.",
            '{"id":10,"columns":{"town":["","a \\"b\\" \\\\ c\\nd","Köln","𝔘lm"]}}',
            10,
            town=tensor("string", [4], ["", 'a "b" \\ c\nd', "Köln", "𝔘lm"]),
        ),
        "question-bools": question(
            "True and false.",
            '{"id":11,"columns":{"smoker":[true,false]}}',
            11,
            smoker=tensor("bool", [2], [True, False]),
        ),
        "question-tensor": question(
            "A tensor is a list in a list, for each row.",
            '{"id":12,"columns":{"image":[[[1.0,2.0],[3.0,4.0]],[[5.0,6.0],[7.0,8.0]]]}}',
            12,
            image=tensor("float", [2, 2, 2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        ),
        "question-extremes": question(
            "The largest and smallest numbers: all 53 bits of a float arrive, all 64 of an integer.",
            '{"id":2147483647,"columns":{"x":[1.7976931348623157e308,5e-324,0.1],"n":'
            "[9223372036854775807,-9223372036854775808,0]}}",
            2147483647,
            x=tensor("float", [3], [1.7976931348623157e308, 5e-324, 0.1]),
            n=tensor("int", [3], [9223372036854775807, -9223372036854775808, 0]),
        ),
    }


def answers() -> dict[str, dict[str, Any]]:
    """Lines that Podium must understand."""

    def answer(
        what: str, line: str, number: int, outputs: dict[str, Any] = ONE, **more: Any
    ) -> dict[str, Any]:
        return {"what": what, "answer": line, "id": number, "outputs": outputs, **more}

    return {
        "answer-two-rows": answer(
            "Two rows.",
            '{"id": 7, "columns": {"progression": [199.8, 161.9]}}',
            7,
            columns={"progression": tensor("float", [2], [199.8, 161.9])},
        ),
        "answer-one-row": answer(
            "One row is a list too, with one value in it.",
            '{"id":7,"columns":{"progression":[199.8]}}',
            7,
            columns={"progression": tensor("float", [1], [199.8])},
        ),
        "answer-any-order": answer(
            "Keys come in any order, and unknown ones are ignored, as are columns that nobody asked for.",
            '{"took": 3, "columns": {"other": ["x"], "progression": [1]}, "id": 7}',
            7,
            columns={"progression": tensor("float", [1], [1.0])},
        ),
        "answer-numbers": answer(
            "A whole number may be written as a float, an id too.",
            '{"id":1e5,"columns":{"grade":[3.0,4]}}',
            100000,
            {"grade": {"type": "int", "shape": []}},
            columns={"grade": tensor("int", [2], [3, 4])},
        ),
        "answer-null": answer(
            "Null is a number that the model does not have: that row has no score.",
            '{"id":7,"columns":{"progression":[null,1.5]}}',
            7,
            columns={"progression": tensor("float", [2], [None, 1.5])},
        ),
        "answer-kinds": answer(
            "Text, bools and a tensor.",
            '{"id":7,"columns":{"risk":["high"],"ill":[false],"risk_probability":[[0.25,0.75]]}}',
            7,
            {
                "risk": {"type": "string", "shape": []},
                "ill": {"type": "bool", "shape": []},
                "risk_probability": {"type": "float", "shape": [2]},
            },
            columns={
                "risk": tensor("string", [1], ["high"]),
                "ill": tensor("bool", [1], [False]),
                "risk_probability": tensor("float", [1, 2], [0.25, 0.75]),
            },
        ),
        "answer-error": answer(
            "The model cannot score these rows, and says why.",
            '{"id":7,"error":"bmi: expected a number"}',
            7,
            error="bmi: expected a number",
        ),
    }


def refused() -> dict[str, dict[str, Any]]:
    """Lines after which their question, of two rows, has no score, each for this reason."""

    def bad(what: str, line: str, why: str) -> dict[str, Any]:
        return {"what": what, "answer": line, "outputs": ONE, "rows": 2, "refused": why}

    return {
        "refused-noise": bad("Something else on standard output.", "loading model ...", "not an answer"),
        "refused-empty": bad("An empty line.", "", "not an answer"),
        "refused-list": bad("A list.", "[1, 2]", "not an answer"),
        "refused-no-id": bad("No id.", '{"columns":{"progression":[1,2]}}', "not an answer"),
        "refused-id-text": bad(
            "An id in quotes.", '{"id":"7","columns":{"progression":[1,2]}}', "not an answer"
        ),
        "refused-nothing": bad("Neither columns nor an error.", '{"id":7}', "nothing in it"),
        "refused-nan": bad("NaN is not JSON.", '{"id":7,"columns":{"progression":[NaN,2]}}', "not an answer"),
        "refused-infinity": bad(
            "Infinity is not JSON.", '{"id":7,"columns":{"progression":[Infinity,2]}}', "not an answer"
        ),
        "refused-half": bad("Half a line.", '{"id":7,"columns":{"progre', "not an answer"),
        "refused-single": bad(
            "A value instead of a list.", '{"id":7,"columns":{"progression":1}}', "not what was declared"
        ),
        "refused-few": bad(
            "One row of two.", '{"id":7,"columns":{"progression":[1]}}', "another number of rows"
        ),
        "refused-many": bad(
            "Three rows of two.", '{"id":7,"columns":{"progression":[1,2,3]}}', "another number of rows"
        ),
        "refused-texts": bad(
            "Numbers in quotes.", '{"id":7,"columns":{"progression":["1","2"]}}', "not what was declared"
        ),
        "refused-nested": bad(
            "A list in a list.", '{"id":7,"columns":{"progression":[[1],[2]]}}', "not what was declared"
        ),
        "refused-another": bad(
            "Another output.", '{"id":7,"columns":{"progress":[1,2]}}', "a column is missing"
        ),
    }


def tensor(kind: str, shape: list[int], values: list[Any]) -> dict[str, Any]:
    """Values are flat, the last axis running fastest; integers are text, as in the other vectors."""
    plain = [str(value) for value in values] if kind == "int" else values
    return {"type": kind, "shape": shape, "values": plain}


if __name__ == "__main__":
    main()
