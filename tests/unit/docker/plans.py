"""Two plans: one with everything of its own, one whose stream, archive and bases are elsewhere.

`python -m tests.unit.docker.plans` writes the snapshots anew, to be read before they are committed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from msgspec import structs
from tests.unit.cluster.plans import RUN

from podium.docker.files import files
from podium.docker.plan import ARCHIVE_DIR, DockerPlan, Image
from podium.images.build import Plan
from podium.images.wheels import Wheel
from podium.oci.layers import File

SNAPSHOTS = Path(__file__).parent / "snapshots"
BASE = "docker.io/library/python:3.11-slim"


def wheel(name: str, version: str, machine: str) -> Wheel:
    digit = "1" if machine == "x86_64" else "2"
    file = f"{name}-{version}-cp311-cp311-manylinux_2_17_{machine}.whl"
    return Wheel(name=name, version=version, file=file, sha256=digit * 64)


def model(name: str, base: str) -> Image:
    plan = Plan(
        title=name,
        libraries={"numpy": "2.3.5"},
        files=[File(path="models/manifest.json", content=f'{{"model":"{name}"}}\n'.encode())],
        command=["run", "worker", name],
        env={"PODIUM_PACKAGE": "/models", "PODIUM_DIGEST": "9f" * 32},
        labels={"podium.model": name, "podium.metrics": '{"mae": 41.5}', "podium.data": "5 $\nof \\ them"},
        ports=[8081],
    )
    wheels = [wheel("numpy", "2.3.5", machine) for machine in ("x86_64", "aarch64")]
    return Image(plan=plan, base=base, wheels=wheels)


GATEWAY = Image(
    plan=Plan(
        title="podium-gateway",
        libraries={"numpy": "2.3.5", "deltalake": "1.6.6"},
        files=[],
        command=["run", "gateway"],
        env={"_RJEM_MALLOC_CONF": "narenas:1"},
        labels={},
        ports=[8080, 8081],
    ),
    base=BASE,
    wheels=[wheel("numpy", "2.3.5", "x86_64"), wheel("deltalake", "1.6.6", "x86_64")],
)
OWN = DockerPlan(
    run=structs.replace(RUN, archive=ARCHIVE_DIR),
    release="0.1.0",
    gateway=GATEWAY,
    workers={"linear": model("linear", BASE), "forest": model("forest", BASE)},
    stream_image="docker.io/library/nats:2.15-alpine@sha256:" + "0" * 64,
    sync_always=True,
)
ELSEWHERE = replace(
    OWN,
    run=RUN,
    stream_image="",
    stream_keys=True,
    sync_always=False,
    images="registry.example/diabetes",
    workers={
        "linear": model("linear", BASE),
        "forest": model("forest", "registry.example/bases/perl:1@sha256:" + "1" * 64),
    },
    outbound=frozenset({"forest"}),
)
PLANS = {"own": OWN, "elsewhere": ELSEWHERE}


def rendered(name: str) -> dict[str, str]:
    """File → content of a plan's snapshot."""
    return {f"{name}/{path}": content.decode() for path, content in files(PLANS[name]).items()}


def main() -> None:
    for file, content in {**rendered("own"), **rendered("elsewhere")}.items():
        path = SNAPSHOTS / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
