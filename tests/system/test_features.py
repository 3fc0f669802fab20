"""Features looked up by a real gateway: in tables, in Redis, at a service, and by a function."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import redis as client
from arro3.core import Table
from bench.ports import free_port
from deltalake import write_deltalake
from tests.system import customers
from tests.system.kept import archive_of
from tests.system.running import PATIENCE, Node, podium, until

from podium.cli.status import FeaturesStatus

TOML = """\
[endpoint]
name = "diabetes"
deadline = "5s"

[endpoint.inputs]
customer = "string"
bmi = "float"

[endpoint.outputs]
progression = "float"

[features]
{source}
budget = "1s"

[features.fields]
income = {{ type = "float", default = -1.0 }}
segment = {{ type = "string", default = "unknown" }}

[models.first]
module = "models/model.py"
role = "champion"

[models.second]
module = "models/model.py"
role = "challenger"

[decoy]
enabled = true
"""

MODEL = """\
import numpy as np

import podium


class Model(podium.Model):
    inputs = {"bmi": "float", "income": "float", "segment": "string"}
    output = "progression"

    def predict(self, columns):
        known = np.array([len(segment) for segment in columns["segment"]])
        return {"progression": columns["bmi"] + 10 * columns["income"] + 1000 * known}
"""

FUNCTION = """\
import json
import os
import time
from pathlib import Path

FILE = Path(__file__).with_name("customers.json")


def features(columns):
    known = json.loads(FILE.read_text())
    if not known:
        time.sleep(60)
    rows = [known.get(name, {}) for name in columns["customer"]]
    return {
        "income": [row.get("income", float("nan")) for row in rows],
        "segment": [row.get("segment", "unknown") for row in rows],
    }
