"""The files for an endpoint. Worldwide names, and all that somebody may want otherwise, are parameters."""

from __future__ import annotations

import re
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


def render(endpoint: str, *, location: str = LOCATION) -> dict[str, str]:
    """Relative path → content."""
    words = {"@endpoint@": dns_name(endpoint), "@topic@": f"podium-{endpoint}", "@location@": location}
    return {path: _filled((TEMPLATES / name).read_text(), words) for path, name in LAYOUT.items()}


def dns_name(endpoint: str) -> str:
    """As Kubernetes and Azure write names: small letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9-]+", "-", endpoint.lower()).strip("-")


def _filled(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text
