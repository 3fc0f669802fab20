"""Two plans: one with everything that can be asked for, one with as little as possible.

`python -m tests.unit.cluster.plans` writes the snapshots anew, to be read before they are committed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from podium.cluster.chart import chart
from podium.cluster.manifests import manifests
from podium.cluster.plan import ClusterPlan
from podium.kubernetes import KubernetesSettings
from podium.records import Contender, Policy, Role
from podium.run import Run, WorkerSettings
from podium.schema import Field, Kind, Schema
from podium.yaml_text import yaml

SNAPSHOTS = Path(__file__).parent / "snapshots"
LINEAR = Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION)
FOREST = Contender(model="forest", version="0a1b2c3d4e5f", number=2, role=Role.CHALLENGER)
DECOY = Contender(model="decoy", role=Role.DECOY)
POLICY = Policy(
    endpoint="diabetes",
    revision=1,
    contenders=(LINEAR, FOREST, DECOY),
    deadline_ms=100.0,
    schedule=((0.0, ("champion",)), (60.0, ("champion", "challenger"))),
    default={"progression": 152.13},
)
RUN = Run(
    policy=POLICY,
    inputs=Schema((Field(name="bmi", type=Kind.FLOAT),)),
    outputs=Schema((Field(name="progression", type=Kind.FLOAT),)),
    stream="",
    archive="s3://models/archive",
    registry="/home/somebody/.podium/registry",
    run_dir="/home/somebody/.podium/run",
    workers={"forest": WorkerSettings(replicas=2, threads=2)},
    admin_key="digest-of-a-key",
)
SMALL = ClusterPlan(
    run=RUN,
    settings=KubernetesSettings(
        images="registry.example/diabetes", stream="existing", gateways=(1, 1), workers=1
    ),
    release="0.1.0",
)
LARGE = replace(
    SMALL,
    settings=KubernetesSettings(
        namespace="scoring",
        images="registry.example/diabetes",
        pull_secret="registry",
        storage_class="fast",
        issuer="internal",
        archive_secret="bucket",
        azure_identity="8f5d6c2e-4b1a-4c3d-9e7f-0a1b2c3d4e5f",
        host="scores.example.com",
        route_class="infra/public",
        scale="keda",
        prometheus="http://prometheus.monitoring:9090",
    ),
    outbound=frozenset({"forest"}),
)
PLANS = {"small": SMALL, "large": LARGE}


def rendered(name: str) -> dict[str, str]:
    """File → content of a plan's snapshot."""
    return {f"{name}/{file}": yaml(objects) for file, objects in manifests(PLANS[name]).items()}


def main() -> None:
    files = {**rendered("small"), **rendered("large")}
    files |= {f"chart/{file}": content for file, content in chart(LARGE).items()}
    for file, content in files.items():
        path = SNAPSHOTS / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
