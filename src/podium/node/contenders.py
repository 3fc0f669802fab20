"""From a project and its packages to a policy that can answer: everything that must fit is checked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from podium.errors import ProjectError
from podium.project import FILE, Project
from podium.records import DECOY, Contender, Policy, Role
from podium.rendezvous.schedule import check_schedule
from podium.schema import Schema, check_contender, check_default, check_outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model version, chosen from the registry, with what it takes and gives."""

    contender: Contender
    inputs: Schema
    outputs: Schema


def policy_of(project: Project, contenders: Sequence[Contender]) -> Policy:
    """The project's policy with these versions, the first revision; the decoy joins where it is enabled."""
    decoy = (Contender(model=DECOY, role=Role.DECOY),) if project.decoy else ()
    return Policy(
        endpoint=project.name,
        revision=1,
        contenders=(*contenders, *decoy),
        deadline_ms=project.endpoint.deadline_ms,
        schedule=project.schedule,
        default=project.endpoint.default,
    )


def checked(project: Project, candidates: Sequence[Candidate]) -> tuple[Policy, Schema, Schema]:
    """The policy with the endpoint's input and output schema: those declared, else the champion's.

    Raises SchemaMismatch for a contender that does not fit, ProjectError for a default answer or a
    schedule that cannot be.
    """
    champion = next(c for c in candidates if c.contender.role is Role.CHAMPION)
    inputs = project.endpoint.inputs or champion.inputs
    outputs = project.endpoint.outputs or champion.outputs
    for candidate in candidates:
        check_contender(inputs, candidate.inputs, what=candidate.contender.name)
        check_outputs(outputs, candidate.outputs, what=candidate.contender.name)
    policy = policy_of(project, [candidate.contender for candidate in candidates])
    if policy.default is not None:
        try:
            check_default(outputs, policy.default)
        except ProjectError as error:
            raise ProjectError(f"{FILE}: {error}") from None
    check_schedule(policy, where=f"{FILE}: schedule")
    return policy, inputs, outputs
