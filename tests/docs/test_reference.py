"""The reference is complete: what the code knows is in the documents, and links lead somewhere."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
from tests.docs.pages import ROOT, anchors, blocks, links, markdown

from podium import features, fields, kubernetes, project, servers
from podium.archive.drift_report import LiveDrift
from podium.cli import COMMANDS, HIDDEN
from podium.cli.status import ContenderStatus, FeaturesStatus, Status
from podium.gateway.metrics import DRIFT, INTERNAL, shown
from podium.node.state import ProcessReport
from podium.project import ROLES

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DRIFT_PAGE = (ROOT / "docs" / "drift.md").read_text()
PROJECT = ROOT / "docs" / "project.md"
SOURCES = sorted((ROOT / "src" / "podium").rglob("*.py"))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# --- commands -------------------------------------------------------------------------------


def rows_of(command: str) -> str:
    """Its row of the table; those of its parts, where it has some."""
    rows = [line for line in OPERATIONS.splitlines() if re.match(rf"\| `podium {command}( [^`]*)?` \|", line)]
    assert rows, command
    return "\n".join(rows)


def options_of(command: click.Command) -> list[str]:
    options = [option for option in command.params if isinstance(option, click.Option)]
    parts = command.commands.values() if isinstance(command, click.Group) else ()
    return [max(option.opts, key=len) for option in options] + [o for part in parts for o in options_of(part)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_described(command: str) -> None:
    module, name = COMMANDS[command][0].split(":")
    options, rows = options_of(getattr(import_module(module), name)), rows_of(command)
    assert [option for option in options if f"`{option}`" not in rows] == []


def test_the_readme_and_the_guides_name_no_command_that_is_not_there() -> None:
    for page in markdown():
        named = set(re.findall(r"(?:`|^\$ )podium ([a-z]+)", page.read_text(), re.M))
        assert named <= {*COMMANDS, *HIDDEN}, name_of(page)


def test_no_message_names_a_command_that_is_not_there() -> None:
    for source in SOURCES:
        named = set(re.findall(r"`podium ([a-z]+)", source.read_text()))
        assert named <= {*COMMANDS, *HIDDEN}, name_of(source)


# --- podium.toml ----------------------------------------------------------------------------


def keys() -> set[str]:
    """Every key that the project file may have: what `only(…)` lets in."""
    trees = [ast.parse(Path(module.__file__).read_text()) for module in (project, servers, features, fields)]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    known = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "only"]
    said = {word.value for call in known for word in call.args if isinstance(word, ast.Constant)}
    return said | set(kubernetes.KEYS)


def test_every_key_role_and_table_of_the_project_file_is_described() -> None:
    page = PROJECT.read_text()
    described = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    described |= {word for table in re.findall(r"`\[([\w.]+)\]`", page) for word in table.split(".")}
    assert keys() - described == set()
    assert set(ROLES) <= described


def test_the_page_of_the_project_file_is_itself_a_project(tmp_path: Path) -> None:
    (block,) = [block for block in blocks(PROJECT) if block.language == "toml"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "linear.py").touch()
    (tmp_path / "podium.toml").write_text(block.text)
    project.load(tmp_path)


# --- status, metrics ------------------------------------------------------------------------


@pytest.mark.parametrize("record", [Status, FeaturesStatus, ContenderStatus, ProcessReport])
def test_every_field_of_status_is_described(record: type) -> None:
    fields = set(record.__struct_fields__) - {"contenders", "processes"}
    assert [field for field in fields if f"`{field}`" not in OPERATIONS] == []


def counted() -> Iterator[tuple[str, str]]:
    """Every series that the code counts, as (kind, name)."""
    for source in SOURCES:
        for kind, name in re.findall(r'\.(counter|gauge|histogram)\("(\w+)"', source.read_text()):
            if name not in INTERNAL:
                yield kind, shown(name).name + ("_total" if kind == "counter" else "")


def test_every_metric_is_described_and_none_that_is_not_there() -> None:
    described = set(re.findall(r"`(podium_\w+)`", OPERATIONS))
    assert described == {name for _, name in counted()} | {shown.name for shown in DRIFT.values()}


def test_every_figure_of_drift_is_described() -> None:
    assert [field for field in LiveDrift.__struct_fields__ if f"`{field}`" not in DRIFT_PAGE] == []
    assert [shown.name for shown in DRIFT.values() if f"`{shown.name}`" not in DRIFT_PAGE] == []


# --- links and words ------------------------------------------------------------------------


@pytest.mark.parametrize("page", markdown(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)}: {link}"


FORBIDDEN = re.compile(
    r"blazing|lightning[- ]fast|seamless|effortless|cutting[- ]edge|world[- ]class|best[- ]in[- ]class|"
    r"revolutionary|state[- ]of[- ]the[- ]art|enterprise[- ]grade|battle[- ]tested|game[- ]chang|supercharge|"
    r"leverage|empower|delve",
    re.IGNORECASE,
)
ABSOLUTE = re.compile(r"(?<![\w.~/:)>}*'\"\]])/(?:[a-z]+)/[\w.-]+")
ROUTES = ("/score/", "/train/", "/v2/", "/docs/", "/outcome/", "/path/to", "/proc/")
IN_IMAGES = ("/etc/podium", "/opt/podium", "/tmp/podium", "/etc/docker")
"""Paths in an image, or of Docker: contracts, and nobody's machine."""


@pytest.mark.parametrize("page", markdown(), ids=name_of)
def test_pages_promise_nothing_and_name_no_path_of_somebody_s_machine(page: Path) -> None:
    text = page.read_text()
    assert FORBIDDEN.findall(text) == []
    assert [path for path in ABSOLUTE.findall(text) if not path.startswith((*ROUTES, *IN_IMAGES))] == []


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    described = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = described["optional-dependencies"].values()
    needed = [*described["dependencies"], *(line for extra in extras for line in extra)]
    names = [re.split(r"[^\w-]", line)[0] for line in needed]
    assert [name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", page)] == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = links(folder / "README.md")
    assert sorted(page.name for page in folder.glob("0*.md")) == sorted(index)
