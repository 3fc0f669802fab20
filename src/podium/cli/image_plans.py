"""From a project to what its images are to be: with what its stream and its features need."""

from __future__ import annotations

from urllib.parse import urlsplit

from podium import features
from podium.images.build import Plan, gateway_plan, model_plan
from podium.models import manifest as manifests
from podium.models.formats import entry
from podium.models.trust import Trust
from podium.project import Project
from podium.registry.folder import FolderRegistry
from podium.streams.connect import EXTRAS


def gateway_of(project: Project, *, grpc: bool) -> Plan:
    """Raises MissingExtra where what the project asks for is not installed here."""
    source = project.features.source if project.features else ""
    looked_up = {features.EXTRAS[source]} if source in features.EXTRAS else set()
    return gateway_plan(sorted(_of_stream(project) | looked_up | ({"grpc"} if grpc else set())))


def model_of(project: Project, what: str) -> Plan:
    """Of `MODEL[@VERSION]`, else the newest. Raises UnknownVersion, Untrusted, MissingExtra."""
    model, _, wanted = what.partition("@")
    version = FolderRegistry(project.registry_dir).find(model, wanted or None)
    runs = entry(manifests.read(version.path).format).runs
    if runs:  # who builds vouches for it, as who loads does
        Trust.load().check(model, version.digest, what=runs)
    return model_plan(
        version.path, version.digest, version.number, trusted=bool(runs), extras=_of_stream(project)
    )


def _of_stream(project: Project) -> set[str]:
    """No URL is NATS, which Podium always speaks."""
    scheme = urlsplit(project.stream).scheme
    return {EXTRAS[scheme][2]} if scheme in EXTRAS else set()
