"""Callers' keys on a running node: every door asks for one, and a revoked one is out within a second."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.system.conftest import Up
from tests.system.kept import Archive
from tests.system.keys import made, requiring
from tests.system.load import Load
from tests.system.running import PATIENCE, Node, podium, until
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

import podium as public
from podium.errors import OverRate, UnknownCaller

TENSOR = {"inputs": [{"name": "bmi", "shape": [1], "datatype": "FP64", "data": [0.05]}]}
DOORS = {
    "/score/diabetes": {"bmi": 0.05},
    "/score/diabetes?bmi=0.05": None,
    "/v2/models/diabetes/infer": TENSOR,
    "/v2/models/diabetes/versions/linear/infer": TENSOR,
    "/outcome/diabetes": [{"id": "mine", "outcome": {"progression": 151}}],
    "/outcome/diabetes/mine": {"progression": 151},
}
TAKEN = (200, 202)
"""An outcome is taken unchecked where the archive is behind."""

OPEN = ("/live", "/ready", "/v2/health/ready", "/v2/models/diabetes", "/openapi.json", "/docs", "/metrics")


def asked(node: Node, path: str, content: object = None, **headers: str) -> int:
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(node.url + path, body, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def inferred(node: Node, token: str | None) -> str:
    """What a call over gRPC gets: the model's name, or the status."""
    bmi = InferInput("bmi", [1], "FP64").set_data_from_numpy(np.array([0.05]))
    headers = {"authorization": f"Bearer {token}"} if token else None
    with InferenceServerClient(node.status().grpc or "") as client:
        try:
            answer = client.infer("diabetes", [bmi], headers=headers)
        except InferenceServerException as error:
            return str(error.status())
        return str(answer.get_response().model_version).partition("@")[0]


def test_every_door_asks_for_a_key_and_the_archive_knows_whose_it_was(project: Path, up: Up) -> None:
    node = up(requiring(project), "--gateways", "2", "--grpc-port", "0")
    until(lambda: "X-API-Key: KEY" in node.output())
    token = made(project, "powerbi", "--owner", "ada@example.org", "--purpose", "the report")
    podium(project, "score", '{"bmi": 0.05}', code=1)
    podium(project, "score", '{"bmi": 0.05}', env={"PODIUM_KEY": token})
    asked(node, "/score/diabetes?bmi=0.05", **{"x-api-key": token, "podium-id": "mine"})
    for path, content in DOORS.items():
        assert asked(node, path, content) == 401, path
        assert asked(node, path, content, authorization="Bearer of-somebody-else") == 401, path
        assert asked(node, path, content, **{"x-api-key": token}) in TAKEN, path
        assert asked(node, path, content, authorization=f"Bearer {token}") in TAKEN, path
    assert asked(node, "/score/diabetes", [{"bmi": 0.05}] * 100_000) == 401, "also a body that takes a while"
    assert [asked(node, path) for path in OPEN] == [200] * len(OPEN)
    assert (inferred(node, None), inferred(node, token)) == (str(grpc.StatusCode.UNAUTHENTICATED), "linear")
    with public.Client(node.url, "diabetes", api_key=token) as client:
        assert client.score({"bmi": 0.05}).model == "linear"
    with public.Client(node.url, "diabetes") as client, pytest.raises(UnknownCaller, match="podium_…"):
        client.score({"bmi": 0.05})
    until(lambda: node.status().archived >= node.status().answered > 0, what=node.status)
    assert Archive(node).rows("select distinct caller from requests") == [("powerbi",)]
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=PATIENCE) as reply:
        metrics = reply.read().decode()
    assert re.search(r'^podium_caller_requests_total\{caller="powerbi",.*\} \d{2}\.0$', metrics, re.MULTILINE)
    assert token not in metrics + node.output() + node.log("gateway 1") + node.log("gateway 2")
    (listed,) = json.loads(podium(project, "key", "list", "--json").stdout)
    assert (listed["caller"], listed["owner"], listed["purpose"]) == (
        "powerbi",
        "ada@example.org",
        "the report",
    )


def test_a_revoked_key_is_out_within_a_second_under_load_and_stays_out(project: Path, up: Up) -> None:
    node = up(requiring(project), "--gateways", "2")
    token, other = made(project, "powerbi"), made(project, "excel")
    with Load(node.url, rate=200, headers={"x-api-key": token}) as load:
        until(lambda: load.counts[200] > 50)
        said = podium(project, "key", "revoke", "powerbi").stdout
        over = time.monotonic()
        until(lambda: len(load.since(over)) > 50)
    took = re.search(r"of powerbi is revoked, known to 2 gateways after ([\d.]+) s", said)
    assert took, said
    assert float(took[1]) < 1.0
    assert {seen.what for seen in load.since(over)} == {401}
    assert set(load.counts) == {200, 401}, load
    assert asked(node, "/score/diabetes?bmi=0.05", **{"x-api-key": other}) == 200
    node.until_back("broker", node.send("broker", signal.SIGKILL))
    node.until_back("gateway 1", node.send("gateway 1", signal.SIGKILL))
    until(lambda: asked(node, "/score/diabetes?bmi=0.05", **{"x-api-key": other}) == 200)
    for _ in range(10):  # both gateways take their turn
        assert asked(node, "/score/diabetes?bmi=0.05", **{"x-api-key": token}) == 401
    assert "is revoked already, by" in podium(project, "key", "revoke", token, code=1).stderr
    assert "'excel' has a key already" in podium(project, "key", "create", "excel", code=1).stderr


def test_a_caller_over_its_rate_waits_and_the_others_do_not(project: Path, up: Up) -> None:
    node = up(project)
    limited, free = made(project, "batch", "--rate", "3/h"), made(project, "free")
    with public.Client(node.url, "diabetes", api_key=limited) as client:
        for _ in range(3):
            client.score({"bmi": 0.05})
        with pytest.raises(OverRate, match="batch's key lets in 3/h") as refused:
            client.score({"bmi": 0.05})
    assert 1000 < refused.value.seconds <= 1200
    assert asked(node, "/score/diabetes?bmi=0.05", **{"x-api-key": free}) == 200
    assert asked(node, "/score/diabetes?bmi=0.05") == 200, "without a key: they are optional here"
    assert asked(node, "/score/diabetes?bmi=0.05", **{"x-api-key": "podium_wrong"}) == 401
