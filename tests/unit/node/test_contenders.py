"""Which versions may answer an endpoint together."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from podium import project
from podium.errors import ProjectError, SchemaMismatch
from podium.node.contenders import Candidate, Contract, check_fit, contract_of, policy_of
from podium.project import Project
from podium.records import Contender, Gates, Guards, Policy, Role
from podium.schema import Field, Kind, Schema

TEXT = """\
[endpoint]
name = "diabetes"
default = {{ {default} }}

[models.linear]
module = "linear.py"
role = "champion"

[models.forest]
module = "forest.py"
role = "challenger"
{more}
"""


def loaded(folder: Path, *, default: str = "progression = 152.13", more: str = "") -> Project:
    for name in ("linear", "forest"):
        (folder / f"{name}.py").touch()
    (folder / "podium.toml").write_text(TEXT.format(default=default, more=more))
    return project.load(folder)


def floats(*names: str) -> Schema:
    return Schema(tuple(Field(name=name, type=Kind.FLOAT) for name in names))


def candidate(model: str, role: Role, inputs: Schema) -> Candidate:
    contender = Contender(model=model, version="9f2c1ab04d5e", number=1, role=role)
    return Candidate(contender=contender, inputs=inputs, outputs=floats("progression"))


def checked(
    project: Project, candidates: list[Candidate], told: Contract | None = None
) -> tuple[Policy, Schema, Schema]:
    """As `podium up` does it."""
    policy = policy_of(project, [each.contender for each in candidates])
    contract = contract_of(project, candidates, told)
    check_fit(policy, contract, candidates)
    return policy, contract.inputs, contract.outputs


def pair(champion: Schema, challenger: Schema) -> list[Candidate]:
    return [candidate("linear", Role.CHAMPION, champion), candidate("forest", Role.CHALLENGER, challenger)]


def test_the_endpoint_has_the_champions_schema(tmp_path: Path) -> None:
    policy, inputs, outputs = checked(loaded(tmp_path), pair(floats("bmi", "bp"), floats("bmi")))
    assert inputs == floats("bmi", "bp")
    assert outputs == floats("progression")
    assert [c.model for c in policy.contenders] == ["linear", "forest"]
    assert policy.revision == 1


def test_the_decoy_joins_where_it_is_enabled(tmp_path: Path) -> None:
    found = loaded(tmp_path, more="[decoy]\nenabled = true")
    policy, _, _ = checked(found, pair(floats("bmi"), floats("bmi")))
    assert policy.contenders[-1] == Contender(model="decoy", role=Role.DECOY)


def test_gates_and_guards_are_part_of_the_policy(tmp_path: Path) -> None:
    found = loaded(tmp_path, more='[gates]\nerror = "1%"\n[guards]\nlate = "5%"\n')
    policy, _, _ = checked(found, pair(floats("bmi"), floats("bmi")))
    assert (policy.gates, policy.guards) == (Gates(error=0.01), Guards(late=0.05))


def test_a_contender_that_needs_more_is_refused_with_both_schemas(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match=r"forest@9f2c1ab04d5e.*'bp'.*\{bmi: float\}.*\{bmi: float, bp"):
        checked(loaded(tmp_path), pair(floats("bmi"), floats("bmi", "bp")))


def test_a_champion_that_does_not_fit_what_is_declared_is_refused(tmp_path: Path) -> None:
    found = loaded(tmp_path, more='[endpoint.inputs]\nage = "float"')
    with pytest.raises(SchemaMismatch, match="linear@"):
        checked(found, pair(floats("bmi"), floats("bmi")))


def test_a_default_answer_of_another_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="did you mean 'progression'"):
        checked(loaded(tmp_path, default="progresion = 1.0"), pair(floats("bmi"), floats("bmi")))


def test_an_older_revision_with_a_default_of_another_output_is_named(tmp_path: Path) -> None:
    both = pair(floats("bmi"), floats("bmi"))
    policy = policy_of(loaded(tmp_path, default="risk = 1.0"), [each.contender for each in both])
    old = replace(policy, revision=7, restores=3, from_file=False)
    with pytest.raises(ProjectError, match=r"^revision 3: endpoint\.default: 'risk' is not an output"):
        check_fit(old, Contract(inputs=floats("bmi"), outputs=floats("progression")), both)


FEATURES = """
[endpoint.inputs]
customer = "string"

[features]
url = "http://127.0.0.1:9000"
key = "customer"

[features.fields]
income = { type = "float", default = 0.0 }
"""


def test_features_are_there_for_contenders_though_clients_do_not_send_them(tmp_path: Path) -> None:
    income = floats("income")
    project = loaded(tmp_path, more=FEATURES)
    _, inputs, _ = checked(project, pair(income, income))
    assert inputs.names == ("customer", "income")
    with pytest.raises(SchemaMismatch, match="'age' is not one of its fields"):
        checked(project, pair(income, floats("income", "age")))


def test_what_clients_were_told_outlives_a_champion_that_takes_less(tmp_path: Path) -> None:
    told = Contract(inputs=floats("bmi", "bp"), outputs=floats("progression"))
    _, inputs, _ = checked(loaded(tmp_path), pair(floats("bmi"), floats("bmi", "bp")), told)
    assert inputs == floats("bmi", "bp")


def test_shares_of_more_than_all_the_traffic_are_refused_by_the_files_name(tmp_path: Path) -> None:
    champion, challenger = (each.contender for each in pair(floats("bmi"), floats("bmi")))
    both = [champion, *(replace(challenger, model=name, share=0.6) for name in ("forest", "trees"))]
    with pytest.raises(ProjectError, match=r"podium\.toml: the shares are 120%"):
        policy_of(loaded(tmp_path), both)
