"""Compiles the definitions beside it into `descriptors.binpb`; needs grpcio-tools, which no gateway does.

python src/podium/protocol/inference/generate.py
"""

from __future__ import annotations

from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).parent
DESCRIPTORS = FOLDER / "descriptors.binpb"
DEFINITIONS = ("inference.proto", "health.proto")


def compile_into(file: Path) -> None:
    """Raises RuntimeError for what protoc refuses; it says why on stderr."""
    if protoc.main(["protoc", f"--proto_path={FOLDER}", f"--descriptor_set_out={file}", *DEFINITIONS]) != 0:
        raise RuntimeError(f"protoc refuses {' or '.join(DEFINITIONS)}")


if __name__ == "__main__":
    compile_into(DESCRIPTORS)
