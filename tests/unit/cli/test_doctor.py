"""What stands in the way is found, with how to mend it."""

from __future__ import annotations

import socket
from pathlib import Path

import duckdb
import pytest
from arro3.core import RecordBatchReader
from deltalake import write_deltalake

from podium.cli.doctor import NO_PATH, Finding, Level, examine
from podium.node.broker import OVERRIDE


def found(folder: Path, check: str, port: int = 0) -> Finding:
    return next(finding for finding in examine(folder, port) if finding.check == check)


def test_a_machine_that_works_is_ok(tmp_path: Path) -> None:
    findings = {finding.check: finding for finding in examine(tmp_path, 0)}
    for check in ("python", "podium and what it needs", "broker", "port"):
        assert findings[check].level is Level.OK, findings[check]


def test_a_folder_without_a_project_is_only_worth_a_warning(tmp_path: Path) -> None:
    assert found(tmp_path, "project").level is Level.WARN


def test_a_project_that_cannot_be_read_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "podium.toml").write_text("[endpoint]\nnmae = 'x'\n")
    project = found(tmp_path, "project")
    assert project.level is Level.FAIL
    assert "podium.toml:2" in project.found


def test_a_taken_port_is_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = found(tmp_path, "port", taken.getsockname()[1])
    assert port.level is Level.FAIL
    assert "--port" in port.mend


def test_a_port_of_grpc_is_looked_at_where_it_is_named(tmp_path: Path) -> None:
    assert all(finding.check != "gRPC port" for finding in examine(tmp_path, 0))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (port,) = (f for f in examine(tmp_path, 0, taken.getsockname()[1]) if f.check == "gRPC port")
    assert port.level is Level.FAIL
    assert "--grpc-port" in port.mend


@pytest.mark.parametrize("letter", NO_PATH)
def test_an_archive_that_deltalake_cannot_open_is_found(tmp_path: Path, letter: str) -> None:
    folder = tmp_path / f"a{letter}b"
    folder.mkdir()
    (folder / "podium.toml").write_text(
        '[endpoint]\nname = "e"\n[models.shell]\ncommand = ["sh"]\nrole = "champion"\n'
    )
    archive = found(folder, "archive")
    assert archive.level is Level.FAIL
    assert f"no {letter} in a path" in archive.found
    with duckdb.connect() as connection:
        rows = RecordBatchReader.from_arrow(connection.sql("SELECT 1 AS x"))
        # A panic of deltalake's own language is no Exception.
        with pytest.raises(BaseException, match="Invalid object store url"):
            write_deltalake(str(folder / "table"), rows)


def test_a_broker_that_does_not_start_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "/bin/false")
    broker = found(tmp_path, "broker")
    assert broker.level is Level.FAIL
    assert OVERRIDE in broker.mend


def test_a_language_that_is_not_installed_is_found(tmp_path: Path) -> None:
    (tmp_path / "podium.toml").write_text(
        '[endpoint]\nname = "e"\n[models.rule]\ncommand = ["no-such-language"]\nrole = "champion"\n'
        '[models.shell]\ncommand = ["sh"]\nrole = "canary"\n'
    )
    rule = found(tmp_path, "program of rule")
    assert rule.level is Level.FAIL
    assert "no-such-language" in rule.found
    assert "[models.rule]" in rule.mend
    assert found(tmp_path, "program of shell").level is Level.OK


def with_features(folder: Path, lines: str) -> Finding:
    (folder / "podium.toml").write_text(
        '[endpoint]\nname = "e"\n[endpoint.inputs]\ncustomer = "int"\n'
        '[models.shell]\ncommand = ["sh"]\nrole = "champion"\n'
        f'[features]\n{lines}\n[features.fields]\nage = {{ type = "float", default = 0.0 }}\n'
    )
    return found(folder, "features")


def test_a_table_of_features_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    features = with_features(tmp_path, 'table = "customers.parquet"\nkey = "customer"')
    assert features.level is Level.FAIL
    assert "customers.parquet" in features.found
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT 1 AS customer, 2.0 AS age) TO '{tmp_path / 'customers.parquet'}' (FORMAT parquet)"
        )
    assert found(tmp_path, "features").level is Level.OK


def test_a_service_of_features_that_is_away_is_worth_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        url = f"http://127.0.0.1:{service.getsockname()[1]}/customers"
        assert with_features(tmp_path, f'url = "{url}"\nkey = "customer"').level is Level.OK
    features = found(tmp_path, "features")
    assert features.level is Level.WARN
    assert url in features.found


def test_a_password_of_redis_is_not_shown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    lines = f'redis = "redis://user:secret@127.0.0.1:{port}/0"\nkey = "customer"\nname = "{{key}}"'
    features = with_features(tmp_path, lines)
    assert features.found == f"nobody listens at redis://127.0.0.1:{port}/0"


def test_what_another_system_needs_is_not_missing_here(tmp_path: Path) -> None:
    (extra,) = (finding for finding in examine(tmp_path, 0) if finding.check == "extra xgboost")
    assert extra.level is Level.OK, extra
