"""What a process of an image is told by its environment."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.docs.pages import ROOT

from podium import environment
from podium.environment import KNOWN, check_names, door_of, number_of, packed_of, post_of, run_of, text_of
from podium.errors import ProjectError
from podium.records import Contender, Policy, Role
from podium.run import Features, Run, WorkerSettings, key_digest
from podium.schema import Field, Kind, Schema

STREAM = "nats://podium:secret@broker:4222"


def settings(tmp_path: Path, **more: object) -> str:
    run = Run(
        policy=Policy(
            endpoint="diabetes",
            revision=1,
            contenders=(Contender(model="linear", version="9f2c1ab04d5e", number=1, role=Role.CHAMPION),),
            deadline_ms=100.0,
            schedule=((0.0, ("champion",)),),
        ),
        inputs=Schema((Field(name="bmi", type=Kind.FLOAT),)),
        outputs=Schema((Field(name="progression", type=Kind.FLOAT),)),
        stream="",
        run_dir="",
        archive="s3://bucket/archive",
        workers={"linear": WorkerSettings(threads=2, timeout=3.0)},
    )
    told = msgspec.to_builtins(run)
    for name in ("stream", "run_dir", "registry"):
        del told[name]
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({**told, **more}))
    return str(path)


def test_a_worker_needs_its_endpoint_and_its_stream_and_no_file() -> None:
    post = post_of({"PODIUM_STREAM": STREAM, "PODIUM_ENDPOINT": "diabetes"}, "linear")
    assert (post.stream, post.endpoint, post.run_dir) == (STREAM, "diabetes", "/tmp/podium")
    assert post.worker == WorkerSettings()


def test_the_file_says_how_a_model_runs_and_variables_win(tmp_path: Path) -> None:
    told = {"PODIUM_SETTINGS": settings(tmp_path), "PODIUM_STREAM": STREAM, "PODIUM_THREADS": "4"}
    post = post_of(told, "linear")
    assert (post.endpoint, post.worker.threads, post.worker.timeout) == ("diabetes", 4, 3.0)


def test_gateway_and_archiver_get_the_file_and_secrets_from_variables(tmp_path: Path) -> None:
    told = {
        "PODIUM_SETTINGS": settings(tmp_path),
        "PODIUM_STREAM": STREAM,
        "PODIUM_ARCHIVE": "/archive",
        "PODIUM_ADMIN_KEY": "key",
    }
    run = run_of(told)
    assert (run.stream, run.archive, run.admin_key) == (STREAM, "/archive", key_digest("key"))
    assert run.endpoint == "diabetes"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "PODIUM_ENDPOINT is not set"),
        ({"PODIUM_ENDPOINT": "diabetes"}, "PODIUM_STREAM is not set"),
        ({"PODIUM_SETTINGS": "/nowhere.json"}, "/nowhere.json is not there"),
        (
            {"PODIUM_ENDPOINT": "d", "PODIUM_STREAM": STREAM, "PODIUM_THREADS": "two"},
            "PODIUM_THREADS is 'two': a whole number, 1 or more",
        ),
        (
            {"PODIUM_ENDPOINT": "d", "PODIUM_STREAM": STREAM, "PODIUM_TIMEOUT": "nan"},
            "PODIUM_TIMEOUT is 'nan'",
        ),
    ],
)
def test_what_a_worker_is_not_told_or_told_wrongly_is_said(told: dict[str, str], said: str) -> None:
    with pytest.raises(ProjectError, match=said):
        post_of(told, "linear")


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    told = {"PODIUM_SETTINGS": settings(tmp_path, limits={"in_flight": "many"}), "PODIUM_STREAM": STREAM}
    with pytest.raises(ProjectError, match=r"settings\.json: Expected `int`, got `str` - at `\$\.limits"):
        run_of(told)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("[1")
    with pytest.raises(ProjectError, match=r"settings\.json is no JSON object"):
        run_of({"PODIUM_SETTINGS": str(tmp_path / "settings.json")})


def test_gateway_and_archiver_do_not_go_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "SETTINGS", Path("/nowhere/settings.json"))
    with pytest.raises(ProjectError, match=r"/nowhere/settings\.json is not there: mount it"):
        run_of({"PODIUM_STREAM": STREAM})


def test_secrets_may_be_files(tmp_path: Path) -> None:
    (tmp_path / "stream").write_text(f"{STREAM}\n")
    (tmp_path / "key").write_text("key\n")
    told = {"PODIUM_SETTINGS": settings(tmp_path), "PODIUM_STREAM_FILE": str(tmp_path / "stream")}
    run = run_of({**told, "PODIUM_ADMIN_KEY_FILE": str(tmp_path / "key")})
    assert (run.stream, run.admin_key) == (STREAM, key_digest("key"))
    (tmp_path / "key").write_text("")
    assert run_of({**told, "PODIUM_ADMIN_KEY_FILE": str(tmp_path / "key")}).admin_key == ""
    assert run_of({**told, "PODIUM_STREAM": "nats://other:4222"}).stream == "nats://other:4222"
    with pytest.raises(ProjectError, match=r"PODIUM_STREAM_FILE names .*/nothing, which cannot be read"):
        run_of({**told, "PODIUM_STREAM_FILE": str(tmp_path / "nothing")})


def test_the_file_holds_no_secret_and_says_all_else(tmp_path: Path) -> None:
    told = {"PODIUM_SETTINGS": settings(tmp_path), "PODIUM_STREAM": STREAM, "PODIUM_ADMIN_KEY": "key"}
    run = run_of(told)
    (tmp_path / "settings.json").write_text(text_of(run))
    assert STREAM not in text_of(run)
    assert key_digest("key") not in text_of(run)
    assert run_of(told) == run


def test_the_file_does_not_say_where_the_project_is(tmp_path: Path) -> None:
    run = run_of({"PODIUM_SETTINGS": settings(tmp_path), "PODIUM_STREAM": STREAM})
    looked_up = Features(source="redis", at="redis://r:6379", fields=run.outputs, folder="/home/somebody")
    assert "/home/somebody" not in text_of(msgspec.structs.replace(run, features=looked_up))


def test_a_variable_that_is_nearly_ours_is_a_mistake() -> None:
    with pytest.raises(ProjectError, match=r"no variable PODIUM_STEAM \(did you mean PODIUM_STREAM\?\)"):
        check_names({"PODIUM_STEAM": STREAM})


def test_what_kubernetes_sets_for_a_service_called_podium_is_none() -> None:
    check_names(
        {
            "PODIUM_SERVICE_HOST": "10.0.0.1",
            "PODIUM_PORT_8080_TCP": "tcp://10.0.0.1:8080",
            "PODIUM_GATEWAY_SERVICE_PORT": "80",
            "PODIUM_STREAM_PORT": "tcp://10.0.0.2:4222",
        }
    )


def test_a_port_that_kubernetes_has_set_says_how_to_stop_it() -> None:
    with pytest.raises(ProjectError, match="enableServiceLinks: false"):
        door_of({"PODIUM_PORT": "tcp://10.0.0.1:8080"})


def test_the_gateways_doors() -> None:
    assert door_of({}) == ("0.0.0.0", 8080, None)
    assert door_of({"PODIUM_HOST": "127.0.0.1", "PODIUM_PORT": "80", "PODIUM_GRPC_PORT": "90"}) == (
        "127.0.0.1",
        80,
        90,
    )
    with pytest.raises(ProjectError, match="PODIUM_PORT is 70000"):
        door_of({"PODIUM_PORT": "70000"})


def test_a_package_without_its_whole_digest_is_not_served() -> None:
    packed = packed_of({"PODIUM_DIGEST": "a" * 64, "PODIUM_VERSION_NUMBER": "3"}, "/tmp/podium")
    assert (packed.place, packed.number) == ("/models", 3)
    with pytest.raises(ProjectError, match="PODIUM_DIGEST is 'aaaa'"):
        packed_of({"PODIUM_DIGEST": "aaaa"}, "/tmp/podium")


def test_replicas_are_told_apart_by_their_number() -> None:
    assert number_of({"PODIUM_NUMBER": "7"}) == 7


@pytest.mark.parametrize("name", KNOWN)
def test_every_variable_is_in_the_documents(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "images.md").read_text()
