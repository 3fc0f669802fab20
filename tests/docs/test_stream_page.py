"""docs/stream-door.md: its project is the example's, and its table of checks is complete."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.docs.pages import ROOT, blocks

from podium import project
from podium.workers.conformance import CHECKS

PAGE = ROOT / "docs" / "stream-door.md"
EXAMPLES = ROOT / "examples" / "stream"


def test_the_project_of_the_page_is_the_examples_model(tmp_path: Path) -> None:
    (block,) = [block for block in blocks(PAGE) if block.language == "toml"]
    folder = shutil.copytree(EXAMPLES, tmp_path / "stream")
    (folder / "podium.toml").write_text(block.text)
    assert project.load(folder).models["node"].command == project.load(EXAMPLES).models["node"].command


def test_every_check_is_in_the_table() -> None:
    begun = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    named = {name.strip() for cell in begun for name in cell.split(",")}
    assert {check.name for check in CHECKS} <= named


def test_the_example_needs_no_registry_by_name() -> None:
    lock = (EXAMPLES / "node" / "package-lock.json").read_text()
    assert "integrity" in lock
    assert "://" not in lock
