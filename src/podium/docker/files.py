"""All files of an endpoint in containers, by path, but for Podium's own (`images/program/`)."""

from __future__ import annotations

from podium.docker.compose import compose
from podium.docker.dockerfile import FILE, context, dockerfile
from podium.docker.plan import IMAGES, DockerPlan
from podium.docker.stream import CONFIG, config
from podium.environment import SETTINGS, text_of

COMPOSE = "compose.yaml"


def files(plan: DockerPlan) -> dict[str, bytes]:
    """No secret is among them: they are named, and somebody else makes them."""
    texts = {
        COMPOSE: compose(plan),
        SETTINGS.name: text_of(plan.run),
        f"{IMAGES}/{FILE}": dockerfile(plan),
        **({CONFIG: config(plan)} if plan.own_stream else {}),
    }
    built = {f"{IMAGES}/{path}": content for path, content in context(plan).items()}
    return {path: text.encode() for path, text in texts.items()} | built
