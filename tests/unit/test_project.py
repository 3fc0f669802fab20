"""`podium.toml`: what is read, and what each mistake says."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium import project
from podium.errors import ProjectError
from podium.records import Gates, Guards, Role
from podium.schema import Kind

WHOLE = """\
[endpoint]
name = "diabetes"
deadline = "100ms"
default = { progression = 152.13 }        # the answer when nobody is in time

[models.linear]
module = "models/linear.py"
role = "champion"

[models.forest]
module = "models/forest.py"
role = "challenger"
version = 3
replicas = 2
timeout = "10s"

[schedule]
"0ms"  = ["champion"]
"60ms" = ["champion", "challenger", "canary"]

[decoy]
enabled = true
"""
SHORT = """\
[endpoint]
name = "diabetes"

[models.linear]
module = "models/linear.py"
role = "champion"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for name in ("linear", "forest"):
        (tmp_path / "models" / f"{name}.py").touch()
    return tmp_path


def load(folder: Path, text: str) -> project.Project:
    (folder / "podium.toml").write_text(text)
    return project.load(folder)


def mistake(folder: Path, text: str) -> str:
    with pytest.raises(ProjectError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_whole_project_is_read(folder: Path) -> None:
    found = load(folder, WHOLE)
    assert found.name == "diabetes"
    assert found.endpoint.deadline_ms == 100
    assert found.endpoint.default == {"progression": 152.13}
    assert found.champion.name == "linear"
    forest = found.models["forest"]
    assert (forest.role, forest.version, forest.worker.replicas) == (Role.CHALLENGER, "3", 2)
    assert forest.worker.timeout == 10
    assert forest.module == folder / "models" / "forest.py"
    assert found.schedule == ((0, ("champion",)), (60, ("champion", "challenger", "canary")))
    assert found.decoy
    assert found.archive.location == str(folder / ".podium" / "archive")


def test_what_is_left_out_has_its_documented_value(folder: Path) -> None:
    found = load(folder, SHORT)
    assert found.endpoint.deadline_ms == 100
    assert found.endpoint.default is None
    assert found.schedule == ((0, ("champion",)), (60, ("champion", "challenger", "canary")))
    assert not found.decoy
    assert found.archive.sync == "interval"


def test_the_default_schedule_lets_others_in_before_a_short_deadline(folder: Path) -> None:
    found = load(folder, SHORT.replace('"diabetes"', '"diabetes"\ndeadline = "20ms"'))
    assert found.schedule[1][0] == 12


def test_a_declared_schema_is_read(folder: Path) -> None:
    declared = """
[endpoint.inputs]
bmi = "float"
img = { type = "float", shape = [28, "?"] }
bp = { type = "float", optional = true, default = 0.0 }
age = { type = "float", missing = true }
[endpoint.outputs]
progression = "float"
"""
    found = load(folder, SHORT + declared).endpoint
    assert found.inputs is not None
    assert str(found.inputs) == "{bmi: float, img: float[28][?], bp: float (optional), age: float}"
    assert found.inputs["bp"].default == 0.0
    assert found.inputs["age"].missing
    assert found.outputs is not None
    assert found.outputs["progression"].type is Kind.FLOAT


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ('deadline = "100ms"', 'dedline = "100ms"', 3, "did you mean 'deadline'?"),
        ('deadline = "100ms"', 'deadline = "fast"', 3, "'fast' is no duration"),
        ('deadline = "100ms"', 'deadline = "0ms"', 3, "longer than 0ms"),
        ('deadline = "100ms"', "deadline = 100", 3, '"100ms"'),
        ('name = "diabetes"', 'name = "dia.betes"', 2, "cannot be an endpoint's name"),
        ('name = "diabetes"', "", 1, "`name` is missing"),
        ("default = {", "default = 3 # {", 4, "3 is not a table"),
        ("[models.linear]", "[models.decoy]", 6, "taken by the decoy"),
        ("[models.linear]", '[models."li near"]', 6, "cannot be a model's name"),
        ('role = "champion"', 'role = "champoin"', 8, "did you mean 'champion'?"),
        ('role = "champion"', 'role = "canary"', 6, "no model is the champion"),
        ('role = "challenger"', 'role = "champion"', 12, "both champion"),
        ('role = "challenger"', "", 10, "`role` is missing"),
        ('"models/forest.py"', '"models/forst.py"', 11, "did you mean 'models/forest.py'?"),
        ("replicas = 2", "replicas = 0", 14, "not at least 1"),
        ("replicas = 2", "replicas = true", 14, "not a whole number"),
        ("replicas = 2", 'url = "http://127.0.0.1:9000"', 14, "has a `module` and a `url`"),
        ("replicas = 2", 'command = ["octave"]', 14, "has a `module` and a `command`"),
        ("replicas = 2", 'build = ["make"]', 14, "`build` is for models with `command`"),
        ("replicas = 2", "stream = true", 14, "`stream` is for models with `command`"),
        ("replicas = 2", "examples = [{ bmi = 0.05 }]", 14, "is for models with `command` or `sql`"),
        ('module = "models/forest.py"', "", 10, "says nowhere what it is: `module` or `command` or `sql`"),
        ('module = "models/forest.py"', "command = []", 11, "is empty: a command is a program"),
        ('module = "models/forest.py"', 'command = "octave"', 11, "not a list of texts"),
        (
            'module = "models/forest.py"',
            'command = ["octave"]\nfiles = ["modls"]',
            12,
            "did you mean 'models'?",
        ),
        (
            'module = "models/forest.py"',
            'command = ["octave"]\nparameters = { a = 1 }',
            12,
            "models with `sql`",
        ),
        ('module = "models/forest.py"', 'sql = "models/rule.sql"', 11, "there is no file models/rule.sql"),
        ('module = "models/forest.py"', 'command = ["octave"]\nexamples = [1]', 12, "not a list of rows"),
        ("version = 3", "version = 1.5", 13, "registry's number"),
        ('"0ms"  = ["champion"]', '"0ms"  = ["chalenger"]', 18, "did you mean 'challenger'?"),
        ('"0ms"  = ["champion"]', '"0ms"  = "champion"', 18, "not a list"),
        ('"0ms"  = ["champion"]', '"0ms"  = []', 18, "names nobody"),
        ('"60ms" =', '"soon" =', 19, "no time"),
        ('"60ms" =', '"100ms" =', 19, "not before the deadline"),
        ('"60ms" =', '"0s" =', 19, "there twice"),
        ("enabled = true", "enabled = 1", 22, "not true or false"),
        ("[decoy]", "[decoi]", 21, "did you mean 'decoy'?"),
        ("enabled = true", "enabled = true\nenabled = true", 23, "not TOML"),
    ],
)
def test_a_mistake_names_its_line_and_what_would_be_right(
    folder: Path, before: str, after: str, line: int, said: str
) -> None:
    assert before in WHOLE
    message = mistake(folder, WHOLE.replace(before, after, 1))
    assert message.startswith(f"podium.toml:{line}: ")
    assert said in message


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ('bmi = "flaot"', "did you mean 'float'?"),
        ('bmi = { type = "float", shape = [0.5] }', "0.5 is no size"),
        ('bmi = { type = "float", optional = true }', "say what models get"),
        ('bmi = { type = "float", default = 1.0 }', "optional = true"),
        ('bmi = { type = "float", optional = true, default = "x" }', "not a float"),
        ('bmi = { type = "string", missing = true }', "`missing` is for float"),
        ('bmi = { type = "float", shpae = [2] }', "did you mean 'shape'?"),
        ('"a`b" = "float"', "cannot be a field's name"),
    ],
)
def test_a_mistake_in_a_declared_field_is_found(folder: Path, field: str, said: str) -> None:
    message = mistake(folder, f"{SHORT}\n[endpoint.inputs]\n{field}\n")
    assert message.startswith("podium.toml:9: ")
    assert said in message


