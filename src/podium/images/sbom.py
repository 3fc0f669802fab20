"""What is in an image, as CycloneDX: the libraries with their hashes, Podium, the model, the base.

Written by hand: it is one flat list, and a library would bring a time and a random number into it. The same
image has the same document. Kept in the registry beside the image, and refers to it.
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

from podium.images.build import Built
from podium.oci.documents import EMPTY, EMPTY_BYTES, MANIFEST, Descriptor, Manifest, encode
from podium.oci.layout import Layout
from podium.oci.repository import Repository

CYCLONEDX = "application/vnd.cyclonedx+json"
_SPEC = "1.5"


def document(built: Built) -> bytes:
    """The bill of materials, in JSON."""
    libraries = [
        _component(
            "library",
            wheel.name,
            wheel.version,
            purl=f"pkg:pypi/{wheel.name}@{wheel.version}",
            sha256=wheel.sha256,
        )
        for wheel in built.wheels
    ]
    base = _component(
        "container", "base", built.base.digest, sha256=built.base.digest.removeprefix("sha256:")
    )
    version = metadata.version("podium")
    own = _component("framework", "podium", version, purl=f"pkg:pypi/podium@{version}")
    models = [_component("machine-learning-model", built.title, built.package)] if built.package else []
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": _SPEC,
            "version": 1,
            "metadata": {"component": _component("container", built.title, built.manifest.digest)},
            "components": [*libraries, own, *models, base],
        },
        indent=1,
        sort_keys=True,
    ).encode()


def attach(built: Built, store: Layout, repository: Repository) -> Descriptor:
    """Keep the bill of an image that is in the repository already, as what refers to it."""
    blob = store.put(document(built), CYCLONEDX)
    empty = store.put(EMPTY_BYTES, EMPTY)
    subject = built.manifest
    content = encode(
        Manifest(
            schema_version=2,
            media_type=MANIFEST,
            artifact_type=CYCLONEDX,
            config=empty,
            layers=[blob],
            subject=Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size),
        )
    )
    kept = store.put(content, MANIFEST)
    named = Descriptor(media_type=MANIFEST, digest=kept.digest, size=kept.size, artifact_type=CYCLONEDX)
    for each in (blob, empty):
        repository.push(each, store)
    repository.refer(content, named, subject.digest)
    return named


def _component(kind: str, name: str, version: str, *, purl: str = "", sha256: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"type": kind, "name": name, "version": version}
    if purl:
        found |= {"purl": purl, "bom-ref": purl}
    if sha256:
        found["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    return found
