"""Images and long text: through the object store to every contender, and into the archive as asked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.system.conftest import Up
from tests.system.kept import Archive
from tests.system.running import Node, podium, until

from podium import run as runs

SHAPE = (1024, 1024, 5)
SECONDS = 30.0

IMAGE_PROJECT = """
[endpoint]
name = "image"
deadline = "20s"

[endpoint.limits]
body_bytes = 24000000

[large]
keep = true
ttl = "60s"

[models.net]
module = "models/net.py"
role = "champion"
timeout = "20s"

[models.twin]
module = "models/twin.py"
role = "challenger"
timeout = "20s"

[decoy]
enabled = true
"""
WEIGHTS = """
import numpy as np


def weights():
    random = np.random.default_rng(7)
    return random.normal(size=(5, 1000)).astype("f4"), random.normal(size=(1000, 5000)).astype("f4") / 1000
"""
NET = (
    WEIGHTS
    + """
import onnx
from onnx import TensorProto, helper, numpy_helper

import podium


def train():
    first, second = weights()  # the second are 20 MB
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "first"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["positive"]),
        helper.make_node("MatMul", ["positive", "second"], ["wide"]),
        helper.make_node("ReduceMean", ["wide"], ["score"], axes=[1], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "image",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", 1024, 1024, 5])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return podium.Trained(model, inputs={"image": np.zeros((1, 1024, 1024, 5))}, output="score")
"""
)
TWIN = (
    WEIGHTS
    + """
import podium


class Model(podium.Model):
    inputs = {"image": "float[1024][1024][5]"}
    output = "score"

    def load(self, package):
        self.weights = weights()

    def predict(self, columns):
        hidden = np.maximum(columns["image"].mean(axis=(1, 2)) @ self.weights[0], 0)
        return {"score": (hidden @ self.weights[1]).mean(axis=1)}
"""
)
TEXT_PROJECT = """
[endpoint]
name = "text"
deadline = "10s"
inputs = { text = "string" }
outputs = { letters = "int" }

[endpoint.limits]
body_bytes = 12000000

[large]
store_bytes = 15000000
ttl = "3s"

[models.count]
module = "models/count.py"
role = "champion"
timeout = "2s"

[models.slow]
module = "models/count.py"
role = "challenger"
timeout = "2s"
"""
COUNT = """
import numpy as np

import podium


class Model(podium.Model):
    inputs = {"text": "string"}
    output = "letters"

    def predict(self, columns):
        return {"letters": np.array([len(text) for text in columns["text"]])}
"""


def made(folder: Path, toml: str, **modules: str) -> Path:
    """A project, trained."""
    (folder / "models").mkdir(parents=True)
    (folder / "podium.toml").write_text(toml)
    for name, text in modules.items():
        (folder / "models" / f"{name}.py").write_text(text)
    podium(folder, "train")
    return folder


def ask(node: Node, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    words = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{node.url}{path}", data=body, headers=words)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def ask_image(node: Node, image: np.ndarray, **headers: str) -> tuple[int, dict[str, Any]]:
    """As a binary tensor of 20 MB."""
    data = image.astype("<f4").tobytes()
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, *SHAPE]}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}]}).encode()
    found = {"inference_header_content_length": str(len(head)), **headers}
    return ask(node, "/v2/models/image/infer", head + data, **found)


def score_of(reply: dict[str, Any]) -> float:
    return float(reply["outputs"][0]["data"][0])


def expected(image: np.ndarray) -> float:
    space: dict[str, Any] = {}
    exec(WEIGHTS, space)
    first, second = space["weights"]()
    return float((np.maximum(image.mean(axis=(0, 1)) @ first, 0) @ second).mean())


def test_images_of_20_mb_reach_every_contender_and_are_replayed(tmp_path: Path, up: Up) -> None:
    folder = made(tmp_path / "image", IMAGE_PROJECT, net=NET, twin=TWIN)
    random = np.random.default_rng(3)
    images = [random.random(SHAPE, "f4") * (n + 1) for n in range(2)]
    node = up(folder)

    asked = {"net": images[0], "twin": images[1]}
    for model, image in asked.items():
        status, reply = ask_image(node, image, podium_id=model, podium_force=model)
        assert status == 200, reply
        assert score_of(reply) == pytest.approx(expected(image), rel=1e-3)
        assert reply["model_version"].startswith(model)

    until(lambda: node.status().archived == 2, what=node.status)
    archive = Archive(node)
    assert archive.rows("select count(*), count(distinct id) from scores where status = 'ok'") == [(4, 2)]
    digests = {id: hashlib.sha256(image.astype("<f8").tobytes()).hexdigest() for id, image in asked.items()}
    kept = archive.rows("select id, digests, in_image[3][4][5] from requests")
    assert {id: json.loads(text)["image"] for id, text, _ in kept} == digests
    assert {id: value for id, _, value in kept} == {id: float(image[2, 3, 4]) for id, image in asked.items()}
    seen = archive.rows("select id, digests, in_image is null from decoy")
    assert {id: (json.loads(text)["image"], null) for id, text, null in seen} == {
        id: (digest, True) for id, digest in digests.items()
    }
    until(lambda: stored(node) == 0, what=lambda: stored(node))  # what is archived need not be there

    report = json.loads(podium(folder, "replay", "image", "twin", "--since", "1h", "--json").stdout)
    assert (report["scored"], report["failed"]) == (2, 0)
    assert report["agreement"]["different"] == 0


def test_long_text_is_bounded_forgotten_and_never_silently_lost(tmp_path: Path, up: Up) -> None:
    folder = made(tmp_path / "text", TEXT_PROJECT, count=COUNT, slow=COUNT)
    node = up(folder)
    text = "ä" + "x" * 9_999_999

    status, reply = ask(node, "/score/text", json.dumps({"text": text}).encode(), podium_id="long")
    assert (status, reply["answer"]) == (200, {"letters": len(text)})
    assert ask(node, "/score/text", b'{"text": "short"}')[1]["answer"] == {"letters": 5}
    assert ask(node, "/score/text", b" " * 12_000_001)[0] == 413
    until(lambda: stored(node) == 0, what=lambda: stored(node))  # both contenders have it

    # A contender that hangs still needs it: it stays, nothing else finds room, and its time to live ends it.
    node.send("worker slow 1", signal.SIGSTOP)
    status, reply = ask(node, "/score/text", json.dumps({"text": text}).encode(), podium_id="kept")
    assert (status, reply["answer"]) == (200, {"letters": len(text)})
    assert stored(node) > 10_000_000
    status, reply = ask(node, "/score/text", json.dumps({"text": text}).encode())
    assert (status, reply["type"]) == (503, "/docs/problems#store-full")
    assert ask(node, "/score/text", b'{"text": "short"}')[1]["answer"] == {"letters": 5}
    until(lambda: stored(node) == 0, what=lambda: stored(node))

    until(lambda: node.status().archived == 4, what=node.status)
    rows = Archive(node).rows(
        "select id, in_text, digests from requests where digests is not null order by id"
    )
    assert [(id, value, list(json.loads(digests))) for id, value, digests in rows] == [
        ("kept", None, ["text"]),
        ("long", None, ["text"]),
    ]
    report = json.loads(podium(folder, "replay", "text", "count", "--since", "1h", "--json").stdout)
    assert (report["scored"], report["failed"]) == (2, 2)
    assert "only its digest is archived" in next(iter(report["errors"]))


def stored(node: Node) -> int:
    """Bytes in the store for large inputs."""
    return asyncio.run(_stored(node))


async def _stored(node: Node) -> int:
    from nats.aio.client import Client

    run = runs.load(node.folder / ".podium" / "run" / "run.json")
    client = Client()
    await client.connect(run.stream)
    try:
        return (await client.jetstream().stream_info(f"OBJ_podium-{run.endpoint}")).state.bytes
    finally:
        await client.close()
