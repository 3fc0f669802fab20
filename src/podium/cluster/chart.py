"""A Helm chart of the same objects: what clusters differ in becomes a value, all else stays as it is.

Values are put in as texts while the objects are made, and become expressions in what is written.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from podium.cluster.manifests import manifests
from podium.cluster.plan import ClusterPlan, Object
from podium.yaml_text import yaml

_FIRST, _LAST = "\ue000", "\ue001"
"""Around a value's name while it travels through the objects: no project file can hold these."""

_MARKED = re.compile(f"{_FIRST}(.*?){_LAST}")
TEXTS = ("images", "memory", "stream_image", "stream_storage")
"""Settings that are texts in the objects as they stand."""


def chart(plan: ClusterPlan) -> dict[str, str]:
    """File → content. The namespace is Helm's own: `helm install --create-namespace`."""
    settings = plan.settings
    values = {_value(key): getattr(settings, key) for key in TEXTS} | {"release": plan.release}
    marked: dict[str, Any] = {key: _mark(f".Values.{_value(key)}") for key in TEXTS}
    named = replace(settings, namespace=_mark(".Release.Namespace"), **marked)
    templated = replace(plan, settings=named, release=_mark(".Values.release"))
    files = {
        "Chart.yaml": yaml([_about(plan)]),
        "values.yaml": yaml([_documented(values)]),
    }
    for name, objects in manifests(templated).items():
        kept = [each for each in objects if each["kind"] != "Namespace"]
        if kept:
            files[f"templates/{name[3:]}"] = _expressions(yaml(kept))
    return files


def _value(key: str) -> str:
    """As Helm's users write values: `streamImage`."""
    first, *more = key.split("_")
    return first + "".join(word.capitalize() for word in more)


def _documented(values: Object) -> Object:
    return dict(sorted(values.items()))


def _about(plan: ClusterPlan) -> Object:
    return {
        "apiVersion": "v2",
        "name": plan.name,
        "description": f"The endpoint {plan.run.endpoint}, as `podium render kubernetes --helm` wrote it.",
        "type": "application",
        "version": "0.1.0",
        "appVersion": plan.release,
    }


def _mark(expression: str) -> str:
    return f"{_FIRST}{expression}{_LAST}"


def _expressions(text: str) -> str:
    """Marks to Helm's expressions. What looked like an expression before is one for nobody."""
    escaped = re.sub(r"\{\{", '{{ "{{" }}', text)
    return _MARKED.sub(r"{{ \1 }}", escaped)


def substituted(template: str, values: dict[str, Any], *, namespace: str) -> str:
    """What Helm makes of such a template: only what these templates use of its language."""

    def value(match: re.Match[str]) -> str:
        match match[1].strip().split("."):
            case ["", "Values", name]:
                return str(values[name])
            case ["", "Release", "Namespace"]:
                return namespace
            case _:
                return str(json.loads(match[1]))

    return re.sub(r"\{\{(.*?)\}\}(?!\})", value, template)
