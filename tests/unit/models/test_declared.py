"""Commands and SQL: what goes into their packages, and what cannot."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from podium import project as projects
from podium.errors import PackageError, ProjectError, Untrusted, WrongSample
from podium.models.declared import described, pack_command, pack_server, pack_sql
from podium.models.digest import digest_of
from podium.models.loading import Scorer, load
from podium.models.manifest import Manifest
from podium.models.sealing import Packed
from podium.models.trust import Trust
from podium.registry.folder import FolderRegistry

from .server.fake import Handler, doubled, fake

PROGRAM = """\
#!{python}
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    y = [{factor} * x for x in asked["columns"]["x"]]
    print(json.dumps({{"id": asked["id"], "columns": {{"y": y}}}}), flush=True)
"""
TOML = """\
[endpoint]
name = "e"

[endpoint.inputs]
x = "float"
hint = "string"

[models.rule]
role = "champion"
{keys}

[models.rule.inputs]
x = "float"

[models.rule.outputs]
y = "float"
"""


class Folder:
    """A project with one model, which is no Python module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._packages = 0
        self.write("models/rule.py", PROGRAM.format(python=sys.executable, factor=2))

    def write(self, name: str, text: str) -> Path:
        file = self.path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def project(self, keys: str) -> projects.Project:
        self.write("podium.toml", TOML.format(keys=keys))
        return projects.load(self.path / "project")

    def pack(self, keys: str, champion: Manifest | None = None) -> Packed:
        project = self.project(keys)
        model, said = project.models["rule"], described(project, "rule", champion)
        self._packages += 1
        into = self.path / f"package-{self._packages}"
        into.mkdir()
        if model.sql is not None:
            return pack_sql(said, model.sql, into=into)
        if model.server is not None:
            return pack_server(said, model.server, into=into)
        assert model.command is not None
        return pack_command(said, model.command, root=project.folder, into=into)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def command(*argv: str, **more: Any) -> str:
    lines = [f"command = {json.dumps(list(argv))}"]
    return "\n".join(lines + [f"{key} = {value}" for key, value in more.items()])


RULE = command(sys.executable, "models/rule.py")


def opened(packed: Packed, folder: Path | None = None) -> Scorer:
    trust = Trust(path=Path("trust"), lines=frozenset([packed.digest]))
    return load(folder or packed.folder, trust=trust, digest=packed.digest)


def y_of(scorer: Scorer, *values: float) -> list[float]:
    found: list[float] = scorer.predict({"x": np.array(values)})["y"].tolist()
    scorer.close()
    return found


# --- commands -------------------------------------------------------------------------------


def test_a_command_is_packed_with_the_files_that_it_names(folder: Folder) -> None:
    packed = folder.pack(RULE)
    assert (packed.folder / "code" / "models" / "rule.py").read_text() == PROGRAM.format(
        python=sys.executable, factor=2
    )
    assert packed.manifest.format == "process"
    assert y_of(opened(packed), 1.5, 2) == [3, 4]


def test_the_same_files_give_the_same_digest_and_another_script_another(folder: Folder) -> None:
    digest = folder.pack(RULE).digest
    assert folder.pack(RULE).digest == digest
    folder.write("models/rule.py", PROGRAM.format(python=sys.executable, factor=3))
    changed = folder.pack(RULE)
    assert changed.digest != digest
    assert changed.manifest.revision != folder.pack(RULE.replace("]", ', "-x"]', 1)).manifest.revision


def test_it_is_not_started_unless_it_is_trusted(folder: Folder) -> None:
    packed = folder.pack(RULE)
    with pytest.raises(Untrusted, match="is a command, so loading it runs its code"):
        load(packed.folder, trust=Trust(path=Path("trust")), digest=packed.digest)


def test_files_and_folders_that_it_does_not_name_go_into_files(folder: Folder) -> None:
    program = PROGRAM.format(python=sys.executable, factor='float(open("data/factor").read())')
    folder.write("models/rule.py", program)
    folder.write("data/factor", "7")
    with pytest.raises(PackageError, match="No such file or directory: 'data/factor'"):
        folder.pack(RULE)
    packed = folder.pack(command(sys.executable, "models/rule.py", files='["data"]'))
    assert y_of(opened(packed), 2) == [14]


