from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from podium.models.packing import Packed, pack

from .sources import LINEAR, RULE, Make


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a model's module, train it, and give its package, in a folder named by its digest."""

    def made(source: str, name: str = "model", trust_pickle: bool = False) -> Packed:
        file = tmp_path / "project" / "models" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
        into = tmp_path / f"package-{len(list(tmp_path.iterdir()))}"
        into.mkdir()
        packed = pack(file, model=name, root=tmp_path / "project", into=into, trust_pickle=trust_pickle)
        into.rename(tmp_path / packed.digest)
        return Packed(
            folder=tmp_path / packed.digest, digest=packed.digest, manifest=packed.manifest, why=packed.why
        )

    return made


@pytest.fixture
def linear(make: Make) -> Packed:
    return make(LINEAR, "linear")


@pytest.fixture
def rule(make: Make) -> Packed:
    return make(RULE, "rule")
