"""What the commands for clusters and containers share: from the project here to a plan for there."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from podium import __version__
from podium.cli.control import author
from podium.cluster.plan import ClusterPlan
from podium.errors import ProjectError
from podium.kubernetes import OWN, KubernetesSettings
from podium.node.contenders import candidates_of_file, check_fit, contract_of, policy_of
from podium.node.plan import run_of
from podium.project import FILE, Project
from podium.registry.folder import FolderRegistry
from podium.run import Run


def plan_here(project: Project, *, namespace: str | None = None, images: str | None = None) -> ClusterPlan:
    """The project file's endpoint on a cluster, with the newest versions where it pins none.

    Raises ProjectError for what only works on one machine.
    """
    settings = replace(
        project.kubernetes,
        namespace=namespace or project.kubernetes.namespace,
        images=(images or project.kubernetes.images).rstrip("/"),
    )
    run = run_here(project, f"{FILE}, deployed")
    check(project, settings)
    return ClusterPlan(
        run=run,
        settings=settings,
        release=__version__,
        outbound=frozenset(model.name for model in project.models.values() if model.server),
    )


def run_here(project: Project, reason: str) -> Run:
    """What processes elsewhere are told: the project file's contenders, the newest where it pins none.

    Raises ProjectError for models that do not fit the endpoint.
    """
    candidates = candidates_of_file(FolderRegistry(project.registry_dir), project)
    policy = policy_of(project, [each.contender for each in candidates])
    contract = contract_of(project, candidates)
    check_fit(policy, contract, candidates)
    signed = structs.replace(policy, author=author(), reason=reason)
    return run_of(project, signed, contract, stream="")


def check(project: Project, settings: KubernetesSettings) -> None:
    """Raises ProjectError for what only works on one machine."""
    if not settings.images:
        raise ProjectError(
            f"{FILE}: [kubernetes]: pods need images: say where they are with `images`, as in "
            f'"registry.example/{project.name.lower()}", or with --images'
        )
    if "://" not in project.archive.location:
        raise ProjectError(
            f"{FILE}: [archive]: {project.archive.location} is a folder of this machine, and pods keep no "
            'files: give `location` a URL, as in "s3://bucket/archive"'
        )
    if project.stream and settings.stream == OWN:
        raise ProjectError(
            f"{FILE}: stream: it is for `podium up`, and pods would get a NATS of their own: set "
            '`stream = "existing"` in [kubernetes], and put the URL into its Secret'
        )
    check_features(project, "pods")


def check_features(project: Project, who: str) -> None:
    """Raises ProjectError for features out of a file of this machine, which `who` would not have."""
    features = project.features
    if features and features.source in ("module", "table") and "://" not in features.at:
        raise ProjectError(
            f"{FILE}: [features]: {features.at} is a file of this machine, and {who} do not have it: "
            "look them up in Redis, at a service, or in a table on object storage"
        )
