"""docs/client.md shows the example for TypeScript as it is tested, and every error that it names is one."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import ROOT, Block, blocks

from podium import errors

PAGE = ROOT / "docs" / "client.md"
EXAMPLE = ROOT / "examples" / "typescript"
SHOWN = [block for block in blocks(PAGE) if block.language in ("ts", "json")]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.file)
def test_each_file_is_the_example_that_is_tested(block: Block) -> None:
    assert block.text == (EXAMPLE / block.file).read_text()


def test_every_error_of_the_page_is_one() -> None:
    (table,) = re.findall(r"^## Errors$(.*?)^## ", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`([A-Z]\w+)`", table))
    assert named
    assert named <= set(vars(errors))
