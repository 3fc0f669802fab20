"""The lines of docs/usage.md are run as they stand, and it names every column and figure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable
from tests.docs.pages import ROOT
from tests.unit.archive.traffic import ENDPOINT
from tests.unit.archive.usage.world import World

from podium.archive.names import USAGE, table_uri
from podium.archive.usage.figures import Usage
from podium.schema import Field, Kind, Schema

PAGE = (ROOT / "docs" / "usage.md").read_text()
OUTPUTS = Schema((Field(name="progression", type=Kind.FLOAT), Field(name="label", type=Kind.STRING)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / ".podium" / "archive", OUTPUTS)
    world.requests(["a", "b"])
    said = {"progression": np.ones(2), "label": np.array(["x", "y"], object)}
    world.scores("linear", ["a", "b"], said)
    world.answers(["a", "b"], columns=said, ms=[1.5, 2000.0])
    world.update()
    return world


def test_the_lines_that_merge_histograms_read_the_table(world: World) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=Path(world.archive).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    limits = [float(line.split("│")[1]) for line in done.stdout.splitlines() if re.match(r"│ +\d", line)]
    assert limits == [pytest.approx(1.52, abs=0.01), pytest.approx(2100, rel=0.09)]


def test_the_page_names_every_column(world: World) -> None:
    table = DeltaTable(table_uri(world.archive, ENDPOINT, USAGE))
    columns = {re.sub("_(progression|label)$", "_NAME", name) for name in table.schema().to_arrow().names}
    assert [name for name in columns if f"`{name}`" not in PAGE] == []


def test_the_page_names_every_part_of_the_json() -> None:
    parts = set(Usage.__struct_fields__) - {"endpoint", "since", "until"}
    assert [name for name in parts if f"`{name}`" not in PAGE] == []
