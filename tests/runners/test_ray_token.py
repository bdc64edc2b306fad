"""The file of Ray's authentication token."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.runners.ray_token import _write_new, secure_token


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the token of a user with an empty home is to be."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return tmp_path / ".ray" / "auth_token"


def test_a_missing_one_is_made_for_its_owner_alone(token: Path) -> None:
    secure_token()
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(token.read_text())) == 32


def test_it_stays_from_run_to_run(token: Path) -> None:
    secure_token()
    first = token.read_text()
    secure_token()
    assert token.read_text() == first


def test_one_that_others_may_read_is_closed_to_them(token: Path) -> None:
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    secure_token()
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("secret", 0o600)


@pytest.mark.parametrize("variable", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_the_users_own_is_left_alone(token: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "given")
    secure_token()
    assert not token.exists()


def test_a_home_that_cannot_hold_it_is_left_to_ray(monkeypatch: pytest.MonkeyPatch, token: Path) -> None:
    file = token.parent.parent / "file"
    file.write_text("")
    monkeypatch.setenv("HOME", str(file))
    secure_token()
    assert file.read_text() == ""


def test_of_two_at_once_the_first_wins(tmp_path: Path) -> None:
    _write_new(tmp_path / "token", "first")
    _write_new(tmp_path / "token", "second")
    assert (tmp_path / "token").read_text() == "first"
