"""Writes the test vectors of `docs/protocol.md` into `vectors/`: run `python spec/generate.py`.

It shares no code with Podium: the maps and bytes are put together here from the protocol's words, so
that a mistake in Podium's own encoder cannot hide. The same script always writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

VECTORS = Path(__file__).parent / "vectors"
NOW = 1_700_000_000_000_000
IDS = ["0190a3c2-5d1e-7cc3-98c4-dc0c0c07398f", "my own id", "Überweisung-7"]
CODES = {"f8": "d", "i8": "q", "b1": "?"}


@dataclass(frozen=True)
class Tensor:
    """A column; `values` are flat, the last axis running fastest."""

    dtype: str
    shape: list[int]
    values: list[Any]

    def wire(self) -> list[Any]:
        if self.dtype == "str":
            return [self.dtype, self.shape, self.values]
        return [self.dtype, self.shape, struct.pack(f"<{len(self.values)}{CODES[self.dtype]}", *self.values)]

    def meaning(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "shape": self.shape, "values": [_plain(value) for value in self.values]}


@dataclass(frozen=True)
class Vector:
    """A message and what it means (`means`), or why a reader of `read_as` refuses it (`refused`)."""

    name: str
    what: str
    message: bytes
    means: dict[str, Any] | None = None
    canonical: bool = True
    read_as: str = ""
    refused: str = ""

    def write(self, folder: Path) -> None:
        about: dict[str, Any] = {"what": self.what}
        if self.means is not None:
            about |= {"canonical": self.canonical, "message": self.message.hex(), "means": self.means}
        else:
            about |= {"read_as": self.read_as, "message": self.message.hex(), "refused": self.refused}
        path = folder / ("valid" if self.means is not None else "invalid") / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main(folder: Path = VECTORS) -> None:
    for old in (*folder.glob("valid/*.json"), *folder.glob("invalid/*.json")):
        old.unlink()
    for vectors in (inputs(), tensors(), scores(), answers(), outcomes(), others(), tolerated(), refused()):
        for vector in vectors:
            vector.write(folder)


# --- frames, field by field -----------------------------------------------------------------


def envelope(kind: str, *, source: str, seq: int) -> dict[str, Any]:
    return {"kind": kind, "endpoint": "diabetes", "revision": 3, "source": source, "seq": seq}


def input_frame(count: int, columns: Mapping[str, Tensor], **optional: Any) -> dict[str, Any]:
    """An input frame of so many requests; `rows` has its place in the order of fields."""
    frame = envelope("input", source="gateway-00c0ffee", seq=7)
    frame |= {"reply": "scores.gateway-00c0ffee", "ids": IDS[:count]}
    if "rows" in optional:
        frame["rows"] = optional.pop("rows")
    frame |= {"arrived": [NOW + n for n in range(count)]}
    frame |= {"deadline": [NOW + 100_000 + n for n in range(count)], "sent": NOW + 300}
    return frame | {"expires": NOW + 5_100_000} | optional | {"columns": dict(columns)}


def scores_frame(count: int, columns: Mapping[str, Tensor], **optional: Any) -> dict[str, Any]:
    frame = envelope("scores", source="worker-0badf00d", seq=12)
    frame |= {"origin": "gateway-00c0ffee", "frame": 7}
    frame |= {"model": "linear", "version": "9f2c1ab04d5e", "role": "champion", "ids": IDS[:count]}
    frame |= optional
    return frame | {"done": NOW + 1_200, "queue_ms": 0.25, "compute_ms": 0.5, "columns": dict(columns)}


def answers_frame(count: int, columns: Mapping[str, Tensor], **optional: Any) -> dict[str, Any]:
    frame = envelope("answers", source="gateway-00c0ffee", seq=8)
    frame |= {"model": "linear", "version": "9f2c1ab04d5e", "ids": IDS[:count]}
    frame |= {"rows": optional.pop("rows")} if "rows" in optional else {}
    frame |= {"rules": ["champion"] * count, "total_ms": [1.5] * count}
    return frame | optional | {"done": NOW + 2_000, "columns": dict(columns)}


def outcomes_frame(count: int, columns: Mapping[str, Tensor], **optional: Any) -> dict[str, Any]:
    frame = envelope("outcomes", source="outcomes-00c0ffee", seq=1) | {"ids": IDS[:count]} | optional
    return frame | {"observed": [NOW - n for n in range(count)], "done": NOW, "columns": dict(columns)}


def numbers(*values: float) -> Tensor:
    return Tensor("f8", [len(values)], list(values))


BMI = {"bmi": numbers(0.05)}
PROGRESSION = {"progression": numbers(199.8)}


# --- what readers must understand -----------------------------------------------------------


def inputs() -> Iterator[Vector]:
    yield valid(
        "input-one-request", "One request of one row; every optional field absent.", input_frame(1, BMI)
    )
    yield valid(
        "input-three-requests",
        "Three requests of one row each share a frame; `rows` is absent.",
        input_frame(3, {"bmi": numbers(0.05, -0.01, 0.0)}),
    )
    yield valid(
        "input-several-rows",
        "The first request has two rows, the second one (sent as a list of one), the third three.",
        input_frame(3, {"bmi": numbers(*(n / 8 for n in range(6)))}, rows=[2, 1, 3]),
    )
    yield valid(
        "input-keys-callers-traces",
        "What only some callers gave: nil for the others.",
        input_frame(
            2,
            {"bmi": numbers(0.05, 0.06)},
            keys=["customer 17", None],
            callers=[None, "198.51.100.7"],
            traces=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None],
        ),
    )
    yield valid(
        "input-contenders",
        "Who is to score the frame, and what each one is now; whoever is not named drops it.",
        input_frame(
            1,
            BMI,
            contenders={
                "linear@9f2c1ab04d5e": "champion",
                "forest@0a1b2c3d4e5f": "challenger",
                "decoy": "decoy",
            },
        ),
    )
    text = encode(["größe"])
    yield valid(
        "input-large",
        "The data of two columns is elsewhere: `large` names objects, with digests and sizes.",
        input_frame(
            1,
            {
                "bmi": numbers(0.05),
                "photo": Tensor("f8", [1, 2, 2], []),
                "text": Tensor("str", [1], []),
            },
            contenders={"linear@9f2c1ab04d5e": "champion"},
            large={
                "photo": ["00c0ffee-photo", hashlib.sha256(bytes(32)).digest(), 32],
                "text": ["00c0ffee-text", hashlib.sha256(text).digest(), len(text)],
            },
        ),
    )


def tensors() -> Iterator[Vector]:
    yield _tensor(
        "f8", "Numbers, also the smallest, largest and negative zero.", [5e-324, 1.7e308, -0.0, 0.1]
    )
    yield _tensor("f8-nan", "A missing number is NaN; readers must not refuse it.", [math.nan, 1.0])
    yield _tensor("i8", "64-bit integers to both ends.", [-(2**63), 2**63 - 1, -1, 0])
    yield _tensor("b1", "One byte each: 0 or 1.", [True, False, True])
    yield _tensor(
        "str", "Strings are a list, UTF-8, also empty and with a NUL.", ["", "größe", "日本", "a\0b"]
    )
    yield _tensor(
        "matrix", "Rows of 2 × 3: the last axis runs fastest.", [float(n) for n in range(6)], [1, 2, 3]
    )
    yield _tensor("strings-matrix", "Strings with a shape: the list is flat.", ["a", "b", "c", "d"], [2, 2])
    yield _tensor("empty-axis", "Open shapes may be empty.", [], [2, 0], dtype="f8")
    yield valid(
        "tensor-several",
        "Columns of every type, the same number of rows.",
        input_frame(
            2,
            {
                "age": Tensor("i8", [2], [40, 41]),
                "bmi": numbers(0.05, 0.06),
                "smokes": Tensor("b1", [2], [True, False]),
                "city": Tensor("str", [2], ["Linz", "Graz"]),
                "pixels": Tensor("f8", [2, 2], [0.0, 0.25, 0.5, 0.75]),
            },
        ),
    )


def _tensor(
    name: str, what: str, values: list[Any], shape: list[int] | None = None, *, dtype: str = ""
) -> Vector:
    shape = shape or [len(values)]
    dtype = dtype or {float: "f8", int: "i8", bool: "b1", str: "str"}[type(values[0])]
    frame = input_frame(1, {"x": Tensor(dtype, shape, values)}, rows=[shape[0]])
    return valid(f"tensor-{name}", what, frame)


def scores() -> Iterator[Vector]:
    two = {"progression": numbers(199.8, 161.9)}
    yield valid("scores-all-well", "A score for each of two requests.", scores_frame(2, two))
    yield valid(
        "scores-late",
        "The second request was scored after its deadline: the score is kept, not returned.",
        scores_frame(2, two, late=[1]),
    )
    yield valid(
        "scores-one-failed",
        "The first of two requests could not be scored; its row holds zeros.",
        scores_frame(
            2, {"progression": numbers(0.0, 161.9)}, errors={0: "the model's output is NaN or infinite"}
        ),
    )
    yield valid(
        "scores-all-failed",
        "No request could be scored: one error for all, and no columns.",
        scores_frame(2, {}, error="ValueError: could not convert string to float"),
    )
    yield valid(
        "scores-several-rows",
        "Requests of two rows and of one; the second failed and was late.",
        scores_frame(
            2, {"progression": numbers(1.0, 2.0, 0.0)}, rows=[2, 1], errors={1: "ModelFailed"}, late=[1]
        ),
    )
    yield valid(
        "scores-probe",
        "The answer to a probe: no requests, no columns, seq 0.",
        envelope("scores", source="worker-0badf00d", seq=0)
        | {"origin": "gateway", "frame": 0, "model": "linear", "version": "9f2c1ab04d5e", "role": "champion"}
        | {"ids": [], "done": NOW, "queue_ms": 0.0, "compute_ms": 0.0, "columns": {}},
    )


def answers() -> Iterator[Vector]:
    yield valid("answers-champion", "One answer by the champion.", answers_frame(1, PROGRESSION))
    yield valid(
        "answers-several-rows",
        "Two requests, of two rows and of one.",
        answers_frame(2, {"progression": numbers(1.0, 2.0, 3.0)}, rows=[2, 1]),
    )
    yield valid(
        "answers-default",
        "The default answer: model and version are empty.",
        answers_frame(1, {"progression": numbers(152.13)})
        | {"model": "", "version": "", "rules": ["default"]},
    )
    yield valid(
        "answers-none",
        "Nobody was in time and the endpoint has no default: no columns.",
        answers_frame(1, {}) | {"model": "", "version": "", "rules": ["default"]},
    )


def outcomes() -> Iterator[Vector]:
    yield valid("outcomes-one", "What really happened after one request.", outcomes_frame(1, PROGRESSION))
    yield valid(
        "outcomes-several",
        "Of three requests, each of one row: `numbers` is absent.",
        outcomes_frame(3, {"progression": numbers(151.0, 75.0, 141.0)}),
    )
    yield valid(
        "outcomes-numbers",
        "Rows 2 and 0 of one request, and row 1 of another.",
        outcomes_frame(3, {"progression": numbers(151.0, 75.0, 141.0)}, numbers=[2, 0, 1])
        | {"ids": [IDS[0], IDS[0], IDS[2]]},
    )


def others() -> Iterator[Vector]:
    seen = input_frame(1, BMI)
    decoy = envelope("decoy", source="decoy-5eed", seq=1) | {"done": NOW + 900}
    yield Vector(
        "decoy",
        "The bytes of an input frame as they reached the decoy; `means.input` is what they mean.",
        encode(decoy | {"input": encode(seen)}),
        meaning(decoy | {"input": seen}),
    )
    digest = hashlib.sha256(encode(seen)).digest()
    yield valid(
        "seen",
        "The SHA-256 of the bytes of `input-one-request`, as they reached the decoy.",
        envelope("seen", source="decoy-5eed", seq=2)
        | {"origin": seen["source"], "frame": seen["seq"], "done": NOW + 900, "digest": digest},
    )
    probe = envelope("probe", source="gateway", seq=0) | {"reply": "probed.77"}
    yield valid("probe", "Asks one contender to answer on `reply`.", probe)
    lookup = envelope("lookup", source="outcomes-00c0ffee", seq=3) | {"reply": "found.00c0ffee", "ids": IDS}
    yield valid("lookup", "Asks the archiver for three requests.", lookup)
    found = envelope("found", source="archiver", seq=0) | {"origin": "outcomes-00c0ffee", "frame": 3}
    yield valid(
        "found",
        "The first has two rows, there is no second, and of the third nothing can be said yet.",
        found | {"rows": [2, 0, None]},
    )


def tolerated() -> Iterator[Vector]:
    """Frames that nobody of ours writes, and everybody must read."""
    frame = input_frame(1, BMI)
    means = meaning(frame)
    yield tolerant(
        "tolerated-unknown-field",
        "A field of a later Podium: ignored.",
        {**frame, "colour": [1, {"a": None}]},
        means,
    )
    yield tolerant(
        "tolerated-explicit-version", "`v` may be there.", {"kind": "input", "v": 1, **_tail(frame)}, means
    )
    yield tolerant(
        "tolerated-nil",
        "An optional field may be nil instead of absent.",
        {**frame, "rows": None, "keys": None},
        means,
    )
    yield tolerant("tolerated-order", "Fields come in any order.", dict(reversed(frame.items())), means)
    whole = scores_frame(1, PROGRESSION) | {"queue_ms": 2, "compute_ms": 0}
    exact = scores_frame(1, PROGRESSION) | {"queue_ms": 2.0, "compute_ms": 0.0}
    yield tolerant("tolerated-whole-float", "A whole number may stand for a float.", whole, meaning(exact))
    wide = encode(frame).replace(encode("seq") + encode(7), encode("seq") + b"\xcf" + (7).to_bytes(8, "big"))
    yield Vector(
        "tolerated-wide-integer", "Integers need not be as short as they could.", wide, means, canonical=False
    )


# --- what readers must refuse ---------------------------------------------------------------


def refused() -> Iterator[Vector]:
    frame = input_frame(2, {"bmi": numbers(0.05, 0.06)})
    whole = encode(frame)
    yield invalid("empty", "No bytes.", b"", "truncated")
    yield invalid("truncated", "The last byte is missing.", whole[:-1], "truncated")
    yield invalid("trailing", "A byte too many.", whole + b"\0", "trailing bytes")
    yield invalid("not-a-map", "A list.", encode([1, 2]), "not a map")
    yield invalid("json", "JSON is not MessagePack.", json.dumps({"kind": "input"}).encode(), "not a map")
    yield invalid(
        "newer", "A protocol that this reader does not know.", encode(frame | {"v": 2}), "newer version"
    )
    yield invalid("no-kind", "No kind.", encode(_without(frame, "kind")), "no kind", read_as="kept")
    yield invalid(
        "unknown-kind", "A kind that does not exist.", encode(frame | {"kind": "inputs"}), "unknown kind"
    )
    wrong = encode(scores_frame(1, PROGRESSION))
    yield invalid("wrong-kind", "Scores where input is read.", wrong, "another kind")
    yield invalid(
        "missing-field", "No return address.", encode(_without(frame, "reply")), "a required field is missing"
    )
    yield invalid("wrong-type", "A time as text.", encode(frame | {"sent": "now"}), "wrong type")
    yield invalid(
        "id-not-text", "Ids are strings.", encode(frame | {"ids": [1, 2]}), "wrong type", read_as="kept"
    )
    yield invalid(
        "not-utf8", "A string that is not UTF-8.", whole.replace(b"diabetes", b"diabete\xff"), "not UTF-8"
    )
    yield from _refused_tensors()


def _refused_tensors() -> Iterator[Vector]:
    ones = struct.pack("<2d", 1.0, 1.0)
    cases = [
        ("tensor-short", "Eight bytes for two f8.", ["f8", [2], ones[:8]], "bytes and shape disagree"),
        ("tensor-long", "Sixteen bytes for one f8.", ["f8", [1], ones], "bytes and shape disagree"),
        ("tensor-odd", "Not a multiple of eight bytes.", ["f8", [2], ones[:-1]], "bytes and shape disagree"),
        ("tensor-negative", "A negative size.", ["f8", [-1], ones], "bytes and shape disagree"),
        ("tensor-dtype", "A type that does not exist.", ["f4", [4], ones], "unknown dtype"),
        ("tensor-text-data", "Data as text instead of binary.", ["f8", [2], "0" * 16], "wrong type"),
        ("tensor-number-list", "Numbers as a list.", ["f8", [2], [1.0, 1.0]], "wrong type"),
        (
            "tensor-f8-of-strings",
            "A list of strings that says f8.",
            ["f8", [2], ["1", "2"]],
            "data and dtype disagree",
        ),
        ("tensor-str-of-bytes", "Bytes that say str.", ["str", [2], b"ab"], "data and dtype disagree"),
        ("tensor-strings-short", "One string for two.", ["str", [2], ["a"]], "bytes and shape disagree"),
        ("tensor-map", "A map instead of [dtype, shape, data].", {"dtype": "f8"}, "not a tensor"),
        ("tensor-two-parts", "The shape is missing.", ["f8", ones], "not a tensor"),
    ]
    for name, what, packed, why in cases:
        frame = input_frame(2, {}) | {"columns": {"bmi": packed}}
        yield invalid(name, what, encode(frame), why)


# --- building blocks ------------------------------------------------------------------------


def valid(name: str, what: str, frame: dict[str, Any]) -> Vector:
    return Vector(name, what, encode(frame), meaning(frame))


def tolerant(name: str, what: str, frame: dict[str, Any], means: dict[str, Any]) -> Vector:
    return Vector(name, what, encode(frame), means, canonical=False)


def invalid(name: str, what: str, message: bytes, why: str, *, read_as: str = "input") -> Vector:
    return Vector(name, what, message, read_as=read_as, refused=why)


def encode(value: Any) -> bytes:
    return msgspec.msgpack.encode(_wire(value))


def _wire(value: Any) -> Any:
    match value:
        case Tensor():
            return value.wire()
        case dict():
            return {key: _wire(each) for key, each in value.items()}
    return value


def meaning(value: Any) -> Any:
    """As JSON: a tensor with its values, the keys of a map as text, bytes as hexadecimal digits."""
    match value:
        case Tensor():
            return value.meaning()
        case dict():
            return {str(key): meaning(each) for key, each in value.items()}
        case list():
            return [meaning(each) for each in value]
        case bytes():
            return value.hex()
    return value


def _plain(value: Any) -> Any:
    """A value that every JSON parser reads as it is: integers as text, and NaN too."""
    match value:
        case bool() | str():
            return value
        case int():
            return str(value)
    return value if math.isfinite(value) else "NaN"


def _without(frame: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in frame.items() if key != name}


def _tail(frame: dict[str, Any]) -> dict[str, Any]:
    return _without(frame, "kind")


if __name__ == "__main__":
    main()
