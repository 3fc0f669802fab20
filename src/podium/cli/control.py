"""What all commands share that look at or change the policy of a running node."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

import click
import msgspec
from msgspec.structs import replace

from podium import project as projects
from podium import run as runs
from podium.callers import Key
from podium.cli.endpoints import check_endpoint
from podium.counters import read, total
from podium.errors import NodeError, NotRunning, PolicyError, RevisionTaken, StreamAway
from podium.gateway.probes import Probes
from podium.node.contenders import Contract, candidate, check_fit
from podium.node.process import log_name
from podium.node.state import RUN, NodeState, ProcessState, read_state, running
from podium.project import Project
from podium.records import Contender, Policy
from podium.registry.folder import FolderRegistry
from podium.rendezvous.changes import differences
from podium.run import Run
from podium.streams.base import Stream
from podium.streams.connect import connect, policies
from podium.streams.policies import PolicyStore

STAND_BY = "standby"
"""The subject on which a supervisor hears of versions that should run though no policy names them yet."""

STAND_DOWN = "standdown"
"""The subject on which it hears that they need not: a later attempt starts processes of its own."""

CALL_SECONDS = 1.0
POLL_SECONDS = 0.005
WARM_SECONDS = 120.0
FOLLOW_SECONDS = 5.0
LOWEST_PRIORITY = 19

Change = Callable[[Policy], Policy]

context_option = click.option("--context", help="The endpoint on this cluster: a context of the kubeconfig.")


class Steering(Protocol):
    """A running endpoint, wherever it runs: what commands do to its policy."""

    project: Project

    async def live(self) -> Policy: ...

    async def history(self) -> list[Policy]: ...

    async def revision(self, number: int) -> Policy | None: ...

    async def change(self, live: Policy, changed: Policy, *, reason: str) -> Policy: ...

    async def keys(self) -> list[Key]: ...

    async def keep_key(self, key: Key) -> str: ...


class Control:
    """The running node of the project here, and the means to change its policy. `async with` connects."""

    def __init__(self, project: Project, endpoint: str | None = None) -> None:
        self.project = project
        self.state: NodeState = running(project.run_dir)
        try:
            self.run: Run = runs.load(project.run_dir / RUN)
        except (OSError, msgspec.MsgspecError) as error:
            raise NotRunning(f"{RUN} cannot be read ({error}); `podium down`, then `podium up`") from None
        check_endpoint(endpoint, self.run.endpoint)

    async def __aenter__(self) -> Control:
        async with AsyncExitStack() as stack:
            stack.push(self._explain)
            self.store: PolicyStore = await stack.enter_async_context(
                policies(self.run.stream, self.run.endpoint)
            )
            self._stream: Stream = await stack.enter_async_context(
                connect(self.run.stream, self.run.endpoint)
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def _explain(self, kind: object, error: BaseException | None, trace: object) -> None:
        """A stream that is away because the node has stopped: NotRunning says so."""
        if isinstance(error, StreamAway):
            running(self.project.run_dir)

    async def live(self) -> Policy:
        """The newest revision."""
        found = await self.store.read()
        if found is None:
            raise NotRunning(f"{self.run.endpoint!r} has no policy yet; ask again in a moment")
        return found

    async def history(self) -> list[Policy]:
        """All revisions, the oldest first."""
        newest = (await self.live()).revision
        found = [await self.store.read(revision) for revision in range(1, newest + 1)]
        return [policy for policy in found if policy is not None]

    async def revision(self, number: int) -> Policy | None:
        return await self.store.read(number)

    async def change(self, live: Policy, changed: Policy, *, reason: str) -> Policy:
        """Make the next revision: warm who is new, keep it, wait until all gateways follow.

        Raises SchemaMismatch or ProjectError for what does not fit the endpoint, UnknownVersion,
        PolicyError with the difference where somebody else was faster, NodeError where a contender does
        not come up; then nothing has changed.
        """
        there = {contender.name for contender in live.contenders}
        new = [contender for contender in changed.scoring if contender.name not in there]
        self._check_fit(changed, new)
        signed = replace(changed, author=author(), reason=reason, changed=time.time_ns() // 1000)
        async with self._warmed(new):
            began = time.monotonic()
            try:
                await self.store.write(signed)
            except RevisionTaken:
                raise PolicyError(_late(live, await self.live())) from None
            await self._followed(signed.revision, began)
        return signed

    def _check_fit(self, changed: Policy, new: Sequence[Contender]) -> None:
        """Whoever is live fits; who comes, and another default answer, must fit what clients were told."""
        registry = FolderRegistry(self.project.registry_dir)
        coming = [candidate(registry, c.model, c.version, c.role) for c in new]
        check_fit(changed, Contract(inputs=self.run.inputs, outputs=self.run.outputs), coming)

    async def keys(self) -> list[Key]:
        """All keys of callers, the oldest first."""
        return await self.store.keys()

    async def keep_key(self, key: Key) -> str:
        """Keep a key, or that it is revoked; returns what is to be said of who knows it."""
        began = time.monotonic()
        await self.store.keep_key(key)
        kept = await self.store.keys()
        news = len(kept) + sum(each.revoked is not None for each in kept)
        found = await self._until_all("keys_followed", news)
        if behind := _behind(found, news):
            return f"not known yet to {behind}"
        return f"known to {_all(found, time.monotonic() - began)}"

    # --- who joins is warm first --------------------------------------------------------------

    @asynccontextmanager
    async def _warmed(self, contenders: Sequence[Contender]) -> AsyncIterator[None]:
        """Inside, these contenders run and have answered a probe."""
        if not contenders:
            yield
            return
        calling = asyncio.create_task(self._call(contenders), name="stand by")
        try:
            click.echo(f"warming {', '.join(contender.name for contender in contenders)} …")
            await self._answering(contenders)
            yield
        except BaseException:
            calling.cancel()  # it calls nobody after they are told to stand down
            with suppress(StreamAway):
                self._tell(STAND_DOWN, contenders)
            raise
        finally:
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)

    async def _call(self, contenders: Sequence[Contender]) -> None:
        while True:
            self._tell(STAND_BY, contenders)
            await asyncio.sleep(CALL_SECONDS)

    def _tell(self, subject: str, contenders: Sequence[Contender]) -> None:
        for contender in contenders:
            self._stream.publish(subject, msgspec.msgpack.encode(contender))

    async def _answering(self, contenders: Sequence[Contender]) -> None:
        give_up = time.monotonic() + WARM_SECONDS
        async with Probes(self.run.policy, self._stream, contenders=contenders) as probes:
            while silent := probes.silent:
                for contender in silent:
                    self._check_alive(contender)
                if time.monotonic() > give_up:
                    names = ", ".join(contender.name for contender in silent)
                    raise NodeError(f"{names}: no answer within {WARM_SECONDS:g} s; nothing has changed")
                await asyncio.sleep(POLL_SECONDS)

    def _check_alive(self, contender: Contender) -> None:
        """Raise NodeError, with what its log says, where a contender's process does not come up.

        Raises NotRunning where the node has stopped meanwhile.
        """
        for process in running(self.project.run_dir).processes:
            failed = process.state in (ProcessState.CRASH_LOOPING, ProcessState.BACKING_OFF)
            if process.contender == contender.name and failed:
                log = self.project.logs_dir / log_name(process.name)
                said = last_message(log)
                raise NodeError(
                    f"{contender.name} does not come up, so nothing has changed: {said or process.reason} "
                    f"({log.relative_to(self.project.folder)})"
                )

    # --- in use -------------------------------------------------------------------------------

    async def _followed(self, revision: int, began: float) -> None:
        """Say when every gateway uses a revision, or which do not within FOLLOW_SECONDS."""
        found = await self._until_all("revision", revision)
        tell_followed(revision, found, time.monotonic() - began)

    async def _until_all(self, gauge: str, wanted: int) -> dict[str, int]:
        """Wait until each gateway's gauge says so much, FOLLOW_SECONDS at most; what they say then."""
        give_up = time.monotonic() + FOLLOW_SECONDS
        while (found := self._gateways(gauge)) and min(found.values()) < wanted:
            if time.monotonic() > give_up:
                break
            await asyncio.sleep(POLL_SECONDS)
        return found

    def _gateways(self, gauge: str) -> dict[str, int]:
        """A gauge of each running gateway, by its process's name."""
        state = read_state(self.project.run_dir) or self.state
        found = {}
        for process in state.processes:
            if process.name.startswith("gateway ") and process.state is ProcessState.RUNNING and process.pid:
                board = self.run.board_of(process.name, process.pid)
                found[process.name] = total(read(board), gauge)
        return found


