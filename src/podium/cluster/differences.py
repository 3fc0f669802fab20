"""What applying would change: an object as it is beside what the API server would make of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from podium.cluster.plan import Object
from podium.yaml_text import yaml

_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def difference(before: Object | None, after: Object) -> list[str]:
    """Lines of a unified diff; none where nothing changes."""
    title = f"{after['kind']} {after['metadata']['name']}"
    old = [] if before is None else yaml([_said(before)]).splitlines()
    new = yaml([_said(after)]).splitlines()
    return list(difflib.unified_diff(old, new, title if old else "nothing", title, lineterm="", n=2))


def _said(each: Object) -> Object:
    """Without what the server writes there by itself."""
    kept = {key: value for key, value in each.items() if key != "status"}
    metadata = dict(_metadata(kept["metadata"]))
    return {**kept, "metadata": metadata}


def _metadata(metadata: Object) -> Iterator[tuple[str, Any]]:
    for key, value in metadata.items():
        if key in _SERVERS_OWN:
            continue
        if key == "annotations":
            rest = {k: v for k, v in value.items() if k != "deployment.kubernetes.io/revision"}
            if rest:
                yield key, rest
        else:
            yield key, value
