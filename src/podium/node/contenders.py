"""From a project and its packages to a policy that can answer: everything that must fit is checked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from podium.errors import PolicyError, ProjectError
from podium.models import manifest
from podium.project import FILE, Project
from podium.records import DECOY, Contender, Policy, Role
from podium.registry.base import Registry
from podium.rendezvous.changes import check
from podium.schema import Schema, check_contender, check_default, check_outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model version, chosen from the registry, with what it takes and gives."""

    contender: Contender
    inputs: Schema
    outputs: Schema


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """What an endpoint takes and gives: declared in the project file, else the champion's."""

    inputs: Schema
    outputs: Schema


def candidate(
    registry: Registry, model: str, version: str | None, role: Role, share: float | None = None
) -> Candidate:
    """A version from the registry, the newest where none is named, in this role. Raises UnknownVersion."""
    found = registry.find(model, version)
    described = manifest.read(found.path)
    contender = Contender(model=model, version=found.short, number=found.number, role=role, share=share)
    return Candidate(contender=contender, inputs=described.inputs, outputs=described.outputs)


def candidates_of_file(registry: Registry, project: Project) -> list[Candidate]:
    """The project file's models, the newest version where it pins none. Raises UnknownVersion."""
    return [candidate(registry, m.name, m.version, m.role, m.share) for m in project.models.values()]


def candidates_of(registry: Registry, policy: Policy) -> list[Candidate]:
    """A policy's contenders from the registry. Raises UnknownVersion for one that is not there."""
    return [candidate(registry, c.model, c.version, c.role, c.share) for c in policy.scoring]


def policy_of(project: Project, contenders: Sequence[Contender]) -> Policy:
    """The project's policy with these versions; the decoy joins where it is enabled.

    Raises ProjectError for a policy that nobody could follow.
    """
    decoy = (Contender(model=DECOY, role=Role.DECOY),) if project.decoy else ()
    policy = Policy(
        endpoint=project.name,
        revision=1,
        contenders=(*contenders, *decoy),
        deadline_ms=project.endpoint.deadline_ms,
        schedule=project.schedule,
        default=project.endpoint.default,
        gates=project.gates,
        guards=project.guards,
        from_file=True,
    )
    try:
        check(policy)
    except (ProjectError, PolicyError) as error:
        raise ProjectError(f"{FILE}: {error}") from None
    return policy


def contract_of(project: Project, candidates: Sequence[Candidate], told: Contract | None = None) -> Contract:
    """The endpoint's contract: what the file declares, else what clients were told last, else the champion's.

    So a promoted champion that takes fewer inputs does not break clients that send them.
    """
    champion = next(c for c in candidates if c.contender.role is Role.CHAMPION)
    before = told or Contract(inputs=champion.inputs, outputs=champion.outputs)
    return Contract(
        inputs=project.inputs or before.inputs, outputs=project.endpoint.outputs or before.outputs
    )


def check_fit(policy: Policy, contract: Contract, candidates: Sequence[Candidate]) -> None:
    """Raise SchemaMismatch for a contender that does not fit, ProjectError for such a default answer."""
    for candidate in candidates:
        check_contender(contract.inputs, candidate.inputs, what=candidate.contender.name)
        check_outputs(contract.outputs, candidate.outputs, what=candidate.contender.name)
    if policy.default is not None:
        try:
            check_default(contract.outputs, policy.default)
        except ProjectError as error:
            where = FILE if policy.from_file else f"revision {policy.restores or policy.revision}"
            raise ProjectError(f"{where}: {error}") from None
