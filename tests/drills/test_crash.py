"""`kill -9` of the driver at random moments: nothing acknowledged is lost, nothing finished is repeated."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from forking import forker

from nas.search.trial import TrialState
from nas.store import Store, TrialRecord

HERE = Path(__file__).parent
KILLS = 24


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def stored(path: Path) -> list[TrialRecord]:
    """All trials after a crash; the file must be sound, and may be as young as not to have a study yet."""
    if not path.exists() or path.stat().st_size == 0:
        return []
    with Store.open(path) as store:
        store.check()
        return store.trials("drill") if store.studies() else []


def finished(trials: list[TrialRecord]) -> list[TrialRecord]:
    return [trial for trial in trials if trial.state is TrialState.FINISHED]


def test_the_store_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    path, log = tmp_path / "nas.db", tmp_path / "acknowledged"
    moments = random.Random(1)
    killed = trials = 0
    with forker(HERE / "store_driver.py") as drivers:
        while killed < KILLS:
            trials += 4
            # The first kills fall into the making of the tables.
            killed += not drivers.run(
                moments.uniform(0.0, 0.12), store=str(path), log=str(log), trials=trials
            )
            acknowledged = [int(line) for line in lines(log)]
            assert max(Counter(acknowledged).values(), default=0) <= 1
            records = stored(path)
            assert {trial.number for trial in finished(records)} >= set(acknowledged)
            assert len(finished(records)) <= len(acknowledged) + killed  # killed before it could say so
            assert sum(not trial.state.is_final for trial in records) <= 1
            assert all(trial.metrics == {"value": trial.number * 10.0 + 3} for trial in finished(records))
        assert drivers.run(store=str(path), log=str(log), trials=trials)
    records = stored(path)
    assert len(finished(records)) == len(records) == trials
    assert max(trial.attempt for trial in records) > 1  # some kill came in the middle of a trial


@pytest.mark.parametrize("searcher", ["evolution", "random"])
def test_a_study_goes_on_as_if_nothing_had_happened(tmp_path: Path, searcher: str) -> None:
    path, log, calm, trials = tmp_path / "nas.db", tmp_path / "log", tmp_path / "calm.db", 150
    moments = random.Random(searcher)
    killed, ended = 0, False
    with forker(HERE / "loop_driver.py") as drivers:
        assert drivers.run(store=str(calm), log=str(tmp_path / "calm"), trials=trials, searcher=searcher)
        while not ended:
            before, known = finished(stored(path)), len(lines(log))
            moment = moments.uniform(0.0, 0.12) if killed < KILLS else 120.0
            ended = drivers.run(moment, store=str(path), log=str(log), trials=trials, searcher=searcher)
            killed += not ended
            check_run(lines(log)[known:], before, finished(stored(path)))
    assert killed >= 20
    assert [identity(trial) for trial in stored(path)] == [identity(trial) for trial in stored(calm)]
    assert len(finished(stored(path))) == len(stored(path)) == trials
    evaluated = Counter(line for line in lines(log) if line.startswith("evaluated"))
    assert len(evaluated) == trials
    assert sum(evaluated.values()) - trials <= killed  # only a trial in flight is run again


def identity(trial: TrialRecord) -> tuple[object, ...]:
    return trial.number, trial.architecture.hash, trial.seed, trial.metrics


def check_run(log: list[str], before: list[TrialRecord], after: list[TrialRecord]) -> None:
    """A run begins nothing that was finished, and loses nothing that it or an earlier one finished."""
    words = [line.split() for line in log]
    begun = [text for word, text in words if word == "begun"]
    assert not set(begun) & {trial.architecture.hash for trial in before}
    assert len(begun) == len(set(begun))
    acknowledged = {int(text) for word, text in words if word == "ended"}
    assert {trial.number for trial in after} >= acknowledged | {trial.number for trial in before}
    assert len(after) - len(before) <= len(acknowledged) + 1
