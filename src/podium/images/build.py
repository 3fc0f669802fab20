"""An image from its parts. The same parts give the same digest: no time, no name of a machine, sorted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from podium.environment import GIVES_BACK
from podium.images import contents, wheels
from podium.images.base import Base, bring, check_python
from podium.images.wheels import Target, Wheel
from podium.models import manifest as manifests
from podium.models.digest import verify
from podium.models.requirements import FILE as REQUIREMENTS
from podium.models.requirements import locked, of_extra
from podium.oci import layers
from podium.oci.documents import (
    CONFIG,
    INDEX,
    MANIFEST,
    Descriptor,
    History,
    ImageConfig,
    Index,
    Manifest,
    RootFs,
    RuntimeConfig,
    encode,
    sha256,
)
from podium.oci.layers import File, Layer
from podium.oci.layout import Layout
from podium.oci.reference import LayoutReference, Reference
from podium.oci.repository import Access

USER = "10001:10001"
EPOCH = "1970-01-01T00:00:00Z"
ENTRYPOINT = ["python3", "-P", "-m", "podium"]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LOCKED = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """Where images are made: a store of blobs, a cache of wheels, the lock."""

    store: Layout
    wheels: Path
    lock: Path

    @classmethod
    def of(cls, project: Path, podium_dir: Path) -> Workshop:
        return cls(
            store=Layout(podium_dir / "images"), wheels=podium_dir / "wheels", lock=project / wheels.LOCK
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What an image is to be, apart from base and platform."""

    title: str
    libraries: Mapping[str, str]
    files: Sequence[File]
    command: list[str]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    ports: Sequence[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """An image of one platform in the store. `layers` are its own, with what each is; then come sizes."""

    manifest: Descriptor
    base: Base
    layers: list[Descriptor]
    wheels: list[Wheel]
    title: str
    package: str

    @property
    def size(self) -> int:
        """Compressed bytes, base included."""
        return sum(layer.size for layer in (*self.base.layers, *self.layers))


def model_plan(package: Path, digest: str, number: int, *, trusted: bool, extras: Iterable[str] = ()) -> Plan:
    """A worker of one model version. `trusted` puts it on the image's own trust list.

    Raises MissingExtra where what an extra brings is not installed here: its versions are those of here.
    Raises DigestMismatch for a damaged package: its worker would refuse it too, but only where it runs.
    """
    verify(package, digest)
    manifest = manifests.read(package)
    own = dict(_LOCKED.findall((package / REQUIREMENTS).read_text()))
    files = [*contents.package(package)]
    if trusted:
        files.append(contents.trust(manifest.model, digest))
    return Plan(
        title=manifest.model,
        libraries={**_libraries(contents.WORKER, extras), **own},
        files=files,
        command=["run", "worker", manifest.model],
        env={
            "PODIUM_PACKAGE": f"/{contents.MODELS}",
            "PODIUM_DIGEST": digest,
            "PODIUM_VERSION_NUMBER": str(number),
            "PODIUM_TRUST": f"/{contents.TRUST}",
        },
        labels=labels_of(manifest, digest),
        ports=[8081],
    )


def gateway_plan(extras: Iterable[str] = ()) -> Plan:
    """The front door, the archiver and the decoy. Raises MissingExtra as above."""
    return Plan(
        title="podium-gateway",
        libraries=_libraries(contents.GATEWAY, extras),
        files=[],
        command=["run", "gateway"],
        env=dict(GIVES_BACK),
        labels={},
        ports=[8080, 8081],
    )


def _libraries(usual: Iterable[str], extras: Iterable[str]) -> dict[str, str]:
    return locked([*usual, *(name for extra in extras for name in of_extra(extra))])


def build(
    plan: Plan,
    base: Reference | LayoutReference,
    target: Target,
    workshop: Workshop,
    access: Access,
) -> Built:
    """Make the image of one platform in the workshop's store."""
    store = workshop.store
    found = bring(base, target.platform, store, access)
    check_python(found, target, store)
    gathered = wheels.gather(plan.libraries, target, lock=workshop.lock, cache=workshop.wheels)
    added = [
        ("libraries", _library_layer(gathered, workshop)),
        ("podium", layers.build(contents.program(), store)),
        *([(plan.title, layers.build(plan.files, store))] if plan.files else []),
    ]
    config = store.put(encode(_config(plan, found, added)), CONFIG)
    annotations = {**annotations_of(plan), "org.opencontainers.image.base.digest": found.digest}
    if isinstance(base, Reference):  # where a layout is on somebody's disk is no part of an image
        annotations["org.opencontainers.image.base.name"] = found.name
    manifest = Manifest(
        schema_version=2,
        media_type=MANIFEST,
        config=config,
        layers=[*found.layers, *(layer.blob for _, layer in added)],
        annotations=annotations,
    )
    described = store.put(encode(manifest), MANIFEST)
    named = Descriptor(
        media_type=MANIFEST, digest=described.digest, size=described.size, platform=target.platform
    )
    return Built(
        manifest=named,
        base=found,
        layers=[layer.blob for _, layer in added],
        wheels=gathered,
        title=plan.title,
        package=plan.labels.get("podium.digest", ""),
    )


def index_of(built: Sequence[Built], plan: Plan, store: Layout) -> Descriptor:
    """Several platforms under one name; a single one needs no index."""
    if len(built) == 1:
        return built[0].manifest
    index = Index(
        schema_version=2,
        media_type=INDEX,
        manifests=[each.manifest for each in built],
        annotations=annotations_of(plan),
    )
    return store.put(encode(index), INDEX)


def _library_layer(gathered: Sequence[Wheel], workshop: Workshop) -> Layer:
    """Packing it takes seconds, and the same wheels are always the same layer: so it is remembered."""
    key = sha256("\n".join(wheel.sha256 for wheel in gathered).encode()).removeprefix("sha256:")
    note = workshop.store.folder / "layers" / key
    try:
        blob, diff_id = msgspec.json.decode(note.read_bytes(), type=tuple[Descriptor, str])
        if workshop.store.has(blob.digest):
            return Layer(blob=blob, diff_id=diff_id)
    except (OSError, msgspec.MsgspecError):
        pass
    layer = layers.build(wheels.unpacked(gathered, workshop.wheels), workshop.store)
    with suppress(OSError):  # or it is packed again next time
        note.parent.mkdir(parents=True, exist_ok=True)
        made = note.with_suffix(".new")
        made.write_bytes(msgspec.json.encode((layer.blob, layer.diff_id)))
        made.replace(note)
    return layer


def env_of(plan: Plan) -> dict[str, str]:
    """The variables that an image has beyond its base's."""
    return {
        "PYTHONPATH": f"/{contents.PROGRAM}:/{contents.LIBRARIES}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **dict.fromkeys(_THREADS, "1"),
        **plan.env,
    }


def _config(plan: Plan, base: Base, added: Iterable[tuple[str, Layer]]) -> ImageConfig:
    added = list(added)
    below = base.config
    env = dict(variable.partition("=")[::2] for variable in below.config.env or []) | env_of(plan)
    return ImageConfig(
        created=EPOCH,
        architecture=below.architecture,
        os=below.os,
        variant=below.variant,
        config=RuntimeConfig(
            user=USER,
            env=[f"{name}={value}" for name, value in env.items()],
            entrypoint=ENTRYPOINT,
            cmd=plan.command,
            working_dir="/",
            labels={**(below.config.labels or {}), **annotations_of(plan)},
            exposed_ports={f"{port}/tcp": {} for port in plan.ports},
        ),
        rootfs=RootFs(diff_ids=[*below.rootfs.diff_ids, *(layer.diff_id for _, layer in added)]),
        history=[
            *(below.history or [History(created=EPOCH, created_by="the base") for _ in base.layers]),
            *(History(created=EPOCH, created_by=f"podium build: {what}") for what, _ in added),
        ],
    )


def annotations_of(plan: Plan) -> dict[str, str]:
    """Also its labels."""
    return {
        "org.opencontainers.image.title": plan.title,
        "podium.version": metadata.version("podium"),
        **plan.labels,
    }


def labels_of(manifest: manifests.Manifest, digest: str) -> dict[str, str]:
    """What the model is and where it comes from, to be read without pulling the image."""
    found = {
        "org.opencontainers.image.version": digest[:12],
        "podium.model": manifest.model,
        "podium.digest": digest,
        "podium.format": manifest.format,
        "podium.inputs": _json(manifest.inputs),
        "podium.outputs": _json(manifest.outputs),
        "podium.metrics": json.dumps(manifest.metrics, sort_keys=True),
        "podium.data": manifest.data,
        "podium.module": manifest.revision.module,
        "podium.python": manifest.python,
    }
    if manifest.revision.commit:
        found["org.opencontainers.image.revision"] = manifest.revision.commit
    return found


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
