"""A running node, as other people's clients see it: Triton's, schemathesis, a browser, Prometheus."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright
from prometheus_client.parser import text_string_to_metric_families
from tests.system.running import PATIENCE, Node
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

BMI = np.array([[0.05], [0.01], [-0.02]])
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# JSON Schema cannot say that data fills its shape, nor that a header is the length of a part of the body,
# nor which rows a request has.
CHECKS = """
[[operations]]
include-path-regex = "/infer$|^/outcome/"
checks.positive_data_acceptance.enabled = false
"""


@pytest.fixture(scope="module")
def node(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for all tests here: none of them changes it."""
    folder = shutil.copytree(template, tmp_path_factory.mktemp("protocols") / "diabetes", symlinks=True)
    node = Node(folder)
    try:
        yield node.start()
    finally:
        node.end()


@pytest.fixture
def triton(node: Node) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(node.url.removeprefix("http://")) as client:
        yield client


def bmi(values: np.ndarray = BMI, datatype: str = "FP64", *, binary: bool = True) -> InferInput:
    found: InferInput = InferInput("bmi", list(values.shape), datatype)
    return found.set_data_from_numpy(values, binary_data=binary)


def fetched(url: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Status and decoded JSON; names of headers are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, named), timeout=PATIENCE) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


# --- Open Inference Protocol ----------------------------------------------------------------


def test_tritons_client_finds_a_server_that_is_there(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("diabetes")
    assert triton.get_server_metadata()["name"] == "podium"
    metadata = triton.get_model_metadata("diabetes")
    assert metadata["inputs"][0] == {"name": "bmi", "datatype": "FP64", "shape": [-1]}
    versions = [entry["version"] for entry in triton.get_model_repository_index()]
    assert versions == metadata["versions"]
    for version in versions:
        assert triton.is_model_ready("diabetes", version)
        assert triton.get_model_metadata("diabetes", version)["name"] == "diabetes"


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_scores(
    triton: InferenceServerClient, node: Node, binary: bool, compression: str | None
) -> None:
    result = triton.infer(
        "diabetes",
        [bmi(binary=binary)],
        outputs=[InferRequestedOutput("progression", binary_data=binary)],
        request_id=f"triton-{binary}-{compression}",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )

    response = result.get_response()
    assert response["id"] == f"triton-{binary}-{compression}"
    assert response["model_name"] == "diabetes"
    expected = [node.score(f"bmi={value}", podium_force="linear")["answer"]["progression"] for [value] in BMI]
    if response["model_version"].startswith("linear@"):
        np.testing.assert_allclose(result.as_numpy("progression"), expected)


def test_tritons_client_gets_the_score_of_the_version_that_it_names(triton: InferenceServerClient) -> None:
    for version in triton.get_model_metadata("diabetes")["versions"]:
        result = triton.infer("diabetes", [bmi(BMI.astype("f4"), "FP32")], model_version=version)
        assert result.as_numpy("progression").shape == (3,)
        assert result.get_response()["model_version"] == version
        assert result.get_response()["parameters"]["rule"] == "forced"


def test_tritons_client_reads_our_errors(triton: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="'bmj' is not an input") as found:
        triton.infer("diabetes", [InferInput("bmj", [1], "FP64").set_data_from_numpy(np.ones(1))])
    assert found.value.status() == "422"
    with pytest.raises(InferenceServerException, match="no contender 'nobody'"):
        triton.infer("diabetes", [bmi()], model_version="nobody")


def test_a_bomb_and_an_unknown_compression_are_refused(node: Node) -> None:
    url = f"{node.url}/v2/models/diabetes/infer"
    status, problem = fetched(url, gzip.compress(bytes(50_000_000)), content_encoding="gzip")
    assert (status, problem["type"]) == (413, "/docs/problems#too-large")
    status, problem = fetched(url, b"{}", content_encoding="br")
    assert (status, problem["error"]) == (415, problem["detail"])


# --- OpenAPI --------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_schemathesis_finds_nothing(node: Node, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CHECKS)
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", f"{node.url}/openapi.json", "--max-examples", "15", "--request-timeout", "5"),
            *("--generation-database", "none", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


# --- the page -------------------------------------------------------------------------------


@pytest.fixture
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_OPTIONS)
        try:
            page = browser.new_page()
            page.set_default_timeout(20_000)
            yield page
        finally:
            browser.close()


def test_docs_shows_the_route_and_trying_it_returns_an_answer(node: Node, page: Page) -> None:
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    page.goto(f"{node.url}/docs")
    score = page.locator("#operations-score-score")
    score.get_by_text("/score/diabetes").click()
    score.get_by_role("button", name="Execute").click()
    answer = score.locator(".live-responses-table tbody tr").first

    answer.get_by_text("progression").first.wait_for()
    assert answer.locator(".response-col_status").inner_text().startswith("200")
    assert not errors
    local = (node.url, "data:", "blob:")
    assert [url for url in elsewhere if not url.startswith(local)] == []


# --- metrics --------------------------------------------------------------------------------


def test_prometheus_reads_the_metrics(node: Node) -> None:
    node.score()
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=PATIENCE) as answer:
        families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    roles = {sample.labels["role"] for sample in families["podium_contender_scores"].samples}
    assert roles == {"champion", "challenger", "canary", "decoy"}
    assert families["podium_requests_received"].samples[0].value >= 1
    assert any(s.name.endswith("_bucket") for s in families["podium_answer_seconds"].samples)
