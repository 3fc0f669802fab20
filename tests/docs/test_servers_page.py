"""docs/servers.md: its projects are projects, and its tables are complete."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks

from podium import project
from podium.models.server.conformance import CHECKS
from podium.servers import KEYS, LAYOUTS

PAGE = ROOT / "docs" / "servers.md"
LINES = PAGE.read_text().splitlines()


@pytest.mark.parametrize(
    "block", [b for b in blocks(PAGE) if b.language == "toml"], ids=lambda b: str(b.line)
)
def test_each_project_of_the_page_can_be_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "podium.toml").write_text(block.text)
    assert project.load(tmp_path).champion.server is not None


def test_every_key_protocol_layout_and_check_is_in_a_table() -> None:
    first = "\n".join("|".join(line.split("|")[1:3]) for line in LINES if line.startswith("|"))
    words = [*KEYS, *LAYOUTS, *(layout for layouts in LAYOUTS.values() for layout in layouts)]
    assert [word for word in words if f"`{word}`" not in first] == []
    begun = [line.split("|")[1] for line in LINES if line.startswith("| ")]
    named = {name.strip() for cell in begun for name in cell.split(",")}
    assert [check.name for check in CHECKS if check.name not in named] == []
