"""What an image needs is what its process imports, and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from podium.images import contents
from podium.models.requirements import locked, of_extra

WORKER = """
import podium.cli.run_worker, podium.cli.process, podium.models.loading, podium.models.trust
import podium.registry.folder
import podium.workers.worker, podium.workers.decoy, podium.streams.nats, podium.models.manifest
"""
GATEWAY = """
import podium.cli.run, podium.gateway.server, podium.streams.nats, podium.streams.nats_policies
import podium.archive.archiver, podium.archive.drift, podium.archive.lookups, podium.registry.folder
import podium.node.listening
"""
SERVICE_BUS = "\nimport podium.streams.servicebus, azure.identity.aio, aiohttp"
AZURE_GATEWAY = f"{GATEWAY}{SERVICE_BUS}\nimport podium.streams.table_policies"
REDIS_GATEWAY = f"{GATEWAY}\nimport podium.gateway.features.redis"
GRPC_GATEWAY = f"{GATEWAY}\nimport podium.gateway.grpc"
# What only happens to be installed here, and a library imports if it is there, must look as if it were not.
LOOK = """
import sys
from importlib import metadata
class Absent:
    def find_spec(self, name, path=None, target=None):
        of = metadata_of.get(name.partition('.')[0])
        if of and not set(of) & allowed:
            raise ModuleNotFoundError(name)
metadata_of = {name: [each.lower().replace('_', '-') for each in of]
    for name, of in metadata.packages_distributions().items()}
allowed = {*ALLOWED, 'podium'}
sys.meta_path.insert(0, Absent())
PROGRAM
used = {each for name in sys.modules for each in metadata_of.get(name.partition('.')[0], ())}
print(*sorted(used - {'podium'}))
"""


@pytest.mark.parametrize(
    ("program", "libraries"),
    [
        (WORKER, contents.WORKER),
        (f"{WORKER}{SERVICE_BUS}", (*contents.WORKER, "azure-servicebus", "azure-identity", "aiohttp")),
        (GATEWAY, contents.GATEWAY),
        (AZURE_GATEWAY, (*contents.GATEWAY, *of_extra("azure"))),
        (REDIS_GATEWAY, (*contents.GATEWAY, *of_extra("redis"))),
        (GRPC_GATEWAY, (*contents.GATEWAY, *of_extra("grpc"))),
    ],
    ids=["worker", "worker, azure", "gateway", "gateway, azure", "gateway, redis", "gateway, grpc"],
)
def test_the_listed_libraries_are_all_that_is_needed(program: str, libraries: tuple[str, ...]) -> None:
    look = LOOK.replace("ALLOWED", repr([*locked(libraries)])).replace("PROGRAM", program)
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {*libraries} <= {*done.stdout.split()}, "none is listed that is not imported"


def test_the_program_is_whole_and_holds_nothing_that_was_made_by_running_it() -> None:
    paths = {file.path for file in contents.program()}
    assert "opt/podium/program/podium/cli/run_worker.py" in paths
    assert any(path.endswith(".dist-info/METADATA") for path in paths)
    assert not [path for path in paths if path.endswith(".pyc")]