def tell_followed(revision: int, gateways: Mapping[str, int], seconds: float) -> bool:
    """Say whether every gateway uses a revision, given the one that each uses; returns that."""
    if behind := _behind(gateways, revision):
        click.echo(f"revision {revision} is kept; not in use yet by {behind}", err=True)
        return False
    click.echo(f"revision {revision} is in use by {_all(gateways, seconds)}")
    return True


def _behind(gateways: Mapping[str, int], wanted: int) -> str:
    """Those that are not there yet, in words; empty where all are."""
    return ", ".join(name for name, at in gateways.items() if at < wanted)


def _all(gateways: Mapping[str, int], seconds: float) -> str:
    return f"{len(gateways)} gateway{'s' if len(gateways) != 1 else ''} after {seconds:.3f} s"


def _late(thought: Policy, newest: Policy) -> str:
    changes = "; ".join(differences(thought, newest)) or "the same contenders"
    return (
        f"{newest.author or 'somebody'} has made revision {newest.revision} meanwhile ({newest.reason}): "
        f"{changes}. Nothing was changed by you; look, and say it again"
    )


def give_way() -> None:
    """Take only the processor time that the request path leaves over."""
    os.nice(LOWEST_PRIORITY)


def project_here() -> Project:
    return projects.load(projects.find(Path.cwd()))


def with_control(
    endpoint: str | None, job: Callable[[Steering], Awaitable[None]], context: str | None = None
) -> None:
    """`context` is a cluster's; without, it is the node of this project."""
    project = project_here()

    async def connected() -> None:
        if context is not None:
            from podium.cli.cluster_control import ClusterControl  # an extra, and slow to import

            async with ClusterControl(project, endpoint, context) as there:
                await job(there)
            return
        async with Control(project, endpoint) as control:
            await job(control)

    asyncio.run(connected())


def author() -> str:
    """Who gives a command: user and machine."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a container whose user has no name
        return f"somebody@{socket.gethostname()}"


def lineup(policy: Policy) -> str:
    """Who is what, in a line."""
    return ", ".join(
        f"{contender.name} is {contender.role.value}"
        + (f" with a share of {contender.share * 100:g}%" if contender.share else "")
        if contender.version
        else "with a decoy"
        for contender in policy.contenders
    )


def last_message(log: Path) -> str:
    """The last thing that a process's log says: a message of ours, or the last line of a traceback."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    if not lines:
        return ""
    try:
        said = msgspec.json.decode(lines[-1], type=dict[str, str])
    except msgspec.MsgspecError:
        return lines[-1].strip().removeprefix("podium: ")
    return said.get("message", lines[-1])
