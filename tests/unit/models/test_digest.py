"""What a digest counts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from podium.errors import DigestMismatch, PackageError
from podium.models.digest import digest_of, verify


def test_the_digest_is_the_hash_of_the_sorted_lines(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"")
    empty, two = hashlib.sha256(b"").hexdigest(), hashlib.sha256(b"two").hexdigest()
    lines = f"{empty} 0 a\n{two} 3 b/c\n"
    assert digest_of(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()


def test_a_renamed_file_is_another_package(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    before = digest_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(DigestMismatch, match="changed or damaged"):
        verify(tmp_path, before)


def test_a_link_is_no_part_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc/hostname")
    with pytest.raises(PackageError, match="not a plain file"):
        digest_of(tmp_path)


def test_a_folder_that_is_not_there_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no files"):
        digest_of(tmp_path / "nothing")
