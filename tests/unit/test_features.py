"""`[features]` of podium.toml: every mistake names its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from podium import run as runs
from podium.errors import ProjectError
from podium.project import Project, load
from podium.run import Features
from podium.schema import Field, Kind, Schema

TOML = """\
[endpoint]
name = "loans"
deadline = "100ms"

[endpoint.inputs]
customer = "string"
amount = "float"

[endpoint.outputs]
risk = "float"

[models.rule]
url = "http://127.0.0.1:9000"
role = "champion"
{request}
[features]
{source}

[features.fields]
income = {{ type = "float", default = 0.0 }}
{fields}
"""
REDIS = 'redis = "redis://127.0.0.1:6379"\nkey = "customer"'


def loaded(folder: Path, source: str = REDIS, fields: str = "", request: str = "", **changes: str) -> Project:
    text = TOML.format(source=source, fields=fields, request=request)
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / "podium.toml").write_text(text)
    return load(folder)


def test_features_follow_what_clients_send(tmp_path: Path) -> None:
    project = loaded(tmp_path, f'{REDIS}\nname = "c:{{key}}"\nbudget = "5ms"')
    assert project.features == Features(
        source="redis",
        at="redis://127.0.0.1:6379",
        fields=Schema((Field(name="income", type=Kind.FLOAT, optional=True, default=0.0),)),
        key="customer",
        name="c:{key}",
        budget_ms=5.0,
        where="podium.toml:17: features.redis: ",
        folder=str(tmp_path),
    )
    assert project.inputs is not None
    assert project.inputs.names == ("customer", "amount", "income")
    assert project.endpoint.inputs is not None
    assert project.endpoint.inputs.names == ("customer", "amount")


def test_a_model_may_name_a_feature_among_its_inputs(tmp_path: Path) -> None:
    assert loaded(tmp_path, request='request = { query = { i = "income" } }').models["rule"].server
    with pytest.raises(ProjectError, match="'incom' is no input"):
        loaded(tmp_path, request='request = { query = { i = "incom" } }')


def test_a_table_and_a_module_are_found_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "features.py").touch()
    found = loaded(tmp_path, 'module = "features.py"').features
    assert (found and found.at, found and found.key) == (str(tmp_path / "features.py"), "")
    found = loaded(tmp_path, 'table = "customers.parquet"\nkey = "customer"\nrefresh = "5s"').features
    assert (found and found.at, found and found.refresh_s) == (str(tmp_path / "customers.parquet"), 5.0)
    found = loaded(tmp_path, 'table = "s3://lake/customers"\nkey = "customer"').features
    assert found
    assert found.at == "s3://lake/customers"


def test_a_short_deadline_leaves_half_of_it_for_the_models(tmp_path: Path) -> None:
    found = loaded(tmp_path, **{'deadline = "100ms"': 'deadline = "30ms"'}).features
    assert found
    assert found.budget_ms == 15.0


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('key = "customer"', "16: features: say nowhere what they come from: `module` or"),
        (f'{REDIS}\nurl = "http://h/x"', "19: features.url: come from one place"),
        ('module = "nothing.py"', "17: features.module: there is no file nothing.py"),
        (
            'module = "podium.toml"\nkey = "customer"',
            "18: features.key: goes with `table` or `redis` or `url`, not",
        ),
        ('url = "customers"\nkey = "customer"', "17: features.url: 'customers' is no address; write as in"),
        ('url = "http://me:secret@h/x"\nkey = "customer"', "17: features.url: has a user's name in it"),
        (
            'redis = "http://127.0.0.1"\nkey = "customer"',
            "17: features.redis: 'http://127.0.0.1' is no address",
        ),
        (
            REDIS.replace("customer", "custmer"),
            "18: features.key: 'custmer' is not an input of the endpoint (did",
        ),
        (REDIS.replace("customer", "amount"), "18: features.key: amount: float cannot be a key; expected"),
        ('redis = "redis://127.0.0.1"', "16: features: `key` is missing"),
        (f'{REDIS}\nname = "customer"', "19: features.name: 'customer' has no {key} in it"),
        (f'{REDIS}\nrefresh = "5s"', "19: features.refresh: goes with `table`, not with `redis`"),
        (f'{REDIS}\nbudget = "100ms"', "19: features.budget: is more than 0ms and less than the deadline"),
        (f'{REDIS}\nbudget = "0ms"', "19: features.budget: is more than 0ms"),
        (f'{REDIS}\nbudge = "5ms"', "19: features.budge: there is no such key (did you mean 'budget'?)"),
    ],
)
def test_a_mistake_names_its_line(tmp_path: Path, source: str, says: str) -> None:
    with pytest.raises(ProjectError, match=re.escape(f"podium.toml:{says}")):
        loaded(tmp_path, source)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ('age = "int"', "age: needs a default: what models get when it is not found"),
        ('age = { type = "int" }', "age: say what models get without 'age'"),
        ('age = { type = "int", default = "old" }', "the default 'old' is not a int"),
        ('age = { type = "int", default = 9223372036854775808 }', "is not a int"),
        ('age = { type = "number", default = 1 }', "age.type: 'number'"),
        ('age = { type = "int", optional = true, default = 1 }', "age.optional: there is no such key"),
        ('amount = { type = "float", default = 0.0 }', "amount: is an input of [endpoint.inputs] too"),
        ('v = { type = "float", shape = ["?"], default = [] }', "v: v: float[?] (optional) has an open size"),
    ],
)
def test_a_feature_that_cannot_be_names_its_line(tmp_path: Path, field: str, says: str) -> None:
    with pytest.raises(ProjectError, match=r"podium.toml:22: features.fields\..*" + re.escape(says)):
        loaded(tmp_path, fields=field)


def test_what_clients_send_must_be_declared(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"podium.toml:16: features: need \[endpoint.inputs\]"):
        loaded(tmp_path, **{'[endpoint.inputs]\ncustomer = "string"\namount = "float"': "#\n#\n#"})


def test_what_a_run_asks_of_clients_lacks_the_features(tmp_path: Path) -> None:
    project = loaded(tmp_path)
    assert project.features is not None
    assert project.inputs is not None
    told = runs.Run(
        policy=runs.Policy(endpoint="loans", revision=1, contenders=(), deadline_ms=100.0, schedule=()),
        inputs=project.inputs,
        outputs=Schema(()),
        stream="",
        archive="",
        registry="",
        run_dir="",
        features=project.features,
    )
    runs.save(told, tmp_path / "run.json")
    assert runs.load(tmp_path / "run.json") == told
    assert told.asked == project.endpoint.inputs
