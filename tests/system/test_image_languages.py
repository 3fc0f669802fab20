"""Models of other languages in images: a program in the user's base, a sidecar of the user's server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.docs.pages import ROOT
from tests.registries import free_port, needed
from tests.system.containers import Podman, answered, broker, build, settings_of, until
from tests.system.running import PODIUM, podium

from podium.oci.reference import LayoutReference

PROJECT = """
[endpoint]
name = "diabetes"
deadline = "1s"

[endpoint.inputs]
bmi = "float"

[endpoint.outputs]
progression = "float"

[models.awk]
command = ["mawk", "-W", "interactive", "-f", "rule.awk"]
role = "champion"

[models.served]
url = "http://127.0.0.1:PORT"
protocol = "sagemaker"
role = "challenger"
"""
"""The server's answer is 1000 more than its input (container.py), the program's twice its input."""

RULE = r"""
{
    match($0, /"id":[0-9]+/); id = substr($0, RSTART + 5, RLENGTH - 5)
    match($0, /"bmi":\[[^\]]*/); rows = split(substr($0, RSTART + 7, RLENGTH - 7), bmi, ",")
    printf "{\"id\":%s,\"columns\":{\"progression\":[", id
    for (row = 1; row <= rows; row++) printf "%s%.17g", (row > 1 ? "," : ""), 2 * bmi[row]
    print "]}}"; fflush()
}
"""


@contextmanager
def gateway(settings: Path, stream: str, folder: Path) -> Iterator[str]:
    """A real one, told by its environment as in an image; its URL."""
    port = free_port()
    told = {
        "PODIUM_STREAM": stream,
        "PODIUM_SETTINGS": str(settings),
        "PODIUM_RUN_DIR": str(folder / "gateway"),
        "PODIUM_HOST": "127.0.0.1",
        "PODIUM_PORT": str(port),
    }
    with subprocess.Popen([*PODIUM, "run", "gateway"], env={**os.environ, **told}) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.mark.timeout(240)
@pytest.mark.xdist_group("containers")
def test_a_program_in_the_users_base_and_a_sidecar_of_the_users_server_score_through_a_gateway(
    tmp_path: Path, base: LayoutReference, podman: Podman
) -> None:
    needed("mawk")
    folder, own, server_port = tmp_path / "diabetes", tmp_path / "own", free_port()
    folder.mkdir()
    (folder / "rule.awk").write_text(RULE)
    (folder / "podium.toml").write_text(PROJECT.replace("PORT", str(server_port)))
    podman.take(base, "localhost/debian:1")
    podman.make(
        "localhost/own:1", "FROM localhost/debian:1\nCOPY mawk /usr/bin/\n", {"mawk": Path("/usr/bin/mawk")}
    )
    podman("push", "--quiet", "localhost/own:1", f"oci:{own}:1")
    podman.make(
        "localhost/server:1",
        'FROM localhost/debian:1\nCOPY server.py /\nENTRYPOINT ["python3", "/server.py"]\n',
        {"server.py": ROOT / "tests" / "system" / "container.py"},
    )
    podman.run("localhost/server:1", str(server_port), env={})
    until(f"http://127.0.0.1:{server_port}/ping", 200, podman)
    told = {"PODIUM_TRUST": str(tmp_path / "trust")}
    podium(folder, "train", env=told)
    for model, standing_on in (("awk", LayoutReference(folder=own, tag="1")), ("served", base)):
        image = tmp_path / model
        words = ("-t", f"{model}:1", "--base", str(standing_on), "--output", f"oci:{image}:1")
        build(folder, model, *words, env=told)
        podman.take(LayoutReference(folder=image, tag="1"), f"localhost/{model}:1")
    with broker(tmp_path / "broker") as stream:
        settings = settings_of(folder, stream, "awk", "served")
        for model in ("awk", "served"):
            health = free_port()
            env = {
                "PODIUM_STREAM": stream.url,
                "PODIUM_ENDPOINT": "diabetes",
                "PODIUM_HEALTH_PORT": str(health),
            }
            podman.run(f"localhost/{model}:1", env=env)
            until(f"http://127.0.0.1:{health}/ready", 200, podman)
        with gateway(settings, stream.url, tmp_path) as url:
            until(f"{url}/ready", 200, podman)
            for model, expected in (("awk", 0.1), ("served", 1000.05)):
                status, body = answered(f"{url}/score/diabetes", b'{"bmi": 0.05}', podium_force=model)
                answer = json.loads(body)
                assert (status, answer["model"], answer["rule"]) == (200, model, "forced")
                assert answer["answer"]["progression"] == pytest.approx(expected)
        for name in podman.running[1:]:
            podman("stop", "--time", "10", name)
            assert podman("inspect", "--format", "{{.State.ExitCode}}", name) == "0", podman("logs", name)
