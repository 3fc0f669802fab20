"""docs/languages.md shows the examples as they are, and its projects are projects."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks

from podium import project
from podium.models.process.conformance import CHECKS

PAGE = ROOT / "docs" / "languages.md"
EXAMPLES = ROOT / "examples" / "languages"
SHOWN = [block for block in blocks(PAGE) if block.file]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.file)
def test_each_program_is_the_example_that_is_tested(block: Block) -> None:
    assert block.text == (EXAMPLES / block.file).read_text()


def test_no_example_is_left_out() -> None:
    shown = {Path(block.file).name for block in SHOWN}
    assert {path.name for path in (EXAMPLES / "models").iterdir()} - shown == {"linear.py"}


@pytest.mark.parametrize(
    "block", [b for b in blocks(PAGE) if b.language == "toml"], ids=lambda b: str(b.line)
)
def test_each_project_of_the_page_can_be_read(block: Block, tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES, tmp_path / "languages")
    (folder / "podium.toml").write_text(block.text)
    assert project.load(folder).name == "diabetes"


def test_every_check_is_in_the_table() -> None:
    table = PAGE.read_text()
    begun = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    named = {name.strip() for cell in begun for name in cell.split(",")}
    assert [check.name for check in CHECKS if check.name not in named] == []