def test_what_is_built_is_packed_and_can_be_run_after_the_registry_took_its_permissions(
    folder: Folder,
) -> None:
    keys = command("models/built", build='["cp", "models/rule.py", "models/built"]')
    (folder.path / "project" / "models" / "rule.py").chmod(0o755)
    packed = folder.pack(keys)
    kept = FolderRegistry(folder.path / "registry").put(packed.folder)
    assert not (kept.path / "code" / "models" / "built").stat().st_mode & stat.S_IXUSR
    assert y_of(opened(packed, kept.path), 1) == [2]
    assert not (folder.path / "project" / "models" / "built").exists()


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        (command("no-such-program"), PackageError, "there is no program 'no-such-program' here"),
        (command(sys.executable, "models/rul.py"), ProjectError, "there is no models/rul.py in the package"),
        (command(sys.executable, "-c", "0"), PackageError, "exit status 0; `podium check rule` tells more"),
        (command("x", build='["false"]'), ProjectError, "build: `false` ended with exit status 1"),
        (command("x", build='["no-such"]'), ProjectError, "build: no-such cannot be started"),
        (RULE + "\nexamples = [{ z = 1.0 }]", ProjectError, "examples: 'z' is no input"),
        (RULE + "\nexamples = [{}]", ProjectError, "a row has no 'x'"),
        (RULE + '\nexamples = [{ x = "a" }]', ProjectError, "examples: could not convert"),
        (RULE + "\nexamples = [{ x = [1.0] }]", ProjectError, "examples: 'x' has another shape"),
    ],
)
def test_what_cannot_be_packed_says_why(folder: Folder, keys: str, error: type, said: str) -> None:
    with pytest.raises(error) as caught:
        folder.pack(keys)
    assert said in str(caught.value)
    assert str(caught.value).startswith("rule")


def test_a_file_outside_the_project_is_not_packed(folder: Folder) -> None:
    outside = folder.path / "secret"
    outside.write_text("x")
    (folder.path / "project" / "models" / "link").symlink_to(outside)
    with pytest.raises(ProjectError, match="not one of the project's own files"):
        folder.pack(command(sys.executable, "models/rule.py", files='["models"]'))


def test_a_command_that_changes_its_own_files_is_refused(folder: Folder) -> None:
    folder.write(
        "models/rule.py",
        'open("models/left", "w").write("x")\n' + PROGRAM.format(python=sys.executable, factor=2),
    )
    with pytest.raises(PackageError, match="writes into its own folder"):
        folder.pack(RULE)


def test_examples_are_its_samples_and_types_alone_make_a_row_of_zeros(folder: Folder) -> None:
    packed = folder.pack(RULE + "\nexamples = [{ x = 2.5 }]")
    samples = json.loads((packed.folder / "samples.json").read_text())
    assert samples == {"inputs": {"x": [2.5]}, "outputs": {"y": [5.0]}}
    samples = json.loads((folder.pack(RULE).folder / "samples.json").read_text())
    assert samples == {"inputs": {"x": [0.0]}, "outputs": {"y": [0.0]}}


# --- whose schema it has --------------------------------------------------------------------


def test_a_model_without_a_schema_has_the_endpoint_s_or_the_champion_s_without_what_that_saw(
    folder: Folder,
) -> None:
    champion = folder.pack(RULE).manifest
    project = folder.project(RULE)
    rule = project.models["rule"]
    bare = projects.ModelSettings(name="rule", role=rule.role, command=rule.command)
    found = described(
        projects.Project(
            folder=project.folder,
            endpoint=project.endpoint,
            models={"rule": bare},
            schedule=(),
            archive=project.archive,
        ),
        "rule",
        champion,
    )
    assert str(found.inputs) == "{x: float, hint: string}"
    assert str(found.outputs) == "{y: float}"
    with pytest.raises(ProjectError, match="nobody says its outputs: write"):
        described(
            projects.Project(
                folder=project.folder,
                endpoint=project.endpoint,
                models={"rule": bare},
                schedule=(),
                archive=project.archive,
            ),
            "rule",
            None,
        )


# --- SQL ------------------------------------------------------------------------------------


def sql(folder: Folder, text: str, parameters: str = "") -> Scorer:
    folder.write("models/rule.sql", text)
    return opened(folder.pack(f'sql = "models/rule.sql"\n{parameters}'))


