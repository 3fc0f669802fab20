"""Images out of the store: what ends half-way says so and has no name."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.bases import AMD, layout_of

from podium.errors import ImageError
from podium.images.transfer import to_docker_archive, to_layout
from podium.oci.documents import LAYER, Descriptor
from podium.oci.layout import Layout


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    return Layout(layout_of(tmp_path / "store", {AMD: os.urandom(100_000)}).folder)


@contextmanager
def a_full_disk() -> Iterator[None]:
    """No file may become larger than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_layout_that_ends_half_way_has_no_tag_and_goes_on_later(store: Layout, tmp_path: Path) -> None:
    top, out = store.tagged(), tmp_path / "out"
    with (
        a_full_disk(),
        pytest.raises(ImageError, match=r"out: File too large; .*whole blobs stay there for the next try"),
    ):
        to_layout(top, store, out, "1")
    assert not [path for path in out.rglob("*") if path.is_file()]
    to_layout(top, store, out, "1")
    assert Layout(out).tagged("1").digest == top.digest


def test_an_archive_that_ends_half_way_is_not_there(store: Layout, tmp_path: Path) -> None:
    out = tmp_path / "out" / "image.tar"
    out.parent.mkdir()
    out.write_text("an older one")
    with a_full_disk(), pytest.raises(ImageError, match=r"image.tar: File too large; nothing of it is kept"):
        to_docker_archive(store.tagged(), store, out, "image:1")
    assert [path.name for path in out.parent.iterdir()] == ["image.tar"]
    assert out.read_text() == "an older one"


def test_an_archive_that_is_interrupted_is_not_there(
    store: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = store.read

    def interrupted(blob: Descriptor) -> bytes:
        if blob.media_type == LAYER:
            raise KeyboardInterrupt
        return read(blob)

    monkeypatch.setattr(store, "read", interrupted)
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        to_docker_archive(store.tagged(), store, tmp_path / "out" / "image.tar", "image:1")
    assert not list((tmp_path / "out").iterdir())
