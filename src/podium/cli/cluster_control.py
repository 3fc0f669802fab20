"""The policy of an endpoint on a cluster, read and changed through one of its gateways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType

import click
import msgspec
from msgspec.structs import replace

from podium.callers import Key
from podium.cli.cluster_pods import RUN, gateway_to_ask, gateways, keep, kept, name_of, reports
from podium.cli.clusters import plan_here
from podium.cli.control import FOLLOW_SECONDS, author, tell_followed
from podium.cli.endpoints import check_endpoint
from podium.cli.run_report import PodReport
from podium.cluster import deploying
from podium.cluster.api import Cluster
from podium.cluster.contenders import KINDS, contender_objects
from podium.cluster.plan import ClusterPlan, Object
from podium.errors import ClusterError, NotRunning
from podium.node.contenders import Contract, candidate, check_fit
from podium.project import Project
from podium.records import Contender, Policy
from podium.registry.folder import FolderRegistry

LEAVE_SECONDS = 2.0
"""From the moment when no gateway names a contender any more to the end of its pods: for what is in hand."""


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
        if (found := gateway_to_ask(self._cluster, self._plan)) is not None:
            return found
        raise NotRunning(
            f"no gateway of {self.project.name!r} runs in namespace {self._plan.namespace} of "
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
        """Make the next revision: bring up who is new, keep it, wait until all gateways follow, then remove
        who has left.

        Raises as `Control.change`, and ClusterError where a contender does not come up or somebody else was
        faster: what was made is removed again, and nothing has changed.
        """
        new = _missing(changed.contenders, live.contenders)
        self._check_fit(changed, [contender for contender in new if contender in changed.scoring])
        signed = replace(changed, author=author(), reason=reason, changed=time.time_ns() // 1000)
        made = self._bring_up(new)
        began = time.monotonic()
        self._keep(signed, made)
        followed = self._followed(signed.revision, began)
        await self._let_go(_missing(live.contenders, signed.contenders), followed=followed)
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
        return self._cluster.run(self._gateway, self._plan.namespace, [*RUN, "store", *words])

    def _check_fit(self, changed: Policy, new: Sequence[Contender]) -> None:
        registry = FolderRegistry(self.project.registry_dir)
        coming = [candidate(registry, c.model, c.version, c.role) for c in new]
        contract = Contract(inputs=self._plan.run.inputs, outputs=self._plan.run.outputs)
        check_fit(changed, contract, coming)

    def _bring_up(self, contenders: Sequence[Contender]) -> list[Object]:
        """Their pods are ready when each model has given its sample answers and takes requests.

        Returns the objects that were not there before.
        """
        objects = [each for c in contenders for each in contender_objects(self._plan, c)]
        if not objects:
            return []
        namespace = self._plan.namespace
        deploying.preview(self._cluster, objects, namespace)
        made = [each for each in objects if self._read(each["kind"], each["metadata"]["name"]) is None]
        try:
            for each in objects:
                self._cluster.apply(each)
            deploying.wait(self._cluster, objects, namespace, click.echo)
        except ClusterError as error:
            deploying.remove(self._cluster, made, namespace, click.echo)
            raise ClusterError(f"nothing has changed: {error}") from None
        return made

    def _keep(self, signed: Policy, made: Sequence[Object]) -> None:
        try:
            keep(self._cluster, self._plan, self._gateway, signed)
        except ClusterError as error:
            if signed in kept(self._cluster, self._plan, self._gateway):
                return  # and only the word of it was lost
            deploying.remove(self._cluster, made, self._plan.namespace, click.echo)
            raise ClusterError(f"nothing has changed: {error}") from None

    def _read(self, kind: str, name: str) -> Object | None:
        return self._cluster.read(kind, name, self._plan.namespace)

    def _followed(self, revision: int, began: float) -> bool:
        """Say when every gateway uses a revision, or which do not; one that does not say counts as one."""
        pods = [name_of(pod) for pod in gateways(self._cluster, self._plan)]
        said = reports(self._cluster, self._plan, pods, revision=revision, seconds=FOLLOW_SECONDS)
        in_use = {}
        for pod, found in said.items():
            if isinstance(found, PodReport):
                in_use[pod] = found.revision
            else:
                in_use[f"{pod} ({found})"] = 0
        return tell_followed(revision, in_use, time.monotonic() - began)

    async def _let_go(self, contenders: Sequence[Contender], *, followed: bool) -> None:
        """Remove the pods of who is not named any more; they finish what they have in hand."""
        if not contenders:
            return
        if not followed:
            names = ", ".join(contender.name for contender in contenders)
            click.echo(
                f"{names}: pods stay, since a gateway may still name them; `podium deploy` removes them"
            )
            return
        await asyncio.sleep(LEAVE_SECONDS)
        gone = [self._plan.contender_name(contender) for contender in contenders]
        there = [(kind, self._read(kind, name)) for kind in KINDS for name in gone]
        left = [{**found, "kind": kind} for kind, found in there if found is not None]
        deploying.remove(self._cluster, left, self._plan.namespace, click.echo)


def _missing(contenders: Sequence[Contender], there: Sequence[Contender]) -> list[Contender]:
    names = {contender.name for contender in there}
    return [contender for contender in contenders if contender.name not in names]
