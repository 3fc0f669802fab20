"""The manifest survives its file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.errors import NewerManifest, PackageError
from podium.models.manifest import FILE, Manifest, Revision, Tolerance, read, write
from podium.profiles import Profile, Profiles
from podium.schema import Field, Kind, Schema

names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
fields = st.builds(
    Field,
    name=names,
    type=st.sampled_from(Kind),
    shape=st.lists(st.integers(-1, 64), max_size=3).map(tuple),
    missing=st.booleans(),
    minimum=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    classes=st.lists(names, max_size=3).map(tuple),
)
schemas = st.lists(fields, max_size=5, unique_by=lambda field: field.name).map(lambda fs: Schema(tuple(fs)))


def a_manifest(inputs: Schema, outputs: Schema) -> Manifest:
    return Manifest(
        model="linear",
        format="onnx",
        inputs=inputs,
        outputs=outputs,
        metrics={"mae": 41.2},
        tolerance=Tolerance(relative=1e-9, absolute=0.0),
        data="0" * 64,
        revision=Revision(module="1" * 64),
        python="3.11.7",
        libraries={"numpy": "2.4.6"},
    )


@given(inputs=schemas, outputs=schemas)
def test_a_schema_comes_back_from_the_file_as_it_was(inputs: Schema, outputs: Schema) -> None:
    manifest = a_manifest(inputs, outputs)
    with tempfile.TemporaryDirectory() as folder:
        write(manifest, Path(folder))
        assert read(Path(folder)) == manifest


def test_the_manifest_of_an_older_podium_has_no_profiles(tmp_path: Path) -> None:
    manifest = a_manifest(Schema(()), Schema(()))
    older = msgspec.to_builtins(manifest)
    del older["profiles"]
    (tmp_path / FILE).write_bytes(msgspec.json.encode(older))
    assert read(tmp_path) == manifest
    assert manifest.profiles == Profiles()


def test_profiles_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    values = {"bmi": np.array([0.1, 0.2, np.nan]), "town": np.array(["Ulm", "Bonn", "Ulm"], dtype=object)}
    profiles = Profiles(inputs={name: Profile.of(column) for name, column in values.items()})
    manifest = replace(a_manifest(Schema(()), Schema(())), profiles=profiles)
    write(manifest, tmp_path)
    assert read(tmp_path) == manifest


def test_a_newer_manifest_says_how_to_get_a_podium_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"manifest_version": 2, "model": ["of", "another", "shape"]}')
    with pytest.raises(NewerManifest, match="pip install --upgrade podium"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"manifest_version": 1}', "\xff"])
def test_a_damaged_manifest_is_an_error_of_the_package(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content, encoding="latin-1")
    with pytest.raises(PackageError, match="cannot be read"):
        read(tmp_path)


def test_a_folder_without_a_manifest_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no package"):
        read(tmp_path)
