"""The registry in a folder: atomic, and safe with several writers."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from podium.errors import RegistryError, UnknownVersion
from podium.models import manifest as manifests
from podium.models.digest import digest_of
from podium.models.manifest import Manifest, Revision, Tolerance
from podium.registry.folder import FolderRegistry
from podium.schema import Schema

MANIFEST = Manifest(
    model="linear",
    format="onnx",
    inputs=Schema(()),
    outputs=Schema(()),
    metrics={"mae": 41.2},
    tolerance=Tolerance(relative=0.0, absolute=0.0),
    data="0" * 64,
    revision=Revision(module="1" * 64),
    python="3.11",
    libraries={},
)


def a_package(folder: Path, content: str, model: str = "linear") -> Path:
    folder.mkdir(parents=True)
    manifests.write(msgspec.structs.replace(MANIFEST, model=model), folder)
    (folder / "code").mkdir()
    (folder / "code" / "model").write_text(content)
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "registry")


def test_versions_count_from_one_and_keep_their_bytes(registry: FolderRegistry, tmp_path: Path) -> None:
    first = registry.put(a_package(tmp_path / "a", "a"))
    second = registry.put(a_package(tmp_path / "b", "b"))
    assert (first.number, second.number) == (1, 2)
    assert digest_of(second.path) == second.digest == second.path.name
    assert registry.versions("linear") == registry.versions() == [first, second]
    assert first.metrics == {"mae": 41.2}


def test_the_same_package_keeps_its_number_and_its_time(registry: FolderRegistry, tmp_path: Path) -> None:
    package = a_package(tmp_path / "a", "a")
    first = registry.put(package)
    registry.put(a_package(tmp_path / "b", "b"))
    assert registry.put(package) == first


def test_a_version_is_found_by_number_prefix_or_as_the_newest(
    registry: FolderRegistry, tmp_path: Path
) -> None:
    versions = [registry.put(a_package(tmp_path / name, name)) for name in "abc"]
    assert registry.find("linear") == versions[-1]
    assert registry.find("linear", "2") == registry.find("linear", 2) == versions[1]
    assert registry.find("linear", versions[0].digest[:6]) == versions[0]
    assert registry.find("linear", versions[0].digest) == versions[0]


def test_a_version_that_is_not_there_lists_those_that_are(registry: FolderRegistry, tmp_path: Path) -> None:
    version = registry.put(a_package(tmp_path / "a", "a"))
    with pytest.raises(UnknownVersion, match=rf"no linear@7; linear has 1 \({version.short}\)"):
        registry.find("linear", "7")
    with pytest.raises(UnknownVersion, match="no linear@"):
        registry.find("linear", version.digest[:3] if not version.digest[:3].isdigit() else "zzz")
    with pytest.raises(UnknownVersion, match=r"'liner' \(did you mean 'linear'\?\); there are linear"):
        registry.find("liner")
    with pytest.raises(UnknownVersion, match="podium train linear"):
        FolderRegistry(tmp_path / "empty").find("linear")


def test_a_version_whose_package_is_gone_says_what_brings_it_back(
    registry: FolderRegistry, tmp_path: Path
) -> None:
    version = registry.put(a_package(tmp_path / "a", "a"))
    version.path.rename(tmp_path / "gone")
    with pytest.raises(UnknownVersion, match=r"of linear@1 .* is gone from .*`podium train linear` makes it"):
        registry.find("linear")


def test_an_ambiguous_prefix_lists_what_it_could_be(registry: FolderRegistry, tmp_path: Path) -> None:
    version = registry.put(a_package(tmp_path / "a", "a"))
    entry = registry.folder / "models" / "linear" / "1"
    other = version.digest[:8] + "0" * 56
    (entry.parent / "2").write_bytes(entry.read_bytes().replace(version.digest.encode(), other.encode()))
    with pytest.raises(UnknownVersion, match=rf"could be 1 \({version.short}\), 2 \({other[:12]}\)"):
        registry.find("linear", version.digest[:6])


def test_a_name_is_no_way_out_of_the_folder(registry: FolderRegistry, tmp_path: Path) -> None:
    with pytest.raises(UnknownVersion, match="cannot be the name"):
        registry.find("../packages")
    with pytest.raises(UnknownVersion, match="cannot be the name"):
        registry.put(a_package(tmp_path / "a", "a", model="../../x"))


def test_a_damaged_package_is_replaced_by_the_same_one(registry: FolderRegistry, tmp_path: Path) -> None:
    package = a_package(tmp_path / "a", "a")
    version = registry.put(package)
    (version.path / "code" / "model").chmod(0o644)
    (version.path / "code" / "model").write_text("rotten")
    assert registry.put(package) == version
    assert digest_of(version.path) == version.digest


def test_packages_cannot_be_changed_by_accident(registry: FolderRegistry, tmp_path: Path) -> None:
    version = registry.put(a_package(tmp_path / "a", "a"))
    modes = {path.stat().st_mode & 0o222 for path in version.path.rglob("*") if path.is_file()}
    assert modes == {0}


PUT = """
import sys
from pathlib import Path
from podium.registry.folder import FolderRegistry
registry = FolderRegistry(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for package in sys.argv[2:]:
    registry.put(Path(package))
"""


def test_two_processes_that_write_at_once_make_no_holes_and_no_doubles(
    registry: FolderRegistry, tmp_path: Path
) -> None:
    packages = [str(a_package(tmp_path / f"p{n}", str(n))) for n in range(12)]
    orders = [packages, packages[::-1], packages[6:] + packages[:6]]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", PUT, str(registry.folder), *order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for order in orders
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    versions = registry.versions("linear")
    assert [version.number for version in versions] == list(range(1, 13))
    assert len({version.digest for version in versions}) == 12
    assert all(digest_of(version.path) == version.digest for version in versions)
    assert not list((registry.folder / "incoming").iterdir())


def test_what_a_crash_leaves_is_never_seen(registry: FolderRegistry, tmp_path: Path) -> None:
    half = registry.folder / "incoming" / "deadbeef"
    half.mkdir(parents=True)
    (half / "manifest.json").write_text("{")
    assert registry.versions() == []
    assert registry.put(a_package(tmp_path / "a", "a")).number == 1


FULL = """
import sys, resource
from pathlib import Path
from podium.errors import RegistryError
from podium.registry.folder import FolderRegistry
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    FolderRegistry(Path(sys.argv[1])).put(Path(sys.argv[2]))
except RegistryError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file size")
def test_a_disk_that_takes_no_more_leaves_nothing_half_visible(
    registry: FolderRegistry, tmp_path: Path
) -> None:
    package = a_package(tmp_path / "a", "x" * 50_000)
    command = [sys.executable, "-c", FULL, str(registry.folder), str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "cannot be used: File too large; nothing was changed" in done.stdout
    assert registry.versions() == []
    assert not list((registry.folder / "packages").iterdir())
    assert not list((registry.folder / "incoming").iterdir())


def test_a_registry_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "registry").write_text("a file")
    with pytest.raises(RegistryError, match="cannot be used"):
        FolderRegistry(tmp_path / "registry").put(a_package(tmp_path / "a", "a"))
