"""Wheels: real pip, with an index that is a folder; a lock that holds; nothing that leaves its folder."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from podium.errors import DamagedBlob, ImageError, WrongPlatform
from podium.images.wheels import LOCK, Target, gather, place_of, unpacked
from podium.oci.documents import Platform

AMD = Target(platform=Platform.parse("linux/amd64"), python="3.11")
ARM = Target(platform=Platform.parse("linux/arm64"), python="3.11")


def wheel(
    folder: Path, tag: str = "py3-none-any", *, text: str = "one", more: dict[str, str] | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"example_lib-1.0-{tag}.whl"
    files = {
        "example_lib/__init__.py": f"text = {text!r}\n",
        "example_lib-1.0.data/platlib/example_lib/inner.py": "",
        "example_lib-1.0.data/scripts/example": "#!python\n",
        "example_lib-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: example-lib\nVersion: 1.0\n",
        "example_lib-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        "example_lib-1.0.dist-info/RECORD": "",
        **(more or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
    return path


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_wheel_is_locked_when_it_is_first_gathered_and_then_no_index_is_asked(
    tmp_path: Path, index: Path
) -> None:
    made = wheel(index)
    lock, cache = tmp_path / LOCK, tmp_path / "cache"
    (found,) = gather({"example-lib": "1.0"}, AMD, lock=lock, cache=cache)
    assert json.loads(lock.read_text())["linux/amd64 python3.11"][0]["sha256"] == found.sha256
    made.unlink()
    assert gather({"example-lib": "1.0"}, AMD, lock=lock, cache=cache) == [found]


def test_another_wheel_under_the_same_name_is_refused(tmp_path: Path, index: Path) -> None:
    wheel(index)
    lock = tmp_path / LOCK
    gather({"example-lib": "1.0"}, AMD, lock=lock, cache=tmp_path / "cache")
    wheel(index, text="two")
    with pytest.raises(ImageError, match=r"images.lock names other bytes than the index has"):
        gather({"example-lib": "1.0"}, AMD, lock=lock, cache=tmp_path / "empty")


def test_each_platform_gets_its_own_wheel_and_a_missing_one_is_named(tmp_path: Path, index: Path) -> None:
    wheel(index, "cp311-cp311-manylinux_2_17_x86_64")
    wheel(index, "cp311-abi3-manylinux_2_28_aarch64")
    lock, cache = tmp_path / LOCK, tmp_path / "cache"
    (amd,) = gather({"example-lib": "1.0"}, AMD, lock=lock, cache=cache)
    (arm,) = gather({"example-lib": "1.0"}, ARM, lock=lock, cache=cache)
    assert (amd.file.split("-")[-1], arm.file.split("-")[-1]) == (
        "manylinux_2_17_x86_64.whl",
        "manylinux_2_28_aarch64.whl",
    )
    old = Target(platform=AMD.platform, python="3.10")
    with pytest.raises(ImageError, match=r"no wheels for linux/amd64 python3.10: .*example-lib==1.0"):
        gather({"example-lib": "1.0"}, old, lock=lock, cache=cache)


def test_a_platform_that_has_no_wheels_is_named() -> None:
    target = Target(platform=Platform.parse("windows/amd64"), python="3.11")
    with pytest.raises(WrongPlatform, match="images are for linux/amd64, linux/arm64"):
        _ = target.options


def test_what_is_imported_is_unpacked_and_scripts_are_not(tmp_path: Path, index: Path) -> None:
    wheel(index)
    cache = tmp_path / "cache"
    found = gather({"example-lib": "1.0"}, AMD, lock=tmp_path / LOCK, cache=cache)
    paths = {file.path.removeprefix("opt/podium/libraries/") for file in unpacked(found, cache)}
    assert {"example_lib/__init__.py", "example_lib/inner.py"} < paths
    assert not [path for path in paths if "example-lib" in path or "data" in path]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a\\b"])
def test_a_wheel_that_writes_outside_its_folder_is_refused(name: str, tmp_path: Path, index: Path) -> None:
    wheel(index, more={name: "x"})
    cache = tmp_path / "cache"
    found = gather({"example-lib": "1.0"}, AMD, lock=tmp_path / LOCK, cache=cache)
    with pytest.raises(ImageError, match="wants to write outside its folder"):
        list(unpacked(found, cache))


def test_a_wheel_that_was_damaged_here_is_not_packed(tmp_path: Path, index: Path) -> None:
    wheel(index)
    cache = tmp_path / "cache"
    found = gather({"example-lib": "1.0"}, AMD, lock=tmp_path / LOCK, cache=cache)
    place_of(found[0], cache).write_bytes(b"other")
    with pytest.raises(DamagedBlob, match="its bytes have another digest"):
        list(unpacked(found, cache))


def test_a_lock_that_is_broken_says_how_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("{")
    with pytest.raises(ImageError, match="delete it, and the next build writes it anew"):
        gather({"example-lib": "1.0"}, AMD, lock=tmp_path / LOCK, cache=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, index: Path) -> None:
    wheel(index)
    cache = tmp_path / "cache"
    cache.write_text("a file")
    with pytest.raises(ImageError, match=f"cannot keep wheels in {cache}: "):
        gather({"example-lib": "1.0"}, AMD, lock=tmp_path / LOCK, cache=cache)
    assert not (tmp_path / LOCK).exists()
