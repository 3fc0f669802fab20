"""`podium render azure`: files in a folder, and nothing of anybody else's touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from podium.cli.render import render as command
from podium.cluster import archiver, contenders, gateway
from podium.cluster.plan import dns_name
from podium.errors import ProjectError

PROJECT = """
[endpoint]
name = "wine"

[models.linear]
module = "linear.py"
role = "champion"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "podium.toml").write_text(PROJECT)
    (tmp_path / "linear.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def render(*options: str) -> Result:
    return CliRunner().invoke(command, ["azure", *options])


def test_it_writes_both_kinds_and_says_where_to_read_on(folder: Path) -> None:
    done = render("--out", "infra")
    assert done.exit_code == 0, done.output
    assert "infra/README.md says what to do" in done.output
    assert "podium-wine" in (folder / "infra/bicep/resources.bicep").read_text()
    assert "podium-wine" in (folder / "infra/terraform/main.tf").read_text()
    assert render("--out", "infra").exit_code == 0, "again, over its own files"


def test_an_identity_is_given_to_the_accounts_that_the_cluster_has(folder: Path) -> None:
    """Whose names `podium deploy` makes: another letter, and Azure gives the pods no token."""
    (folder / "podium.toml").write_text(
        PROJECT.replace("wine", "Wine_Cellar") + '\n[kubernetes]\nnamespace = "cellar"\n'
    )
    assert render("--out", "infra").exit_code == 0
    name = dns_name("Wine_Cellar")
    main = (folder / "infra/bicep/main.bicep").read_text()
    for component in (gateway.COMPONENT, contenders.COMPONENT, archiver.COMPONENT):
        assert f"'{name}-{component}'" in main
    assert "kubernetesNamespace string = 'cellar'" in main


def test_it_touches_no_folder_that_holds_something_else(folder: Path) -> None:
    (folder / "infra").mkdir()
    (folder / "infra/mine.tf").write_text("# mine")
    done = render("--out", "infra")
    assert isinstance(done.exception, ProjectError)
    assert "mine.tf, which is not of this" in str(done.exception)
    assert list((folder / "infra").iterdir()) == [folder / "infra/mine.tf"]


def test_what_is_no_region_is_refused(folder: Path) -> None:
    done = render("--out", "infra", "--location", "West Europe")
    assert "'West Europe' is no region" in str(done.exception)
    assert not (folder / "infra").exists()
