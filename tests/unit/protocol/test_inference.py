"""The compiled messages are those of the definitions, and get into nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from tritonclient.grpc import service_pb2

from podium.protocol import inference
from podium.protocol.inference.generate import DESCRIPTORS, compile_into


def test_the_descriptors_are_up_to_date(tmp_path: Path) -> None:
    compile_into(tmp_path / "new")
    committed, new = (FileDescriptorSet.FromString(f.read_bytes()) for f in (DESCRIPTORS, tmp_path / "new"))
    assert committed == new, "run python src/podium/protocol/inference/generate.py"


@pytest.mark.parametrize(
    "name",
    ["ModelInferRequest", "ModelInferResponse", "ModelMetadataResponse", "RepositoryIndexResponse"],
)
def test_messages_are_those_of_tritons_client_under_the_same_names(name: str) -> None:
    ours, theirs = getattr(inference, name), getattr(service_pb2, name)
    assert ours.DESCRIPTOR.full_name == theirs.DESCRIPTOR.full_name
    assert ours.DESCRIPTOR.file.pool is not theirs.DESCRIPTOR.file.pool
    numbers = {field.name: field.number for field in theirs.DESCRIPTOR.fields}
    assert {field.name: field.number for field in ours.DESCRIPTOR.fields} == numbers
