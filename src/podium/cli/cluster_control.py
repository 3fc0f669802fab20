"""The policy of an endpoint on a cluster, read and changed through one of its gateways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace as replaced
from types import TracebackType

import click
import msgspec
from msgspec.structs import replace

from podium.callers import Key
from podium.cli.clusters import plan_here
from podium.cli.control import author
from podium.cli.endpoints import check_endpoint
from podium.cluster import deploying
from podium.cluster.api import Cluster
from podium.cluster.contenders import COMPONENT, contender_objects
from podium.cluster.gateway import COMPONENT as GATEWAY
from podium.cluster.plan import MANAGER, ClusterPlan, Object
from podium.errors import ClusterError, NotRunning
from podium.node.contenders import Contract, candidate, check_fit
from podium.project import Project
from podium.records import Contender, Policy
from podium.registry.folder import FolderRegistry

LEAVE_SECONDS = 2.0
"""From a revision that does not name a contender to the end of its pods: gateways follow in less."""

STORE = ("python3", "-P", "-m", "podium", "run", "store")


def ready_gateway(cluster: Cluster, plan: ClusterPlan) -> str | None:
    """A pod through which the policy store can be reached; None where none is ready."""
    for pod in cluster.listed("Pod", plan.namespace, plan.labels(GATEWAY)):
        conditions = (pod.get("status") or {}).get("conditions") or ()
        if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            return str(pod["metadata"]["name"])
    return None


def kept(cluster: Cluster, plan: ClusterPlan, gateway: str) -> list[Policy]:
    """All revisions of the policy, the oldest first."""
    said = cluster.run(gateway, plan.namespace, [*STORE, "history"])
    return msgspec.json.decode(said, type=list[Policy])


class ClusterControl:
    """As `podium.cli.control.Control`, for an endpoint that `podium deploy` runs. Its methods block."""

    def __init__(self, project: Project, endpoint: str | None, context: str | None) -> None:
        self.project = project
        check_endpoint(endpoint, project.name)
        self._plan: ClusterPlan = plan_here(project)
        self._cluster = Cluster(context)

    async def __aenter__(self) -> ClusterControl:
        try:
            self._gateway = self._needed_gateway()
        except BaseException:
            self._cluster.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.close()

    def _needed_gateway(self) -> str:
        if (found := ready_gateway(self._cluster, self._plan)) is not None:
            return found
        raise NotRunning(
            f"no gateway of {self.project.name!r} is ready in namespace {self._plan.namespace} of "
            f"{self._cluster.name}; `podium deploy` brings it up"
        )

    async def live(self) -> Policy:
        """The newest revision."""
        found = await self.history()
        if not found:
            raise NotRunning(f"{self.project.name!r} has no policy yet; ask again in a moment")
        return found[-1]

    async def history(self) -> list[Policy]:
        """All revisions, the oldest first."""
        return kept(self._cluster, self._plan, self._gateway)

    async def revision(self, number: int) -> Policy | None:
        return next((each for each in await self.history() if each.revision == number), None)

    async def change(self, live: Policy, changed: Policy, *, reason: str) -> Policy:
        """Make the next revision: bring up who is new, keep it, then remove who has left.

        Raises as `Control.change`, and ClusterError where a contender does not come up: its objects are
        removed again, and nothing has changed.
        """
        there = {contender.name for contender in live.contenders}
        new = [contender for contender in changed.scoring if contender.name not in there]
        self._check_fit(changed, new)
        signed = replace(changed, author=author(), reason=reason, changed=time.time_ns() // 1000)
        self._bring_up(new)
        self._store("write", msgspec.json.encode(signed).decode())
        click.echo(f"revision {signed.revision} is kept; gateways follow at once")
        await self._let_go(signed)
        return signed

    async def keys(self) -> list[Key]:
        """All keys of callers, the oldest first."""
        said = self._store("keys")
        return msgspec.json.decode(said, type=list[Key])

    async def keep_key(self, key: Key) -> str:
        """Keep a key, or that it is revoked; returns what is to be said of who knows it."""
        self._store("keep-key", msgspec.json.encode(key).decode())
        return "gateways follow at once"

    def _store(self, *words: str) -> str:
        return self._cluster.run(self._gateway, self._plan.namespace, [*STORE, *words])

    def _check_fit(self, changed: Policy, new: Sequence[Contender]) -> None:
        registry = FolderRegistry(self.project.registry_dir)
        coming = [candidate(registry, c.model, c.version, c.role) for c in new]
        contract = Contract(inputs=self._plan.run.inputs, outputs=self._plan.run.outputs)
        check_fit(changed, contract, coming)

    def _bring_up(self, contenders: Sequence[Contender]) -> None:
        """Their pods are ready when each model has given its sample answers and takes requests."""
        objects = [each for c in contenders for each in contender_objects(self._plan, c)]
        if not objects:
            return
        namespace = self._plan.namespace
        deploying.preview(self._cluster, objects, namespace)
        made = [each for each in objects if self._read(each) is None]
        try:
            for each in objects:
                self._cluster.apply(each)
            deploying.wait(self._cluster, objects, namespace, click.echo)
        except ClusterError as error:
            deploying.remove(self._cluster, made, namespace, click.echo)
            raise ClusterError(f"nothing has changed: {error}") from None

    def _read(self, each: Object) -> Object | None:
        return self._cluster.read(each["kind"], each["metadata"]["name"], self._plan.namespace)

    async def _let_go(self, policy: Policy) -> None:
        """Remove the pods of who is not named any more; they finish what they have in hand."""
        plan = replaced(self._plan, run=replace(self._plan.run, policy=policy))
        wanted = {plan.contender_name(contender) for contender in policy.contenders}
        mine = {**plan.labels(COMPONENT), "app.kubernetes.io/managed-by": MANAGER}
        left = [
            {**each, "kind": kind}
            for kind in ("ScaledObject", "HorizontalPodAutoscaler", "Deployment")
            for each in self._cluster.listed(kind, plan.namespace, mine)
            if each["metadata"]["name"] not in wanted
        ]
        if left:
            await asyncio.sleep(LEAVE_SECONDS)
            deploying.remove(self._cluster, left, plan.namespace, click.echo)
