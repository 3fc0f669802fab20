"""The files for an endpoint. Worldwide names, and all that somebody may want otherwise, are parameters."""

from __future__ import annotations

from pathlib import Path

TEMPLATES = Path(__file__).with_name("templates")
LAYOUT = {
    "README.md": "README.md",
    "bicep/main.bicep": "main.bicep",
    "bicep/resources.bicep": "resources.bicep",
    "terraform/main.tf": "main.tf",
    "terraform/variables.tf": "variables.tf",
    "terraform/outputs.tf": "outputs.tf",
}
"""Where each file goes, and its template."""

LOCATION = "westeurope"


def render(endpoint: str, *, name: str, namespace: str, location: str = LOCATION) -> dict[str, str]:
    """Relative path → content.

    `name` is the endpoint's on a cluster, with which its service accounts begin, and `namespace` where they
    are: an identity is given to exactly those. Azure takes names of a cluster of 63 letters at most.
    """
    words = {
        "@name@": name,
        "@namespace@": namespace,
        "@topic@": f"podium-{endpoint}",
        "@location@": location,
    }
    return {path: _filled((TEMPLATES / file).read_text(), words) for path, file in LAYOUT.items()}


def _filled(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text
