"""What the archiver found is read by others, whenever they look."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium.archive.drift_report import FILE, ContenderDrift, DriftReport, LiveDrift, read, write

BMI = LiveDrift(
    part="input", column="bmi", count=500, psi=0.41, chance=0.05, ks=0.22, level="drifted",
    missing_before=0.0, missing_now=0.0, others_before=0.0, others_now=0.0,
)  # fmt: skip
REPORT = DriftReport(
    window_s=600.0, contenders=(ContenderDrift(model="linear", version="9f2c1ab04d5e", columns=(BMI,)),)
)


def test_a_report_is_read_as_it_was_written_and_replaces_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, DriftReport())
    write(tmp_path, REPORT)
    assert read(tmp_path) == REPORT
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert read(tmp_path).of("linear", "9f2c1ab04d5e") == (BMI,)
    assert read(tmp_path).of("linear", "000000000000") == ()


@pytest.mark.parametrize("content", [None, "", "{", '{"contenders": 1}'])
def test_without_a_report_nothing_is_known(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(content)
    assert read(tmp_path) == DriftReport()
