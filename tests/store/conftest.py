"""Stores for the tests: every test that takes `store` or `store_url` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from private_postgres import find_binaries, running_server
from sqlalchemy import create_engine, text

from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord
from nas.store.schema import metadata

_numbers = itertools.count()
BACKENDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a private server, without a database."""
    pytest.importorskip("psycopg", reason="PostgreSQL tests need the extra `postgres`")
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL tests need the server's programs (Debian: apt install postgresql)")
    with running_server(binaries) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: str) -> Iterator[Callable[[str], None]]:
    """Runs one statement as the owner of the server."""
    url = postgres_server.replace("postgresql:", "postgresql+psycopg:") + "/postgres"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")

    def run(statement: str) -> None:
        with engine.connect() as connection:
            connection.execute(text(statement))

    yield run
    engine.dispose()


@pytest.fixture
def postgres_url(postgres_server: str, postgres_admin: Callable[[str], None]) -> str:
    """URL of an empty database."""
    name = f"test_{next(_numbers)}"
    postgres_admin(f"CREATE DATABASE {name}")
    return f"{postgres_server}/{name}"


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store may be made."""
    if request.param == "sqlite":
        return str(tmp_path / "nas.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def prepared_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite store, to be copied: much faster than making one."""
    path = tmp_path_factory.mktemp("prepared") / "nas.db"
    Store.open(path).close()
    return path


@pytest.fixture(scope="session")
def prepared_database(postgres_server: str, postgres_admin: Callable[[str], None]) -> str:
    """URL of a PostgreSQL store, to be emptied and used again."""
    postgres_admin("CREATE DATABASE prepared")
    Store.open(f"{postgres_server}/prepared").close()
    return f"{postgres_server}/prepared"


def _emptied(url: str) -> str:
    with Store.open(url, create=False) as store, store._write() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"))
    return url


@pytest.fixture(params=BACKENDS)
def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An open store without studies."""
    if request.param == "sqlite":
        url = str(shutil.copy(request.getfixturevalue("prepared_file"), tmp_path))
    else:
        url = _emptied(request.getfixturevalue("prepared_database"))
    with Store.open(url, create=False) as opened:
        yield opened


@pytest.fixture
def store(empty_store: Store) -> Store:
    """An open store with one study, "first"."""
    empty_store.create_study(StudyRecord("first", "{}"))
    return empty_store


@pytest.fixture
def candidate() -> Callable[[int], Architecture]:
    """Index → an architecture of a flat space."""
    return lambda index: Architecture(None, (("lr", 0.1), ("index", index)))


@pytest.fixture
def made(tmp_path: Path, candidate: Callable[[int], Architecture]) -> Path:
    """A closed store with a study of 60 trials."""
    path = tmp_path / "nas.db"
    with Store.open(path) as store:
        store.create_study(StudyRecord("first", "{}"))
        for index in range(60):
            store.add_trial("first", candidate(index), fidelity=1, seed=0, known={"latency": 1.0})
    return path
