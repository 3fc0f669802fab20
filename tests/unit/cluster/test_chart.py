"""The Helm chart is the same objects, with what clusters differ in as values."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml as pyyaml
from tests.unit.cluster.plans import LARGE, SNAPSHOTS

from podium.cluster.chart import chart, substituted
from podium.cluster.manifests import manifests
from podium.cluster.plan import Object


def wanted() -> list[Object]:
    return [each for file in manifests(LARGE).values() for each in file if each["kind"] != "Namespace"]


def test_the_chart_is_the_one_that_was_reviewed() -> None:
    folder = SNAPSHOTS / "chart"
    there = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert chart(LARGE) == there


def test_with_its_own_values_the_chart_is_the_plain_objects() -> None:
    files = chart(LARGE)
    values = pyyaml.safe_load(files["values.yaml"])
    templates = [text for name, text in files.items() if name.startswith("templates/")]
    found = [
        each
        for text in templates
        for each in pyyaml.safe_load_all(substituted(text, values, namespace=LARGE.namespace))
    ]
    assert found == wanted()


def test_every_value_is_used() -> None:
    files = chart(LARGE)
    templates = "".join(text for name, text in files.items() if name.startswith("templates/"))
    for name in pyyaml.safe_load(files["values.yaml"]):
        assert f"{{{{ .Values.{name} }}}}" in templates


def test_helm_itself_agrees(tmp_path: Path) -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.xfail("there is no helm here; the templates are checked by a substitution of our own")
    for name, content in chart(LARGE).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    done = subprocess.run(
        [helm, "template", "x", str(tmp_path), "--namespace", LARGE.namespace],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    found = [each for each in pyyaml.safe_load_all(done.stdout) if each]
    key = str
    assert sorted(map(key, found)) == sorted(map(key, wanted()))
