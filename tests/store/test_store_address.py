"""Addresses: what is parsed, and that no password is ever shown."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from nas.errors import StoreError
from nas.store import Store, mask
from nas.store.address import parse_address


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("nas.db", "nas.db"),
        ("postgresql://me@host/nas", "postgresql://me@host/nas"),
        ("postgresql://me:secret@host:5432/nas", "postgresql://me:***@host:5432/nas"),
        ("postgresql://me:se@cr/et@host/nas", "postgresql://me:***@host/nas"),
        ("postgresql://:secret@host/nas", "postgresql://:***@host/nas"),
        (
            "postgresql://host/nas?user=me&password=secret&x=1",
            "postgresql://host/nas?user=me&password=***&x=1",
        ),
        ("postgresql://host/nas?sslpassword=secret", "postgresql://host/nas?sslpassword=***"),
        ("mysql://me:secret@host/nas", "mysql://me:***@host/nas"),
        ("a\x1b[31m\nb", "a\\x1b[31m\\nb"),
        ("/data/user:name@host/nas.db", "/data/user:name@host/nas.db"),
    ],
)
def test_passwords_and_control_characters_are_hidden(reference: str, shown: str) -> None:
    assert mask(reference) == shown
    assert "secret" not in mask(reference)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_postgres_spelling_takes_psycopg_3(scheme: str) -> None:
    address = parse_address(f"{scheme}://me:secret@host/nas")
    assert address.url.drivername == "postgresql+psycopg"
    assert address.text == "postgresql+psycopg://me:secret@host/nas"
    assert address.display == f"{scheme}://me:***@host/nas"
    assert address.path is None


@pytest.mark.parametrize(
    "reference",
    [
        "mysql://u:secret@h/d",
        "http://u:secret@h",
        "postgresql+psycopg2://u:secret@h/d",
        "postgresql://u:secret@h:abc/d",
    ],
)
def test_other_urls_are_refused_without_the_password(reference: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(reference)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_psycopg(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    monkeypatch.delitem(sys.modules, "psycopg", raising=False)
    with pytest.raises(StoreError, match=r"pip install 'nas\[postgres\]'"):
        Store.open("postgresql://me@127.0.0.1/nas")


def test_a_store_prints_without_its_password(store: Store) -> None:
    for shown in (repr(store), str(store), store.display_url):
        assert "s3cret" not in shown
    if store.path is None:
        assert "nas:***@127.0.0.1" in repr(store)
        assert "s3cret" in store.url


def test_a_drivers_message_is_scrubbed() -> None:
    address = parse_address("postgresql://me:first@host/nas?sslpassword=second")
    assert address.scrub("bad first, bad second, bad third") == "bad ***, bad ***, bad third"
