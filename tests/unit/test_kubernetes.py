"""The `[kubernetes]` table: what it says, and every mistake with its line."""

from __future__ import annotations

import tomllib

import pytest

from podium.errors import ProjectError
from podium.kubernetes import KubernetesSettings, settings_of
from podium.toml_tables import Table


def read(lines: str) -> KubernetesSettings:
    text = f"[kubernetes]\n{lines}\n"
    return settings_of(Table("podium.toml", text, tomllib.loads(text)).table("kubernetes"))


def test_nothing_needs_to_be_said() -> None:
    assert read("") == KubernetesSettings()


def test_what_is_said_counts() -> None:
    found = read('images = "r.example/a/"\ngateways = [3, 5]\nscale = "keda"\nprometheus = "http://p:9090"')
    assert (found.images, found.gateways, found.scale) == ("r.example/a", (3, 5), "keda")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('imagess = "x"', "podium.toml:2: kubernetes.imagess: there is no such key .did you mean 'images'"),
        ('namespace = "Big"', "'Big' is not lower-case letters"),
        ('host = "not a host"', "is not a host's name"),
        ('memory = "much"', 'no size; as in "512Mi"'),
        ("gateways = [5, 2]", r"as in \[2, 10\]"),
        ('scale = "keda"', "give `prometheus`"),
        ('host = "a.example"', "which Gateway"),
        ('host = "a.example"\nroute_class = "a/b/c"', "NAME or NAMESPACE/NAME"),
        ('azure_identity = "podium"', "'podium' is not a client ID"),
        ('stream = "mine"', "not one of own, existing"),
    ],
)
def test_a_mistake_names_its_line_and_what_would_be_right(line: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says) as error:
        read(line)
    assert str(error.value).startswith("podium.toml:")
