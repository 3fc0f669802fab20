"""Models that return junk, or nothing at all: the answer is another's, the score is an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system import faulty
from tests.system.kept import Archive, assert_each_answer_kept_once
from tests.system.load import Load
from tests.system.running import Node, until

STEADY = """\
import numpy as np

import podium


class Model(podium.Model):
    inputs = {"bmi": "float"}
    output = ("progression", "note")

    def predict(self, columns):
        bmi = columns["bmi"]
        return {"progression": 152.0 + bmi, "note": np.full(len(bmi), "fine", object)}
"""

MOODY = """\
import numpy as np

import podium

TEXTS, SHORT, NAN, RAISE, HANG, LARGE, NOTHING, MISSING = range(10, 18)


class Model(podium.Model):
    inputs = {"bmi": "float"}
    output = ("progression", "note")

    def predict(self, columns):
        bmi = columns["bmi"]
        progression, note = 1000.0 + bmi, np.full(len(bmi), "fine", object)
        if TEXTS in bmi:
            progression = np.full(len(bmi), "many", object)
        if SHORT in bmi:
            progression = progression[:-1]
        progression = np.where(bmi == NAN, np.nan, progression) if NAN in bmi else progression
        if RAISE in bmi:
            raise ValueError("not today")
        while HANG in bmi:
            pass
        if LARGE in bmi:
            note[bmi == LARGE] = "x" * 100_000_000
        if NOTHING in bmi:
            return None
        if MISSING in bmi:
            return {"note": note}
        return {"progression": progression, "note": note}
"""

JUNK = {
    "of_the_wrong_type": (10, "progression"),
    "with_too_few_rows": (11, "for 1 rows"),
    "that_is_nan": (12, "NaN"),
    "that_raises": (13, "ValueError: not today"),
    "of_100_mb": (15, "too large"),
    "that_is_none": (16, "NoneType"),
    "without_an_output": (17, "progression"),
}


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose champion behaves as its input tells it to."""
    folder = faulty.write(
        tmp_path_factory.mktemp("moody") / "diabetes",
        "moody",
        'module = "models/moody.py"',
        files={"moody.py": MOODY},
        default='progression = 0.0, note = "default"',
        schema="",
        steady=STEADY,
    )
    faulty.train(folder)
    return folder


@pytest.fixture
def node(moody: Path, tmp_path: Path) -> Iterator[Node]:
    with faulty.node_of(shutil.copytree(moody, tmp_path / "diabetes", symlinks=True)) as node:
        yield node.start()


def test_junk_errs_alone_and_is_answered_by_another(node: Node) -> None:
    with Load(node.url, rate=200) as load:
        until(lambda: load.rules["champion"] > 20)
        for name, (bmi, _) in JUNK.items():
            answer = node.score(f"bmi={bmi}", podium_id=name)
            assert answer["answer"] == {"progression": 152.0 + bmi, "note": "fine"}
            assert (answer["model"], answer["rule"]) == ("steady", "challenger")
    assert set(load.counts) == {200}, load
    archive = assert_each_answer_kept_once(node, load)
    errors = errors_of_moody(archive)
    # Who was in one frame with the 100 MB shares its fate.
    assert {text for name, text in errors.items() if name not in JUNK} <= {errors["of_100_mb"]}
    for name, (_, text) in JUNK.items():
        assert text in errors[name], name
    assert archive.rows("select distinct status from scores where model = 'steady'") == [("ok",)]
    assert node.process("worker moody 1").restarts == 0
    contender = next(each for each in node.status().contenders if each.model == "moody")
    assert contender.errors >= len(JUNK)


def errors_of_moody(archive: Archive) -> dict[str, str]:
    """What the archive says of each request that the moody model could not score."""
    return dict(archive.rows("select id, error from scores where model = 'moody' and status = 'error'"))


def test_a_model_that_never_returns_is_replaced_and_its_frames_are_errors(node: Node) -> None:
    with Load(node.url, rate=100) as load:
        until(lambda: load.rules["champion"] > 20)
        before = node.pid("worker moody 1")
        assert node.score("bmi=14", podium_id="hangs")["model"] == "steady"
        node.until_back("worker moody 1", before)
        answered = load.rules["champion"]
        until(lambda: load.rules["champion"] > answered + 20)
    assert set(load.counts) == {200}, load
    assert load.rules["default"] == 0, load
    archive = assert_each_answer_kept_once(node, load)
    errors = archive.rows("select error from scores where id = 'hangs' and model = 'moody'")
    assert len(errors) == 1
    assert "crashed or hangs" in errors[0][0]
    assert not archive.count("select * from scores where model = 'steady' and status = 'error'")