def test_sql_scores_all_rows_at_once_with_its_parameters(folder: Folder) -> None:
    scorer = sql(folder, "SELECT $a + 2 * x AS y FROM input", "parameters = { a = 0.5 }")
    assert y_of(scorer, 1, 2, 3) == [2.5, 4.5, 6.5]


def test_sql_that_changes_the_order_gives_the_row_s_number(folder: Folder) -> None:
    scorer = sql(folder, "SELECT row_id, x AS y FROM input ORDER BY x DESC")
    assert y_of(scorer, 1, 3, 2) == [1, 3, 2]


def test_sql_null_is_a_missing_number(folder: Folder) -> None:
    scorer = sql(folder, "SELECT CASE WHEN x < 5 THEN x END AS y FROM input")
    assert np.isnan(y_of(scorer, 1, 9)[1])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELEC 1", "not SQL"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("DELETE FROM input", "one SELECT"),
        ("SELECT $a AS y FROM input", "the query has the parameters ['a'], podium.toml gives []"),
        ("SELECT z AS y FROM input", 'Referenced column "z" not found'),
        ("SELECT x AS z FROM input", "outputs [], expected {y: float}"),
        ("SELECT x AS y FROM input WHERE x > 0", "shape [0] for 1 rows"),
        ("SELECT content AS y FROM read_text('podium.toml')", "file system operations are disabled"),
    ],
)
def test_sql_that_cannot_be_a_model_says_why(folder: Folder, text: str, said: str) -> None:
    with pytest.raises(PackageError) as caught:
        sql(folder, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# --- servers --------------------------------------------------------------------------------


def asks(url: str, *more: str) -> str:
    return "\n".join([f'url = "{url}"', 'protocol = "json"', "examples = [{ x = 1.5 }, { x = 2 }]", *more])


def test_a_server_is_packed_with_its_address_and_what_it_answers(folder: Folder) -> None:
    with fake(doubled) as server:
        packed = folder.pack(asks(server.url))
        assert json.loads((packed.folder / "server.json").read_text()) == {
            "protocol": "json",
            "url": server.url,
        }
        assert json.loads((packed.folder / "samples.json").read_text())["outputs"] == {"y": [3.0, 4.0]}
        scorer = load(packed.folder, trust=Trust(path=Path("trust")), digest=packed.digest)
        assert y_of(scorer, 5, 6) == [10, 12]  # it runs no code, so nobody need trust it


def test_another_address_mapping_schema_or_example_is_another_version(folder: Folder) -> None:
    with fake(doubled) as server:
        keys = asks(server.url)
        digest = folder.pack(keys).digest
        assert folder.pack(keys).digest == digest
        changed = [
            asks(server.url.replace("127.0.0.1", "localhost")),
            asks(server.url, 'request = { body = { x = "x", more = 1 } }'),
            asks(server.url, 'health = "/health"'),
            keys.replace("1.5", "2.5"),
        ]
        digests = {folder.pack(each).digest for each in changed}
        assert len(digests) == len(changed)
        assert digest not in digests


def test_a_server_that_has_another_model_now_is_refused(folder: Folder) -> None:
    with fake(doubled) as server:
        packed = folder.pack(asks(server.url))
        server.behaves(lambda handler: handler.json({"y": 7}))
        with pytest.raises(WrongSample, match="its server may have another model now"):
            opened(packed)


def broken(handler: Handler) -> None:
    handler.say(b"<h1>Oops", status=500)


def test_a_server_that_does_not_answer_is_not_packed(folder: Folder) -> None:
    with fake(broken) as server:
        keys = asks(server.url)
        with pytest.raises(PackageError, match=r"rule does not answer examples: .* it answered 500: Oops"):
            folder.pack(keys)
    with pytest.raises(PackageError, match=r"nothing listens there.*podium check rule"):
        folder.pack(keys)


def test_a_package_whose_address_is_broken_is_refused(folder: Folder) -> None:
    with fake(doubled) as server:
        packed = folder.pack(asks(server.url))
    (packed.folder / "server.json").write_text("{")
    with pytest.raises(PackageError, match=r"server\.json cannot be read"):
        load(packed.folder, trust=Trust(path=Path("trust")), digest=digest_of(packed.folder))
