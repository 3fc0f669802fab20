"""README and guides are done as they stand, in an empty folder, from their first block to their last."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks, markdown
from tests.docs.terminal import Terminal

DONE = ("README.md", "docs/quickstart.md", "docs/models.md", "docs/client.md", "docs/guide/change.md")
TEMPLATE = ROOT / "src" / "podium" / "cli" / "template"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", DONE)
def test_a_reader_who_does_what_the_page_says_sees_what_it_shows(name: str, tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.follow(ROOT / name)


@pytest.mark.parametrize("page", markdown(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_in_the_language_that_it_says(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text)
        if block.language == "toml":
            tomllib.loads(block.text)


def test_the_readme_shows_the_model_that_a_new_project_has() -> None:
    (shown,) = [block for block in blocks(ROOT / "README.md") if block.file == "models/linear.py"]
    assert shown.text == (TEMPLATE / "models" / "linear.py").read_text()
