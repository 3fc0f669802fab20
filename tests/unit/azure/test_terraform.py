"""What is rendered for Terraform, as its own program sees it.

Collected only where `terraform` is installed.
"""

from __future__ import annotations

import subprocess

import pytest

from podium.azure.templates import render

FILES = {
    name: text
    for name, text in render(
        "Wine_Cellar", name="wine-cellar-1f", namespace="cellar", location="northeurope"
    ).items()
    if name.endswith(".tf")
}


@pytest.mark.parametrize("name", FILES)
def test_terraform_is_formatted(name: str) -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-"],
        input=FILES[name],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