RULES = (
    SHORT.replace('"diabetes"', '"diabetes"\ndefault = { progression = 152.13 }')
    + """
[models.forest]
module = "models/forest.py"
role = "canary"

[gates]
requests = 10_000
error = "1%"
segment = 0.05
p99 = "90ms"
confidence = "99%"

[guards]
errors = "5%"
late = 0.1
defaults = 0
disagreement = "20%"
window = "30s"
requests = 50
"""
)


def test_gates_and_guards_are_read(folder: Path) -> None:
    found = load(folder, RULES)
    assert found.gates == Gates(requests=10_000, error=0.01, segment=0.05, p99_ms=90, confidence=0.99)
    assert found.guards == Guards(
        errors=0.05, late=0.1, defaults=0, disagreement=0.2, window_s=30, requests=50
    )


def test_gates_and_guards_that_are_left_out_ask_and_watch_nothing(folder: Path) -> None:
    found = load(folder, SHORT)
    assert (found.gates, found.guards) == (Gates(), Guards())
    assert load(folder, SHORT + '[gates]\np99 = "deadline"\n').gates == Gates(p99_ms=100)


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("[gates]", "[gate]", 13, "did you mean 'gates'?"),
        ("segment =", "segments =", 16, "did you mean 'segment'?"),
        ("requests = 10_000", "requests = 0", 14, "not at least 1"),
        ("requests = 10_000", 'requests = "many"', 14, "not a whole number"),
        ('error = "1%"', "error = 5", 15, 'write as in "10%"'),
        ('error = "1%"', 'error = "-1%"', 15, 'write as in "10%"'),
        ("segment = 0.05", "segment = true", 16, 'write as in "10%"'),
        ('p99 = "90ms"', 'p99 = "0ms"', 17, "never opens"),
        ('p99 = "90ms"', "p99 = 90", 17, "neither"),
        ('p99 = "90ms"', 'p99 = "dedline"', 17, "did you mean 'deadline'?"),
        ('confidence = "99%"', 'confidence = "100%"', 18, "no number of outcomes reaches"),
        ('confidence = "99%"', "confidence = 0.05", 18, "from 50%"),
        ('error = "1%"\nsegment = 0.05', "", 17, "neither is there"),
        ("errors =", "error =", 21, "did you mean 'errors'?"),
        ('errors = "5%"', 'errors = "100%"', 21, "never acts"),
        ("late = 0.1", 'late = "10"', 22, 'write as in "10%"'),
        ('window = "30s"', 'window = "500ms"', 25, "under 1000ms"),
        ('window = "30s"', "window = 30", 25, "no duration"),
        ('role = "canary"', 'role = "challenger"', 24, "no model is one"),
        ("default = { progression = 152.13 }", "# none", 23, "the endpoint has no `default`"),
        (
            'errors = "5%"\nlate = 0.1\ndefaults = 0\ndisagreement = "20%"\n',
            "",
            20,
            "watches nothing: set errors, late, defaults or disagreement",
        ),
    ],
)
def test_a_mistake_in_a_gate_or_guard_names_its_line(
    folder: Path, before: str, after: str, line: int, said: str
) -> None:
    assert before in RULES
    message = mistake(folder, RULES.replace(before, after, 1))
    assert message.startswith(f"podium.toml:{line}: ")
    assert said in message


