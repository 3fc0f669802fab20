"""`podium run store`: what a pod keeps of a policy for a command outside of the cluster."""

from __future__ import annotations

from click.testing import CliRunner

from podium.cli.run_store import store
from podium.errors import PolicyError


def test_what_is_no_policy_is_refused_before_the_store_is_asked() -> None:
    for document in ("{", '{"revision": "one"}'):
        failed = CliRunner().invoke(store, ["write", document])
        assert isinstance(failed.exception, PolicyError)
        assert "what should be kept is no policy" in str(failed.exception)
