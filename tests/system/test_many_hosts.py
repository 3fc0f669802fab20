"""One host of each kind is cut off, becomes slow, is killed: what clients saw, and what the archive holds.

One endpoint for all tests, and one client that never stops; the last test looks at all that it was answered.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.system.balanced import Met, summary
from tests.system.hosts import Network, NoHosts
from tests.system.kept import Archive
from tests.system.load import BROKEN, HUNG
from tests.system.running import edit, until
from tests.system.spread import Client, Spread

pytestmark = [pytest.mark.xdist_group("hosts"), pytest.mark.timeout(180)]

AWAY = 503
"""What a gateway says while it looks for another broker."""

OF_EACH_KIND = ("nats1", "gateway1", "linear1", "archiver")
SETTLE_SECONDS = 40.0


@contextmanager
def possible() -> Iterator[None]:
    try:
        yield
    except NoHosts as error:
        pytest.skip(f"hosts cannot be made here: {error}")


def test_nothing_is_left_of_hosts_whose_test_failed(tmp_path: Path) -> None:
    network = Network()
    with possible(), suppress(ZeroDivisionError), network:
        host = network.host("a")
        host.slow(delay=0.01)
        sleeping = host.run(("sleep", "600"), tmp_path / "log")
        assert network.namespaces <= set(os.listdir("/run/netns"))
        raise ZeroDivisionError
    assert sleeping.poll() is not None
    assert not network.namespaces & set(os.listdir("/run/netns"))


@pytest.fixture(scope="module")
def spread(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spread]:
    folder = tmp_path_factory.mktemp("hosts")
    project = shutil.copytree(template, folder / "diabetes", symlinks=True)
    edit(project, model='timeout = "2s"', deadline="300ms")
    file = project / "podium.toml"
    file.write_text(file.read_text().replace("enabled = true", "enabled = false"))  # a decoy has no host here
    with possible(), Spread(project, folder / "hosts") as spread:
        yield spread


@pytest.fixture(scope="module")
def client(spread: Spread) -> Iterator[Client]:
    with spread.client("client") as client:
        yield client


def statuses(met: list[Met]) -> set[int | str]:
    return {each.what for each in met}


def places(met: list[Met]) -> set[str]:
    """The gateways at which a request was not answered."""
    return {each.gateway for each in met if each.what != 200}


def cut(spread: Spread, client: Client, *names: str) -> list[Met]:
    """What clients met from the cut until contenders answer all again; then the cable is plugged in again."""
    began = time.monotonic()
    for name in names:
        spread.cut(name)
    client.until_steady(since=began)
    met = client.since(began)
    for name in names:
        spread.restore(name)
    whole_again(spread, client, *names)
    return met


def killed(spread: Spread, client: Client, name: str) -> list[Met]:
    began = time.monotonic()
    spread.kill(name)
    client.until_steady(since=began)
    met = client.since(began)
    spread.start(name)
    whole_again(spread, client, name)
    return met


def slowed(spread: Spread, client: Client, name: str) -> list[Met]:
    began = time.monotonic()
    spread.slow(name, delay=0.01, loss=0.01)
    client.until_steady(since=began)
    met = client.since(began)
    spread.restore(name)
    whole_again(spread, client, name)
    return met


def whole_again(spread: Spread, client: Client, *names: str) -> None:
    back = time.monotonic()
    for name in names:
        spread.until_ready(name)
    client.until_steady(since=back)


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_a_slow_host_fails_no_request(spread: Spread, client: Client, name: str) -> None:
    met = slowed(spread, client, name)
    assert statuses(met) == {200}, summary(met)


def test_a_broker_that_is_cut_off_is_left_for_another_one(spread: Spread, client: Client) -> None:
    met = cut(spread, client, "nats1")
    assert statuses(met) <= {200, AWAY}, summary(met)
    assert places(met) <= {spread.place("gateway1")}, "the other gateway has another broker"


def test_of_a_gateway_that_is_cut_off_only_its_own_requests_hang(spread: Spread, client: Client) -> None:
    met = cut(spread, client, "gateway1")
    assert statuses(met) <= {200, HUNG, BROKEN}, summary(met)
    assert places(met) == {spread.place("gateway1")}


def test_for_a_worker_that_is_cut_off_another_contender_answers(spread: Spread, client: Client) -> None:
    met = cut(spread, client, "linear1")
    assert statuses(met) == {200}, summary(met)
    assert {"champion", "challenger"} <= {each.rule for each in met}, "the other champion's worker goes on"


def test_an_archiver_that_is_cut_off_is_not_noticed(spread: Spread, client: Client) -> None:
    met = cut(spread, client, "archiver")
    assert statuses(met) == {200}, summary(met)


def test_a_broker_that_is_killed_is_left_for_another_one(spread: Spread, client: Client) -> None:
    met = killed(spread, client, "nats2")
    assert statuses(met) <= {200, AWAY}, summary(met)


def test_of_a_gateway_that_is_killed_only_what_was_in_flight_breaks(spread: Spread, client: Client) -> None:
    met = killed(spread, client, "gateway2")
    assert statuses(met) <= {200, BROKEN}, summary(met)
    assert places(met) <= {spread.place("gateway2")}


def test_a_worker_that_is_killed_fails_no_request(spread: Spread, client: Client) -> None:
    met = killed(spread, client, "linear2")
    assert statuses(met) == {200}, summary(met)


def test_an_archiver_that_is_killed_is_not_noticed(spread: Spread, client: Client) -> None:
    met = killed(spread, client, "archiver")
    assert statuses(met) == {200}, summary(met)


def test_answers_continue_with_one_host_of_each_kind_gone(spread: Spread, client: Client) -> None:
    names = ("nats3", "gateway1", "linear1", "forest1", "archiver")
    met = cut(spread, client, *names)
    assert statuses(met) <= {200, AWAY, HUNG, BROKEN}, summary(met)


def test_answers_continue_with_one_of_three_brokers_left(spread: Spread, client: Client) -> None:
    met = cut(spread, client, "nats1", "nats2")
    assert statuses(met) <= {200, AWAY}, summary(met)


def test_in_the_end_every_answer_is_archived_once(spread: Spread, client: Client) -> None:
    answered = {each.id for each in client.met if each.what == 200}
    assert answered

    def missing() -> set[str]:
        return answered - Archive(spread).ids("answers")

    until(lambda: not missing(), seconds=SETTLE_SECONDS, what=lambda: sorted(missing())[:20])
    archive = Archive(spread)
    assert archive.ids("answers") <= archive.ids("requests")
    for table in ("answers", "requests"):
        assert not archive.doubled(table)
    assert not archive.doubled("scores", "model")
    assert spread.unkept == 0
