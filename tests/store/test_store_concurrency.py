"""Many processes at once: on an empty store, and readers beside a writer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nas.spaces.architecture import Architecture
from nas.store import Store

PROCESSES, ROUNDS = 8, 3

OPENER = """
import sys
from nas.store import Store, StudyRecord
import alembic.command, psycopg
print("ready", flush=True)
for line in sys.stdin:
    url, name = line.split()
    try:
        with Store.open(url) as store:
            store.create_study(StudyRecord(name, "{}"))
        print("ok", flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
"""

READER = """
import sys
from nas.store import Store
print("ready", flush=True)
with Store.open(sys.argv[1], read_only=True) as store:
    last = -1
    while True:
        records = store.trials("first")
        numbers, values = store.objective_values("first", ["accuracy"])
        assert [r.number for r in records] == list(range(len(records)))
        assert all(r.metrics.get("accuracy") == r.number for r in records if r.state == "finished"), records
        assert values[:, 0].tolist() == numbers.tolist()
        assert len(numbers) >= last
        last = len(numbers)
        if last == int(sys.argv[2]):
            break
print("read", last, flush=True)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(scope="module")
def openers() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that have imported everything, so that they open a store at the same moment."""
    processes = [start(OPENER) for _ in range(PROCESSES)]
    assert [answer(process) for process in processes] == ["ready"] * PROCESSES
    yield processes
    for process in processes:
        process.communicate(timeout=20)


def start_together(openers: list[subprocess.Popen[str]], url: str) -> None:
    for index, process in enumerate(openers):
        assert process.stdin is not None
        process.stdin.write(f"{url} study-{index}\n")
    for process in openers:
        assert process.stdin is not None
        process.stdin.flush()
    assert [answer(process) for process in openers] == ["ok"] * PROCESSES
    with Store.open(url, create=False) as store:
        assert sorted(study.name for study in store.studies()) == [f"study-{i}" for i in range(PROCESSES)]
        store.check()


def test_all_succeed_on_an_empty_file(openers: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    for turn in range(ROUNDS):
        start_together(openers, str(tmp_path / f"{turn}.db"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{turn}.db" for turn in range(ROUNDS)]


@pytest.mark.postgres
def test_all_succeed_on_an_empty_database(
    openers: list[subprocess.Popen[str]], postgres_server: str, postgres_admin: Callable[[str], None]
) -> None:
    for turn in range(ROUNDS):
        postgres_admin(f"CREATE DATABASE together_{turn}")
        start_together(openers, f"{postgres_server}/together_{turn}")


def test_readers_see_whole_trials_while_a_driver_writes(
    store: Store, candidate: Callable[[int], Architecture]
) -> None:
    trials = 60
    readers = [start(READER, store.url, str(trials)) for _ in range(2)]
    assert [answer(reader) for reader in readers] == ["ready"] * 2
    for index in range(trials):
        number = store.add_trial("first", candidate(index), fidelity=1, seed=0)
        store.start_trial("first", number, attempt=1, host="box")
        store.record_step("first", number, attempt=1, step=1, metrics={"accuracy": index})
        store.finish_trial("first", number, attempt=1, seconds=0.0)
    assert [answer(reader) for reader in readers] == [f"read {trials}"] * 2
    for reader in readers:
        reader.communicate(timeout=20)