def test_the_window_of_drift_is_ten_minutes_or_what_the_file_says(folder: Path) -> None:
    assert load(folder, SHORT).drift_window_s == 600
    assert load(folder, SHORT + '[drift]\nwindow = "1.5m"\n').drift_window_s == 90


def test_keys_are_optional_unless_they_are_required(folder: Path) -> None:
    def keys(words: str) -> bool:
        return load(folder, SHORT.replace("\n\n", f"\n{words}\n\n", 1)).endpoint.keys_required

    assert [keys(""), keys('keys = "optional"'), keys('keys = "required"')] == [False, False, True]
    with pytest.raises(ProjectError, match=r"podium.toml:3: .*\(did you mean 'required'\?\)"):
        keys('keys = "require"')
    assert "under 1000ms" in mistake(folder, SHORT + '[drift]\nwindow = "20ms"\n')
    assert "did you mean 'window'?" in mistake(folder, SHORT + '[drift]\nwindows = "1m"\n')


def test_a_schedule_of_roles_that_nobody_has_is_refused(folder: Path) -> None:
    message = mistake(folder, SHORT + '[schedule]\n"0ms" = ["canary"]\n')
    assert message.startswith("podium.toml:7: schedule: names nobody")


def test_a_project_is_found_from_a_folder_inside_it(folder: Path) -> None:
    load(folder, SHORT)
    assert project.find(folder / "models") == folder


def test_a_missing_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="podium new"):
        project.find(tmp_path)
    with pytest.raises(ProjectError, match="podium new"):
        project.load(tmp_path)


def test_a_file_that_is_not_text_is_refused_in_one_line(folder: Path) -> None:
    (folder / "podium.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProjectError, match="not UTF-8"):
        project.load(folder)


# --- models that are no Python module -------------------------------------------------------

COMMAND = """
[models.rule]
command = ["octave-cli", "--quiet", "models/rule.m"]
files = ["models"]
role = "canary"
examples = [{ bmi = 0.05 }]

[models.rule.inputs]
bmi = "float"
"""


def test_a_command_is_read(folder: Path) -> None:
    rule = load(folder, SHORT + COMMAND).models["rule"]
    assert rule.command == project.Command(
        argv=("octave-cli", "--quiet", "models/rule.m"), files=("models",), build=()
    )
    assert (rule.module, rule.sql, rule.outputs) == (None, None, None)
    assert str(rule.inputs) == "{bmi: float}"
    assert rule.examples == ({"bmi": 0.05},)


def test_sql_is_read_with_its_parameters(folder: Path) -> None:
    (folder / "models" / "rule.sql").touch()
    text = (
        '\n[models.rule]\nsql = "models/rule.sql"\nrole = "canary"\nparameters = { a = 1.5, town = "Ulm" }\n'
    )
    rule = load(folder, SHORT + text).models["rule"]
    assert rule.sql == project.Query(
        file=folder / "models" / "rule.sql", parameters={"a": 1.5, "town": "Ulm"}
    )


@pytest.mark.parametrize("named", ["/no/such.py", "/such.py", "../such.py"])
def test_a_file_that_is_not_there_is_told_wherever_it_was_looked_for(folder: Path, named: str) -> None:
    assert f"there is no file {named}" in mistake(folder, SHORT.replace("models/linear.py", named))


def test_a_parameter_is_a_plain_value(folder: Path) -> None:
    (folder / "models" / "rule.sql").touch()
    text = '\n[models.rule]\nsql = "models/rule.sql"\nrole = "canary"\nparameters = { a = [1] }\n'
    assert "[1] is no number" in mistake(folder, SHORT + text)
