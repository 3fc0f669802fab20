"""One Dockerfile with a stage for each image, and what a builder is given beside it.

The images are those of `podium build`: the same wheels, files, variables, user. What makes them is the
user's own builder, so a base and its packages can be changed as everybody is used to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from podium.docker.plan import ARCHIVE_DIR, GATEWAY, STREAM, DockerPlan, Image, worker
from podium.images import contents
from podium.images.build import ENTRYPOINT, USER, annotations_of, env_of
from podium.images.wheels import Wheel

FILE = "Dockerfile"
PROGRAM = "program"
REQUIREMENTS = "requirements.txt"
_LISTED = f"/opt/podium/{REQUIREMENTS}"
_PIP = (
    "python3 -m pip install --no-input --no-cache-dir --no-compile --no-deps --only-binary=:all:",
    "    --disable-pip-version-check --root-user-action=ignore --require-hashes",
    f"    --target /{contents.LIBRARIES} --requirement {_LISTED}",
)


def dockerfile(plan: DockerPlan) -> str:
    stages = [*_stream(plan), _gateway(plan.gateway)]
    stages += [_stage(worker(model), image) for model, image in plan.workers.items()]
    head = f"# The images of the endpoint {plan.run.endpoint}, as `podium render docker` wrote them."
    return "\n".join([head, *("\n".join(["", *lines]) for lines in stages), ""])


def context(plan: DockerPlan) -> dict[str, bytes]:
    """What the Dockerfile copies, but for Podium itself, which is under `program/`."""
    files = {}
    for name, image in ((GATEWAY, plan.gateway), *((worker(m), i) for m, i in plan.workers.items())):
        files[f"{name}/{REQUIREMENTS}"] = requirements(image).encode()
        files |= {f"{name}/files/{file.path}": file.content for file in image.plan.files}
    return files


def requirements(image: Image) -> str:
    """As pip takes them with `--require-hashes`: each library with its wheel for every platform."""
    lines = []
    for name, version in sorted(image.plan.libraries.items()):
        hashes = sorted({wheel.sha256 for wheel in image.wheels if _is(wheel, name, version)})
        lines.append(" \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{h}" for h in hashes)]))
    return "".join(f"{line}\n" for line in lines)


def _is(wheel: Wheel, name: str, version: str) -> bool:
    return (wheel.name, wheel.version) == (name, version)


# --- stages ---------------------------------------------------------------------------------


def _stream(plan: DockerPlan) -> Iterator[list[str]]:
    """NATS's own image, as somebody who is not root."""
    if plan.own_stream:
        yield [
            f"FROM {plan.stream_image} AS {STREAM}",
            "USER 0",
            _folder("/data"),
            f"USER {USER}",
            f"ENTRYPOINT {json.dumps(['nats-server', '--config', '/etc/nats/nats.conf'])}",
            "CMD []",
        ]


def _gateway(image: Image) -> list[str]:
    return _stage(GATEWAY, image, before=[_folder(ARCHIVE_DIR)])


def _folder(path: str) -> str:
    """A volume that is new gets the owner that the folder has in the image."""
    return f"RUN mkdir -p {path} && chown {USER} {path}"


def _stage(name: str, image: Image, *, before: Iterable[str] = ()) -> list[str]:
    plan = image.plan
    return [
        f"FROM {image.base} AS {name}",
        "USER 0",
        *before,
        f"COPY {name}/{REQUIREMENTS} {_LISTED}",
        "RUN " + " \\\n".join(_PIP),
        f"COPY {PROGRAM}/ /{contents.PROGRAM}/",
        *([f"COPY {name}/files/ /"] if plan.files else []),
        *_settings("ENV", env_of(plan)),
        *_settings("LABEL", annotations_of(plan)),
        *(f"EXPOSE {port}" for port in plan.ports),
        "WORKDIR /",
        f"USER {USER}",
        f"ENTRYPOINT {json.dumps(ENTRYPOINT)}",
        f"CMD {json.dumps(plan.command)}",
    ]


def _settings(word: str, values: Mapping[str, str]) -> list[str]:
    pairs = [f"{name}={_quoted(value)}" for name, value in values.items()]
    return [f"{word} " + " \\\n    ".join(pairs)]


def _quoted(text: str) -> str:
    """Within quotes a builder takes `\\`, `"` and `$` for its own; a line's end it cannot have at all."""
    escaped = " ".join(text.splitlines())
    for sign in ("\\", '"', "$"):
        escaped = escaped.replace(sign, f"\\{sign}")
    return f'"{escaped}"'
