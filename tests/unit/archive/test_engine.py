"""Where queries spill to, and what killed ones leave behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from podium.archive.engine import PREFIX, connect, spill_folder


def test_a_spill_folder_is_gone_at_the_end(tmp_path: Path) -> None:
    with spill_folder(tmp_path) as folder:
        (folder / "spilt").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_stays(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f"{PREFIX}{ended.pid}-abc"
    left.mkdir()
    (left / "spilt").write_bytes(b"x")
    strange = tmp_path / f"{PREFIX}strange"
    strange.mkdir()
    with spill_folder(tmp_path) as one, spill_folder(tmp_path) as other:
        assert not left.exists()
        assert one.exists()
        assert other.exists()
    assert list(tmp_path.iterdir()) == [strange]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_connection_is_bounded_and_tells_times_in_utc(tmp_path: Path, ordered: bool) -> None:
    with connect(tmp_path, memory="100MB", ordered=ordered) as connection:
        rows = connection.sql(
            "SELECT current_setting('TimeZone'), current_setting('temp_directory'), "
            "current_setting('preserve_insertion_order')"
        ).fetchall()
    assert rows == [("UTC", str(tmp_path), ordered)]
