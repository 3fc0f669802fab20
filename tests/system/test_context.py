"""The commands with `--context`, against a stand-in for a cluster whose pods are real processes of Podium.

`test_kubernetes.py` does what a real API server is needed for.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from tests.kubernetes.standin import Place, StandIn
from tests.system.running import PODIUM, until
from tests.system.running import podium as command

from podium import __version__, cli
from podium import project as projects
from podium.cli.cluster_control import ClusterControl
from podium.cli.clusters import plan_here
from podium.cli.status import Status
from podium.errors import ClusterError, PodiumError
from podium.node.broker import Broker
from podium.records import Contender
from podium.registry.folder import FolderRegistry
from podium.rendezvous import changes

IMAGES = "registry.test/diabetes"
SETTINGS = f"""

[archive]
location = "file://ARCHIVE"

[kubernetes]
images = "{IMAGES}"
stream = "existing"
gateways = [2, 2]
workers = 1

[guards]
errors = 0.5
"""
DEPLOYMENTS = "deployments"


class There:
    """The project in a folder, and the cluster on which it runs."""

    def __init__(self, folder: Path, cluster: StandIn) -> None:
        self.folder = folder
        self.cluster = cluster
        self.env = {"KUBECONFIG": str(cluster.kubeconfig)}

    def podium(self, *words: str, code: int = 0) -> str:
        """What a command says, on both outputs, with `--context here`."""
        with chdir(self.folder):
            done = CliRunner(env=self.env).invoke(cli.podium, [*words, "--context", "here"])
        said = done.output
        if isinstance(done.exception, PodiumError):
            said += f"podium: {done.exception}"
        assert done.exit_code == code, said
        return said

    def status(self) -> Status:
        return msgspec.json.decode(self.podium("status", "--json"), type=Status)

    def get(self, pod: str, path: str) -> Any:
        url = f"http://127.0.0.1:{self.cluster.pods[pod].port}{path}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.load(reply)

    def score(self, pod: str) -> Any:
        return self.get(pod, "/score/diabetes?bmi=0.05")

    def gateways(self) -> list[str]:
        return sorted(name for name in self.cluster.pods if name.startswith("diabetes-gateway"))

    def champion(self) -> str:
        return next(c.model for c in self.status().contenders if c.role.value == "champion")


def policy_of_file(there: There) -> Sequence[Contender]:
    return plan_here(projects.load(there.folder)).run.policy.contenders


def images_of(project: Path) -> dict[str, dict[str, str]]:
    """What `podium build` would have put into the images."""
    registry = FolderRegistry(project / ".podium" / "registry")
    found: dict[str, dict[str, str]] = {f"{IMAGES}/gateway:{__version__}": {}}
    for model in ("linear", "forest"):
        for version in registry.versions(model):
            found[f"{IMAGES}/{model}:{version.short}"] = {
                "PODIUM_PACKAGE": str(version.path),
                "PODIUM_DIGEST": version.digest,
                "PODIUM_VERSION_NUMBER": str(version.number),
            }
    return found


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real NATS server."""
    folder = tmp_path_factory.mktemp("nats")
    found = Broker.choose(run_dir=folder / "run", store=folder / "store")
    process = subprocess.Popen(found.spec().argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield found.url
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="module")
def there(template: Path, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """An endpoint that was deployed; each test leaves it with linear as champion."""
    base = tmp_path_factory.mktemp("cluster")
    folder = shutil.copytree(template, base / "diabetes", symlinks=True)
    file = folder / "podium.toml"
    text = file.read_text().replace('[models.reference]\nmodule = "models/reference.py"\nrole = "canary"', "")
    text = text.replace(', "canary"]', "]").replace("enabled = true", "enabled = false")
    file.write_text(text + SETTINGS.replace("ARCHIVE", str(base / "archive")))
    with StandIn(base, images_of(folder)) as cluster:
        there = There(folder, cluster)
        refused = there.podium("deploy", code=1)
        assert "nothing was changed: namespace diabetes has no Secret diabetes-stream" in refused
        assert cluster.objects == {}
        secret = {"metadata": {"name": "diabetes-stream"}, "stringData": {"url": broker}}
        cluster.objects[Place("secrets", "diabetes", "diabetes-stream")] = secret
        said = there.podium("deploy")
        assert "diabetes runs in namespace diabetes of here" in said
        assert "[guards]: nobody watches them on a cluster" in said
        yield there


def test_status_shows_pods_as_processes_and_adds_up_what_all_gateways_counted(there: There) -> None:
    before = there.status().answered
    for pod in there.gateways():
        assert there.score(pod)["rule"] == "champion"
    until(lambda: there.status().archived >= before + 2, what=there.status)
    found = there.status()
    assert (found.endpoint, found.cluster, found.ready) == ("diabetes", "here", True)
    assert found.answered == before + 2
    assert found.in_use == found.revision
    assert [(c.state, c.scored >= 2) for c in found.contenders] == [("ready", True)] * 2
    names = [re.sub(r" diabetes-\S+$", "", p.name) for p in found.processes]
    assert names == ["gateway", "gateway", "worker forest", "worker linear", "archiver"]
    text = there.podium("status")
    assert "diabetes at http://diabetes-gateway.diabetes: ready" in text


def test_promote_waits_for_every_gateway_and_rollback_goes_back(there: There) -> None:
    assert re.search(r"is in use by 2 gateways after \d", there.podium("promote", "forest"))
    assert [there.score(pod)["model"] for pod in there.gateways()] == ["forest", "forest"]
    assert "as revision" in there.podium("rollback")
    assert there.champion() == "linear"
    assert there.podium("history").count("linear@") >= 2


def test_a_gateway_that_does_not_follow_is_named(there: There) -> None:
    stopped = there.cluster.pods[there.gateways()[0]]
    assert stopped.process
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        said = there.podium("promote", "forest")
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    assert f"is kept; not in use yet by {stopped.name}" in said
    there.podium("rollback")
    assert there.champion() == "linear"


def test_who_leaves_goes_with_its_deployment_and_joins_again(there: There) -> None:
    (name,) = [name for name in there.cluster.names(DEPLOYMENTS) if "forest" in name]
    assert f"Deployment {name}: removed" in there.podium("leave", "forest")
    assert name not in there.cluster.names(DEPLOYMENTS)
    assert f"Deployment {name}: 1 of 1 ready" in there.podium("join", "forest")
    assert name in there.cluster.names(DEPLOYMENTS)
    assert there.podium("plan").startswith("nothing to change")


def test_of_two_changes_the_second_leaves_nothing_behind(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", there.env["KUBECONFIG"])
    project = projects.load(there.folder)
    forest = next(c for c in policy_of_file(there) if c.model == "forest")

    async def late() -> None:
        async with ClusterControl(project, None, "here") as control:
            live = await control.live()
            await asyncio.to_thread(there.podium, "leave", "forest")
            gone = there.cluster.names(DEPLOYMENTS)
            stale = replace(changes.left(live, "forest"), revision=live.revision)
            with pytest.raises(ClusterError, match=r"nothing has changed: .*look, and say it again"):
                await control.change(stale, changes.joined(stale, forest), reason="too late")
            assert there.cluster.names(DEPLOYMENTS) == gone

    asyncio.run(late())
    there.podium("join", "forest")


def test_plan_shows_and_apply_makes_what_the_file_says(there: There) -> None:
    file = there.folder / "podium.toml"
    as_it_was = file.read_text()
    file.write_text(as_it_was.replace('deadline = "100ms"', 'deadline = "90ms"'))
    assert "deadline: 100ms → 90ms" in there.podium("plan")
    plan = json.loads(there.podium("plan", "--json"))
    assert plan["changes"] == ["~ deadline: 100ms → 90ms"]
    assert there.status().unapplied == ("~ deadline: 100ms → 90ms",)
    assert "is in use by 2 gateways" in there.podium("apply", "--yes")
    file.write_text(as_it_was)
    there.podium("rollback")
    assert there.podium("plan").startswith("nothing to change")


def test_an_image_that_cannot_be_pulled_lets_nobody_in_and_leaves_nothing(there: There) -> None:
    before = there.cluster.names(DEPLOYMENTS)
    revision = there.status().revision
    (forest,) = [name for name in there.cluster.images if "/forest:" in name]
    environment = there.cluster.images.pop(forest)
    try:
        there.podium("leave", "forest")
        said = there.podium("join", "forest", code=1)
    finally:
        there.cluster.images[forest] = environment
    assert "nothing has changed: Deployment diabetes-forest" in said
    assert "does not start" in said
    assert "ErrImagePull" in said
    assert there.status().revision == revision + 1
    assert [name for name in before if "forest" not in name] == there.cluster.names(DEPLOYMENTS)
    there.podium("join", "forest")


def test_logs_are_those_of_the_named_pods(there: There) -> None:
    until(there.cluster.pod("diabetes-archiver").log.read_text)
    lines = there.podium("logs", "archiver").splitlines()
    assert json.loads(lines[0])["process"] == "archiver"
    every = there.podium("logs", "--lines", "1")
    assert "gateway diabetes-gateway-" in every
    assert "there are gateway diabetes-gateway-" in there.podium("logs", "nobody", code=1)


def test_logs_that_are_followed_go_on_with_what_comes(there: There) -> None:
    pod = there.cluster.pod("diabetes-archiver")
    words = [*PODIUM, "logs", "archiver", "--follow", "--lines", "0", "--context", "here"]
    with subprocess.Popen(
        words, cwd=there.folder, env={**os.environ, **there.env}, stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout
        try:
            until(lambda: there.cluster.followers)
            with pod.log.open("a") as log:
                log.write("something new\n")
            assert "something new\n" in following.stdout
        finally:
            following.terminate()


def test_deploy_removes_a_contender_that_no_policy_names_unless_it_is_new(there: There) -> None:
    deployments = {p: o for p, o in there.cluster.objects.items() if p.plural == DEPLOYMENTS}
    (place, forest) = next((p, o) for p, o in deployments.items() if "forest" in p.name)
    old, new = (place._replace(name=f"diabetes-forest-{mark * 12}") for mark in "ab")
    for at, made in ((old, "2026-01-01T00:00:00Z"), (new, forest["metadata"]["creationTimestamp"])):
        metadata = {**forest["metadata"], "name": at.name, "creationTimestamp": made}
        there.cluster.objects[at] = {**forest, "metadata": metadata, "spec": {**forest["spec"]}}
    assert f"Deployment {old.name}: would be removed" in there.podium("deploy", "--dry-run")
    said = there.podium("deploy")
    assert f"Deployment {old.name}: removed" in said
    assert f"Deployment {new.name}: stays, since it is new and may be about to join" in said
    assert place.name in there.cluster.names(DEPLOYMENTS)
    there.cluster.delete(new)
    until(lambda: not any(name.startswith((old.name, new.name)) for name in there.cluster.pods))


def test_new_gateways_do_not_wait_for_a_broken_challenger(there: There) -> None:
    forest = there.cluster.pod("diabetes-forest")
    assert forest.process
    forest.process.send_signal(signal.SIGSTOP)
    before = {*there.gateways()}
    gateway = there.cluster.objects[Place(DEPLOYMENTS, "diabetes", "diabetes-gateway")]
    try:
        with there.cluster.lock:
            gateway["spec"] = msgspec.json.decode(msgspec.json.encode(gateway["spec"]))
            gateway["spec"]["template"]["metadata"]["annotations"]["rolled"] = "out"
        until(lambda: len({*there.gateways()} - before) == 2 and not {*there.gateways()} & before)
        version = forest.template["metadata"]["labels"]["podium/version"]
        with pytest.raises(urllib.error.HTTPError, match="503"):
            there.get(there.gateways()[0], f"/v2/models/diabetes/versions/forest@{version}/ready")
    finally:
        forest.process.send_signal(signal.SIGCONT)
    assert there.score(there.gateways()[0])["rule"] == "champion"


def test_what_cannot_be_is_refused_as_a_whole(there: There) -> None:
    file = there.folder / "podium.toml"
    as_it_was = file.read_text()
    more = 'scale = "keda"\nprometheus = "http://p"\nhost = "a.example"\nroute_class = "public"\n'
    file.write_text(
        as_it_was.replace("gateways =", f"{more}gateways =").replace("workers = 1", "workers = 3")
    )
    try:
        said = there.podium("deploy", code=1)
    finally:
        file.write_text(as_it_was)
    assert "nothing was changed: ScaledObject diabetes-" in said
    assert 'KEDA: install it, or say `scale = "cpu"`' in said
    assert 'the Gateway API: install it, or say `route = "ingress"`' in said


def test_a_cluster_that_cannot_be_reached_and_a_context_that_is_not_there_are_said(there: There) -> None:
    assert (
        command(there.folder, "status", "--context", "nowhere", env=there.env, code=1).stderr
        == "podium: the kubeconfig has no context 'nowhere'; there are here\n"
    )
    gone = json.loads(there.cluster.kubeconfig.read_text())
    gone["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    path = there.folder / "kubeconfig"
    path.write_text(json.dumps(gone))
    for words in (("status",), ("logs",), ("plan",), ("promote", "forest")):
        said = command(
            there.folder, *words, "--context", "here", env={"KUBECONFIG": str(path)}, code=1
        ).stderr
        assert "the API server cannot be reached" in said
        assert said.count("\n") == 1


def test_without_a_gateway_status_says_why_and_nothing_can_be_changed(there: There) -> None:
    image = f"{IMAGES}/gateway:{__version__}"
    environment = there.cluster.images.pop(image)
    try:
        for name in there.gateways():
            process = there.cluster.pods[name].process
            assert process
            process.kill()
        until(lambda: all(there.cluster.pods[name].process is None for name in there.gateways()))
        text = there.podium("status")
        refused = there.podium("promote", "forest", code=1)
    finally:
        there.cluster.images[image] = environment
    assert "not ready" in text
    assert "COUNTS ARE MISSING: no gateway runs that could be asked" in text
    assert f"gateway {there.gateways()[0]} does not start: ErrImagePull: failed to pull {image}" in text
    assert "no gateway of 'diabetes' runs in namespace diabetes of here; `podium deploy` brings" in refused
    until(lambda: all(there.cluster.pods[name].ready for name in there.gateways()))
