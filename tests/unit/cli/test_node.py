"""What `podium up` refuses before anything starts."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from podium.cli import node
from podium.cli.node import up
from podium.errors import MissingExtra


def test_grpc_without_its_extra_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"grpcio is not installed: pip install 'podium\[grpc\]'"):
        CliRunner().invoke(up, ["--grpc-port", "8081"], catch_exceptions=False)
