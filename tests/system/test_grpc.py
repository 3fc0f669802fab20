"""A running node that speaks gRPC, as Triton's client and others see it, also while processes die."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tests.system.conftest import Up
from tests.system.grpc_load import GrpcLoad
from tests.system.kept import assert_each_answer_kept_once
from tests.system.running import STOP_SECONDS, Node, podium, until
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

BMI = np.array([[0.05], [0.01], [-0.02]])
CALM = 0.7


@pytest.fixture(scope="module")
def node(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for the tests that do not change it."""
    folder = shutil.copytree(template, tmp_path_factory.mktemp("grpc") / "diabetes", symlinks=True)
    node = Node(folder, "--grpc-port", "0")
    try:
        yield node.start()
    finally:
        node.end()


@pytest.fixture
def triton(node: Node) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(address_of(node)) as client:
        yield client


def address_of(node: Node) -> str:
    address = node.status().grpc
    assert address is not None
    return address


def bmi(values: np.ndarray = BMI, datatype: str = "FP64") -> InferInput:
    return InferInput("bmi", list(values.shape), datatype).set_data_from_numpy(values)


# --- as clients see it ------------------------------------------------------------------------


def test_tritons_client_finds_a_server_that_is_there(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("diabetes")
    assert triton.get_server_metadata().name == "podium"
    metadata = triton.get_model_metadata("diabetes")
    assert (metadata.inputs[0].name, metadata.inputs[0].datatype) == ("bmi", "FP64")
    assert list(metadata.inputs[0].shape) == [-1]
    versions = [model.version for model in triton.get_model_repository_index().models]
    assert versions == list(metadata.versions)
    for version in versions:
        assert triton.is_model_ready("diabetes", version)


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_both_doors_give_the_same_answer(
    triton: InferenceServerClient, node: Node, compression: str | None
) -> None:
    for version in triton.get_model_metadata("diabetes").versions:
        result = triton.infer(
            "diabetes",
            [bmi()],
            model_version=version,
            outputs=[InferRequestedOutput("progression")],
            request_id="mine",
            compression_algorithm=compression,
        )
        scores = [node.score(f"bmi={value}", podium_force=version)["answer"] for [value] in BMI]
        assert result.get_response().id == "mine"
        assert result.get_response().model_version == version
        assert result.as_numpy("progression").tolist() == [score["progression"] for score in scores]


def test_headers_are_metadata(triton: InferenceServerClient) -> None:
    result = triton.infer("diabetes", [bmi()], headers={"podium-force": "forest", "podium-id": "my own"})
    assert result.get_response().id == "my own"
    assert result.get_response().model_version.startswith("forest@")


def test_tritons_client_reads_our_errors(triton: InferenceServerClient) -> None:
    wrong = InferInput("bmj", [1], "FP64").set_data_from_numpy(np.ones(1))
    with pytest.raises(
        InferenceServerException, match=r"'bmj' is not an input \(did you mean 'bmi'"
    ) as found:
        triton.infer("diabetes", [wrong])
    assert found.value.status() == "StatusCode.INVALID_ARGUMENT"
    with pytest.raises(InferenceServerException, match="larger than max"):
        triton.infer("diabetes", [bmi(np.zeros((1_000_000, 1)))])


def test_reflection_lists_what_there_is(node: Node) -> None:
    with grpc.insecure_channel(address_of(node)) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        file = database.FindFileContainingSymbol("inference.GRPCInferenceService")
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= services
    assert "ModelInfer" in [method.name for method in file.service[0].method]


def test_without_the_option_there_is_no_port(project: Path, up: Up) -> None:
    assert up(project).status().grpc is None


# --- while processes die ----------------------------------------------------------------------


def test_a_killed_gateway_fails_only_its_own_calls_and_a_killed_champion_none(project: Path, up: Up) -> None:
    node = up(project, "--grpc-port", "0", "--gateways", "2")
    address = address_of(node)
    until(lambda: f"for gRPC at {address}" in node.output())
    with GrpcLoad(address) as load:
        time.sleep(CALM)
        moment = time.monotonic()
        killed = node.send("gateway 1", signal.SIGKILL)
        node.until_back("gateway 1", killed)
        time.sleep(CALM)
        back = time.monotonic()
        killed = node.send("worker linear 1", signal.SIGKILL)
        node.until_back("worker linear 1", killed)
        time.sleep(CALM)
    assert set(load.counts) <= {StatusCode.OK, StatusCode.UNAVAILABLE}, load
    failed = [seen for seen in load.seen if seen.code is not StatusCode.OK]
    assert all(moment - 1 < seen.began < moment + 1 for seen in failed), load
    assert {seen.rule for seen in load.since(back)} > {"champion"}, load
    assert address_of(node) == address
    assert_each_answer_kept_once(node, load)


def test_a_node_that_stops_answers_the_calls_in_flight_and_keeps_them(project: Path, up: Up) -> None:
    node = up(project, "--grpc-port", "0")
    with GrpcLoad(address_of(node)) as load:
        time.sleep(CALM)
        began = time.monotonic()
        podium(node.folder, "down")
        assert node.wait() == 0
        took = time.monotonic() - began
    assert took < STOP_SECONDS
    assert not node.left()
    # The core cancels what reaches a connection just as it is told to end; nobody has scored that.
    assert set(load.counts) - {StatusCode.CANCELLED} == {StatusCode.OK, StatusCode.UNAVAILABLE}, load
    in_flight = [seen for seen in load.seen if seen.began < began - 0.1]
    assert {seen.code for seen in in_flight} == {StatusCode.OK}, load
    node.start()
    archive = assert_each_answer_kept_once(node, load)
    assert archive.ids("answers") == load.answered
