"""Loading a package, and each way in which it is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from podium.errors import (
    DigestMismatch,
    MissingExtra,
    NewerManifest,
    UnknownFormat,
    Untrusted,
    VersionConflict,
    WrongSample,
)
from podium.models import manifest as manifests
from podium.models.digest import digest_of
from podium.models.loading import load
from podium.models.packing import Packed
from podium.models.trust import Trust

NOBODY = Trust(path=Path("trust"))


def changed(packed: Packed, **changes: object) -> Path:
    """The package with another manifest, under the digest that it then has."""
    copy = packed.folder.with_name("copy")
    shutil.copytree(packed.folder, copy)
    manifests.write(msgspec.structs.replace(packed.manifest, **changes), copy)
    return copy.rename(copy.with_name(digest_of(copy)))


def test_a_loaded_model_scores_any_number_of_rows(linear: Packed) -> None:
    scorer = load(linear.folder, trust=NOBODY)
    for rows in (1, 7):
        columns = {"bmi": np.frombuffer(np.zeros(rows).tobytes(), "<f8")}
        answer = scorer.predict(columns)["progression"]
        assert answer.shape == (rows,)
        assert answer.dtype == np.dtype("<f8")
    assert scorer.inputs.names == ("bmi",)
    assert scorer.outputs.names == ("progression",)
    assert scorer.digest == linear.digest


def test_a_changed_byte_is_noticed(linear: Packed) -> None:
    path = linear.folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DigestMismatch, match="changed or damaged"):
        load(linear.folder, trust=NOBODY)


def test_a_file_too_many_is_noticed(linear: Packed) -> None:
    (linear.folder / "extra").touch()
    with pytest.raises(DigestMismatch):
        load(linear.folder, trust=NOBODY)


def test_a_folder_that_is_not_named_by_its_digest_needs_one(linear: Packed) -> None:
    moved = linear.folder.rename(linear.folder.with_name("package"))
    with pytest.raises(DigestMismatch):
        load(moved, trust=NOBODY)
    assert load(moved, trust=NOBODY, digest=linear.digest).digest == linear.digest


def test_an_unknown_format_is_named(linear: Packed) -> None:
    with pytest.raises(UnknownFormat, match=r"'onxx' \(did you mean 'onnx'\?\); this Podium reads onnx"):
        load(changed(linear, format="onxx"), trust=NOBODY)


def test_a_newer_manifest_is_refused(linear: Packed) -> None:
    with pytest.raises(NewerManifest, match="upgrade podium"):
        load(changed(linear, manifest_version=2), trust=NOBODY)


def test_a_model_that_answers_something_else_is_refused(linear: Packed) -> None:
    samples = linear.folder / "samples.json"
    content = msgspec.json.decode(samples.read_bytes())
    content["outputs"]["progression"][1] += 0.001
    samples.write_bytes(msgspec.json.encode(content))
    renamed = linear.folder.rename(linear.folder.with_name(digest_of(linear.folder)))
    with pytest.raises(WrongSample, match="sample 1 gives"):
        load(renamed, trust=NOBODY)


def test_a_graph_that_onnxruntime_cannot_read_names_both_versions(linear: Packed) -> None:
    (linear.folder / "model.onnx").write_bytes(b"of the future")
    renamed = linear.folder.rename(linear.folder.with_name(digest_of(linear.folder)))
    with pytest.raises(VersionConflict, match=r"installed onnxruntime \d.* cannot read what \d.* wrote"):
        load(renamed, trust=NOBODY)


def test_code_runs_only_where_the_user_trusts_the_package(rule: Packed) -> None:
    assert rule.manifest.format == "python"
    with pytest.raises(Untrusted, match=f"add this line to trust: rule@{rule.digest}"):
        load(rule.folder, trust=NOBODY)
    scorer = load(rule.folder, trust=Trust(path=Path("trust"), lines=frozenset([rule.digest])))
    assert scorer.predict({"bmi": np.array([0.1, 0.0])})["progression"].tolist() == [247.07, 152.13]


def test_loading_leaves_the_package_as_it_was(rule: Packed) -> None:
    load(rule.folder, trust=Trust(path=Path("trust"), lines=frozenset([rule.digest])))
    assert digest_of(rule.folder) == rule.digest


def test_a_missing_library_names_the_extra(linear: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "podium.models.formats.onnx", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'podium\[models\]'"):
        load(linear.folder, trust=NOBODY)


def test_importing_podium_loads_no_library() -> None:
    heavy = "{'numpy', 'sklearn', 'msgspec', 'click', 'pandas'}"
    code = f"import sys, podium; assert podium.Trained and podium.Model; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"
