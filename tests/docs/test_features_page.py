"""docs/features.md: its project is a project, its function works, and its tables are complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.docs.pages import ROOT, Block, blocks

from podium import project
from podium.gateway.features.function import FUNCTION, load
from podium.gateway.features.values import Why, of_arrays
from podium.run import Features
from podium.schema import Schema

PAGE = ROOT / "docs" / "features.md"


def block_of(language: str) -> Block:
    (found,) = (block for block in blocks(PAGE) if block.language == language)
    return found


def read(folder: Path) -> Features:
    (folder / "models").mkdir()
    (folder / "models" / "rule.sql").touch()
    (folder / "podium.toml").write_text(block_of("toml").text)
    found = project.load(folder).features
    assert found is not None
    return found


def test_the_project_of_the_page_can_be_read(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.source, found.key, found.budget_ms) == ("table", "customer", 20.0)


def test_the_function_of_the_page_gives_the_features_of_its_project(tmp_path: Path) -> None:
    fields: Schema = read(tmp_path).fields
    (tmp_path / "features.py").write_text(block_of("python").text)
    at = Features(source="module", at=str(tmp_path / "features.py"), fields=fields, folder=str(tmp_path))
    columns = {"customer": np.array(["a", "b"], object), "amount": np.array([1.0, 9000.0])}
    found = of_arrays(fields, load(at)(columns), 2)
    assert found.columns[1].tolist() == ["small", "large"]
    assert not found.why.any()
    assert FUNCTION in PAGE.read_text()


def test_every_reason_for_a_default_is_in_the_table() -> None:
    reasons = [why.name.lower() for why in Why if why is not Why.NOTHING]
    assert [reason for reason in reasons if f"\n| `{reason}` |" not in PAGE.read_text()] == []
