"""Names, platforms, layouts and layers."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from podium.errors import DamagedBlob, ImageError, NoSuchImage
from podium.oci import layers
from podium.oci.documents import MANIFEST, ImageConfig, Platform, decode
from podium.oci.layers import File
from podium.oci.layout import Layout
from podium.oci.reference import LayoutReference, Reference, parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "name", "version"),
    [
        ("python:3.11-slim", "docker.io", "library/python", "3.11-slim"),
        ("team/model", "docker.io", "team/model", "latest"),
        ("localhost/model", "localhost", "model", "latest"),
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000", "a/b", "1"),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest"),
        (f"x.azurecr.io/m:1@{DIGEST}", "x.azurecr.io", "m", DIGEST),
    ],
)
def test_a_name_is_read_as_docker_reads_it(text: str, host: str, name: str, version: str) -> None:
    found = Reference.parse(text)
    assert (found.host, found.name, found.version) == (host, name, version)


@pytest.mark.parametrize(
    "text",
    [
        *("", "Host.io/Upper", "host.io/a:", "host.io/a@sha256:12", "host.io/a b"),
        *(
            "localhost:port/a",
            "localhost:65536/a",
            "localhost:0/a",
            "host..io/a",
            "user@host.io/a",
            "a b.io/a",
        ),
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match="is no image's name"):
        Reference.parse(text)


def test_a_layout_is_named_by_its_folder() -> None:
    assert parse("oci:./here:tag") == LayoutReference(folder=Path("here"), tag="tag")
    assert parse("oci:/a:b/c") == LayoutReference(folder=Path("/a:b/c"))
    with pytest.raises(ImageError, match="needs a folder"):
        parse("oci:")


def test_platforms_are_compared_by_what_they_say() -> None:
    wanted = Platform.parse("linux/arm64")
    assert Platform.parse("linux/arm64/v8").runs_on(wanted)
    assert not Platform.parse("linux/amd64").runs_on(wanted)
    with pytest.raises(ImageError, match="'arm64' is no platform"):
        Platform.parse("arm64")


def test_a_document_of_another_kind_is_an_error_in_one_line() -> None:
    with pytest.raises(ImageError, match="x is not what it should be: Object missing required field"):
        decode(b"{}", ImageConfig, what="x")


def test_the_same_files_are_the_same_layer_in_whatever_order(tmp_path: Path) -> None:
    files = [File(path="opt/b/two", content=b"2"), File(path="opt/a", content=b"1", executable=True)]
    one = layers.build(files, Layout(tmp_path / "one"))
    two = layers.build(reversed(files), Layout(tmp_path / "two"))
    assert one == two


def test_a_layer_has_files_and_folders_of_root_without_times(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    content = b"x" * 3_000_000
    files = [File(path="opt/podium/run", content=content, executable=True), File(path="z" * 150, content=b"")]
    layer = layers.build(files, layout)
    plain = gzip.decompress(layout.read(layer.blob))
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        found = {info.name: (info.mode, info.mtime, info.uid, info.isdir()) for info in tar}
        assert tar.extractfile("opt/podium/run").read() == content  # type: ignore[union-attr]
    assert found == {
        "opt": (0o755, 0, 0, True),
        "opt/podium": (0o755, 0, 0, True),
        "opt/podium/run": (0o755, 0, 0, False),
        "z" * 150: (0o644, 0, 0, False),
    }


def test_a_damaged_blob_is_not_given_out(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    blob = layout.put(b"right", "text/plain")
    layout.path(blob.digest).write_bytes(b"wrong")
    with pytest.raises(DamagedBlob, match="is damaged"):
        layout.read(blob)


def test_a_tag_names_one_manifest_and_moves(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with pytest.raises(NoSuchImage, match="is no OCI layout"):
        layout.tagged("1")
    first, second = layout.put(b"first", MANIFEST), layout.put(b"second", MANIFEST)
    layout.tag(first, "1")
    assert layout.tagged().digest == first.digest
    layout.tag(second, "2")
    layout.tag(second, "1")
    assert layout.tagged("1").digest == second.digest
    with pytest.raises(NoSuchImage, match="does not hold '3': it holds 2, 1"):
        layout.tagged("3")
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.parametrize("content", [b"no tar at all", gzip.compress(b"x" * 5000)[:-9], b""])
def test_what_is_no_layer_is_an_error_in_one_line(content: bytes, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    blob = layout.put(content, "application/x.layer")
    with (
        pytest.raises(ImageError, match=r"^it has a layer that cannot be unpacked, sha256:.{64}: .*$"),
        layers.reading(blob, layout, what="it") as tar,
    ):
        tar.getnames()
