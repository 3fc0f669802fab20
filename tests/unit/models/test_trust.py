"""The user's trust list fails closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium.errors import Untrusted
from podium.models.trust import Trust, trust_path

DIGEST = "0123456789abcdef" * 4


def a_list(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_list_that_is_not_there_trusts_nobody(tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=f"add this line to .*: rule@{DIGEST}"):
        Trust.load(tmp_path / "trust").check("rule", DIGEST, what="a Python class")


@pytest.mark.parametrize("line", [DIGEST, f"rule@{DIGEST}", f"  rule@{DIGEST}  # made here"])
def test_a_line_allows_the_package_that_it_names(tmp_path: Path, line: str) -> None:
    trust = Trust.load(a_list(tmp_path / "trust", f"# mine\n\n{line}\n"))
    assert trust.allows("rule", DIGEST)
    assert not trust.allows("rule", DIGEST[::-1])


def test_a_line_for_one_model_does_not_allow_another(tmp_path: Path) -> None:
    assert not Trust.load(a_list(tmp_path / "trust", f"rule@{DIGEST}\n")).allows("other", DIGEST)


@pytest.mark.parametrize("line", [DIGEST[:12], "*", f"rule@{DIGEST[:63]}", DIGEST.upper(), f"a b@{DIGEST}"])
def test_one_broken_line_breaks_the_list(tmp_path: Path, line: str) -> None:
    with pytest.raises(Untrusted, match=r"trust:2: .* nothing is trusted"):
        Trust.load(a_list(tmp_path / "trust", f"{DIGEST}\n{line}\n"))


def test_a_list_that_others_can_write_trusts_nobody(tmp_path: Path) -> None:
    path = a_list(tmp_path / "trust", f"{DIGEST}\n")
    path.chmod(0o666)
    with pytest.raises(Untrusted, match="chmod 600"):
        Trust.load(path)


def test_a_list_that_cannot_be_read_trusts_nobody(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "binary"):
        with pytest.raises(Untrusted, match="nothing is trusted"):
            Trust.load(path)


def test_what_is_added_is_there_the_next_time_and_only_once(tmp_path: Path) -> None:
    path = a_list(tmp_path / "trust", "# no newline at the end")
    Trust.load(path).add("rule", DIGEST).add("rule", DIGEST)
    Trust.load(path).add("rule", DIGEST)
    assert path.read_text() == f"# no newline at the end\nrule@{DIGEST}\n"


def test_a_new_list_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "config" / "podium" / "trust"
    Trust.load(path).add("rule", DIGEST)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_list_is_the_users_and_outside_the_project() -> None:
    assert trust_path({"PODIUM_TRUST": "/x/list", "XDG_CONFIG_HOME": "/c"}) == Path("/x/list")
    assert trust_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/podium/trust")
    assert trust_path({}) == Path.home() / ".config" / "podium" / "trust"
