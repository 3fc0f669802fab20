"""Which format a file or an object is, and what a missing library says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from podium.errors import MissingExtra, ProjectError, Untrusted
from podium.models import native
from podium.models.formats import format_of
from podium.models.trust import Trust

NOBODY = Trust(path=Path("trust"))


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("m.onnx", "onnx"),
        ("m.ubj", "xgboost"),
        ("m.json", "xgboost"),
        ("m.txt", "lightgbm"),
        ("m.tl", "treelite"),
    ],
)
def test_a_file_is_known_by_its_name(tmp_path: Path, name: str, format: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert native.format_for(native.read(tmp_path / name, "model", NOBODY)) == format


@pytest.mark.parametrize("name", ["m.pt", "m.pt2"])
def test_a_program_is_not_even_opened_before_it_is_trusted(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with pytest.raises(Untrusted, match=f"is a PyTorch program.*: model@{empty}"):
        native.read(tmp_path / name, "model", NOBODY)
    trust = Trust(path=Path("trust"), lines=frozenset([f"model@{empty}"]))
    assert native.read(tmp_path / name, "model", trust) == tmp_path / name


@pytest.mark.parametrize(
    ("name", "says"),
    [("m.pkl", "is a pickle by its name"), ("m.zip", r"ends in \.json, .*, or an MLflow folder")],
)
def test_other_files_are_refused_by_their_names(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ProjectError, match=says):
        native.read(tmp_path / name, "model", NOBODY)


def test_a_file_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"there is no .*gone\.onnx; a model's path is relative"):
        native.read(tmp_path / "gone.onnx", "model", NOBODY)


@pytest.mark.parametrize("library", ["lightgbm", "torch", "treelite", "xgboost"])
def test_a_missing_library_says_which_extra_brings_it(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"podium.models.formats.{library}", raising=False)
    with pytest.raises(MissingExtra, match=rf"pip install 'podium\[{library}\]'"):
        format_of(library)