"""
Rows = Mapping[str, tuple[float, str]]
BEFORE: Rows = {"ann": (1.5, "gold"), "bob": (2.5, "tin")}
AFTER: Rows = {"ann": (7.5, "silver"), "bob": (8.5, "copper")}


@dataclass
class Known:
    """A source that knows customers: what the project says of it, how it learns others, how it goes away."""

    source: str
    learn: Callable[[Rows], None]
    away: Callable[[], None]
    why: str = "failed"


def table(rows: Rows) -> duckdb.DuckDBPyRelation:
    values = ", ".join(str((name, *row)) for name, row in rows.items())
    return duckdb.sql(
        "SELECT customer, income::DOUBLE AS income, segment "
        f"FROM (VALUES {values}) t(customer, income, segment)"
    )


def in_a_delta_table(folder: Path) -> Iterator[Known]:
    def learn(rows: Rows) -> None:
        write_deltalake(folder / "customers", Table.from_arrow(table(rows)), mode="overwrite")

    source = 'table = "customers"\nkey = "customer"\nrefresh = "1s"'
    yield Known(source, learn, lambda: shutil.rmtree(folder / "customers"), "")


def in_a_parquet_file(folder: Path) -> Iterator[Known]:
    file = folder / "customers.parquet"

    def learn(rows: Rows) -> None:
        table(rows).write_parquet(str(file.with_suffix(".new")))
        file.with_suffix(".new").replace(file)

    yield Known('table = "customers.parquet"\nkey = "customer"\nrefresh = "1s"', learn, file.unlink, "")


def in_redis(folder: Path) -> Iterator[Known]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed (Debian's package redis-server)")
    port = free_port()
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    again = client.retry.Retry(client.backoff.ConstantBackoff(0.05), 200)
    redis = client.Redis(port=port, retry=again)

    def learn(rows: Rows) -> None:
        for name, (income, segment) in rows.items():
            redis.hset(f"customer:{name}", mapping={"income": income, "segment": segment})

    source = f'redis = "redis://127.0.0.1:{port}"\nkey = "customer"\nname = "customer:{{key}}"'
    try:
        redis.ping()
        yield Known(source, learn, lambda: process.send_signal(signal.SIGSTOP), "late")
    finally:
        redis.close()
        process.kill()
        process.wait(10)


def at_a_service(folder: Path) -> Iterator[Known]:
    port, file = free_port(), folder / "customers.json"
    process = subprocess.Popen([sys.executable, customers.__file__, str(port), str(file)])

    def learn(rows: Rows) -> None:
        file.write_text(as_json(rows))

    try:
        yield Known(f'url = "http://127.0.0.1:{port}/customers"\nkey = "customer"', learn, process.kill)
    finally:
        process.kill()
        process.wait(10)


def by_a_function(folder: Path) -> Iterator[Known]:
    (folder / "features.py").write_text(FUNCTION)
    file = folder / "customers.json"

    def learn(rows: Rows) -> None:
        file.with_suffix(".new").write_text(as_json(rows))
        file.with_suffix(".new").replace(file)

    yield Known('module = "features.py"', learn, lambda: learn({}), "late")


def as_json(rows: Rows) -> str:
    return json.dumps(
        {name: {"income": income, "segment": segment} for name, (income, segment) in rows.items()}
    )


@pytest.fixture(params=[in_a_delta_table, in_a_parquet_file, in_redis, at_a_service, by_a_function])
def known(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Known]:
    (tmp_path / "diabetes" / "models").mkdir(parents=True)
    source = request.param(tmp_path / "diabetes")
    found = next(source)
    found.learn(BEFORE)
    try:
        yield found
    finally:
        next(source, None)


@pytest.fixture
def node(known: Known, tmp_path: Path) -> Iterator[Node]:
    folder = tmp_path / "diabetes"
    (folder / "podium.toml").write_text(TOML.format(source=known.source))
    (folder / "models" / "model.py").write_text(MODEL)
    trust = {"PODIUM_TRUST": str(folder / "trust")}
    podium(folder, "train", env=trust)
    node = Node(folder, env=trust)
    try:
        yield node.start()
    finally:
        node.end()


def progression(node: Node, customer: str, bmi: float = 1.0) -> float:
    answer = node.score(f"customer={customer}&bmi={bmi}")
    return float(answer["answer"]["progression"])


def counted(node: Node) -> FeaturesStatus:
    found = node.status().features
    assert found is not None
    return found


def fetched(node: Node, path: str) -> Any:
    with urllib.request.urlopen(f"{node.url}{path}", timeout=PATIENCE) as answer:
        return json.loads(answer.read())


def goes_on_without_its_source(known: Known, node: Node) -> None:
    before = counted(node)
    if not known.why:  # a table is in memory
        until(lambda: counted(node).stale)
        assert progression(node, "ann") == 1.0 + 75.0 + 6000.0
        assert "THE TABLE OF FEATURES CANNOT BE READ" in podium(node.folder, "status").stdout
        return
    assert progression(node, "ann") == 1.0 - 10.0 + 7000.0
    after = counted(node)
    assert (after.rows, after.defaulted) == (before.rows + 1, before.defaulted + 1)
    assert getattr(after, known.why) == 1
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=PATIENCE) as answer:
        shown = answer.read().decode()
    assert f'podium_features_defaulted_total{{endpoint="diabetes",reason="{known.why}"}} 1.0' in shown
    assert node.process("gateway 1").restarts == 0


def test_contenders_decoy_and_replay_see_what_a_request_had_and_it_goes_on_without_the_source(
    known: Known, node: Node
) -> None:
    assert progression(node, "ann") == 1.0 + 15.0 + 4000.0
    assert progression(node, "bob") == 1.0 + 25.0 + 3000.0
    assert progression(node, "nobody") == 1.0 - 10.0 + 7000.0
    assert (counted(node).rows, counted(node).defaulted, counted(node).missing) == (3, 1, 1)

    known.learn(AFTER)
    until(lambda: progression(node, "ann") == 1.0 + 75.0 + 6000.0)
    archive = archive_of(node)
    inputs = "id, in_customer, in_bmi, in_income, in_segment"
    requests = archive.rows(f"select {inputs} from requests order by id")
    assert [(row[1], *row[3:]) for row in requests[:3]] == [
        ("ann", 1.5, "gold"),
        ("bob", 2.5, "tin"),
        ("nobody", -1.0, "unknown"),
    ]
    assert requests[-1][3:] == (7.5, "silver")
    assert archive.rows(f"select {inputs} from decoy order by id") == requests
    expected = [(id, bmi + 10 * income + 1000 * len(segment)) for id, _, bmi, income, segment in requests]
    for model in ("first", "second"):
        scores = f"select id, out_progression from scores where model = '{model}' order by id"
        assert archive.rows(scores) == expected

    known.away()
    podium(
        node.folder,
        "replay",
        "diabetes",
        "second",
        "--since",
        "1h",
        env={"PODIUM_TRUST": str(node.folder / "trust")},
    )
    replayed = "select id, out_progression from scores where model = 'second' and replayed order by id"
    assert archive_of(node).rows(replayed) == expected
    goes_on_without_its_source(known, node)


def test_junk_in_place_of_a_table_is_refused_and_clients_cannot_send_what_is_looked_up(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "diabetes"
    (folder / "models").mkdir(parents=True)
    known = next(in_a_parquet_file(folder))
    known.learn(BEFORE)
    (folder / "podium.toml").write_text(TOML.format(source=known.source))
    (folder / "models" / "model.py").write_text(MODEL)
    trust = {"PODIUM_TRUST": str(folder / "trust")}
    podium(folder, "train", env=trust)
    (folder / "customers.parquet").write_text("hello, this is no table")
    refused = podium(folder, "up", code=1, env=trust)
    assert "podium: podium.toml:13: features.table: it cannot be read: " in refused.stderr
    known.learn(BEFORE)
    node = Node(folder, env=trust)
    try:
        node.start()
        with pytest.raises(urllib.error.HTTPError) as refusal:
            node.score("customer=ann&bmi=1.0&income=9.0")
        problem = json.loads(refusal.value.read())
        refusal.value.close()
        assert (refusal.value.code, problem["path"]) == (422, "$.income")
        assert "'income' is not an input" in problem["detail"]
        assert "income" not in json.dumps(fetched(node, "/openapi.json"))
        described = fetched(node, "/v2/models/diabetes")
        assert [tensor["name"] for tensor in described["inputs"]] == ["customer", "bmi"]
    finally:
        node.end()
