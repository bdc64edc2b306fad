"""Where a store is: a file path or a URL, parsed once; what is shown of it never holds a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from nas.errors import StoreError

_POSTGRES = {"postgresql", "postgres", "postgresql+psycopg"}
# Greedy up to the last @: a password may hold @ and / that its owner forgot to escape.
_PASSWORD = re.compile(r"(://[^:/?#@]*:).*@", re.DOTALL)
_SECRET = re.compile(r"([?&][^=&]*(?:password|passwd|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """A parsed store reference. `path` is the SQLite file, None for a server; `display` is safe to print."""

    url: URL
    display: str
    path: Path | None = None

    @property
    def text(self) -> str:
        """The whole URL with its password: for a process that must open the same store, not for eyes."""
        return self.url.render_as_string(hide_password=False)

    def scrub(self, message: str) -> str:
        """A driver's message without the passwords."""
        secrets = [self.url.password, *(v for k, v in self.url.query.items() if _SECRET.match(f"?{k}="))]
        for secret in secrets:
            if isinstance(secret, str) and secret:
                message = message.replace(secret, "***")
        return message


def mask(reference: str) -> str:
    """The reference with every password hidden and control characters made visible.

    >>> mask("postgresql://me:secret@host/nas")
    'postgresql://me:***@host/nas'
    """
    if "://" in reference:
        reference = _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1***@", reference))
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in reference)[:500]


def parse_address(reference: str | Path) -> Address:
    """The address behind a plain path, ``sqlite:///FILE`` or ``postgresql://...``; else StoreError."""
    text = str(reference)
    if not text.strip():
        raise StoreError("the store has no name: give a file or a URL, e.g. --store nas.db")
    if "\0" in text:
        raise StoreError(f"the store name {mask(text)!r} holds a NUL character")
    if "://" not in text:
        return _file_address(Path(text))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError(
            f"cannot read the store URL {mask(text)}; is every special character %-escaped?"
        ) from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite_address(url)
    if url.drivername in _POSTGRES:
        return Address(url.set(drivername="postgresql+psycopg"), mask(text))
    scheme = mask(text).partition("://")[0]
    raise StoreError(
        f"a store of kind {scheme!r} is not supported; use a file, or postgresql://USER@HOST/DATABASE"
    )


def _sqlite_address(url: URL) -> Address:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StoreError("a SQLite store must be a file: sqlite:///nas.db, or just nas.db")
    return _file_address(Path(url.database))


def _file_address(path: Path) -> Address:
    # Absolute, since the current folder may change while the store is open.
    whole = path.absolute()
    return Address(URL.create("sqlite", database=str(whole)), mask(str(path)), whole)
