"""For every test."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# No test measures time, so no example has to be quick either.
settings.register_profile("usual", deadline=None)
settings.register_profile("reproducible", settings.get_profile("usual"), derandomize=True)
settings.load_profile("usual")
if os.environ.get("CI") == "true":  # elsewhere every run looks at other examples
    settings.load_profile("reproducible")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test whose part is missing fails: there the part is installed (`.ci/run`)."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_what_ci_skips(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file."""
    report = yield
    _fail_what_ci_skips(report)
    return report


def _fail_what_ci_skips(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and CI=true: {report.longrepr}"
