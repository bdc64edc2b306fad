"""`kill -9` of the driver at random moments: nothing acknowledged is lost, nothing finished is repeated."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from forking import forker

from nas.search.trial import TrialState
from nas.store import Store

HERE = Path(__file__).parent
KILLS = 24


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_the_store_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    path, log = tmp_path / "nas.db", tmp_path / "acknowledged"
    moments = random.Random(1)
    killed = trials = 0
    with forker(HERE / "store_driver.py") as drivers:
        while killed < KILLS:
            trials += 4
            # The first kills fall into the making of the tables.
            ended = drivers.run(moments.uniform(0.0, 0.12), store=str(path), log=str(log), trials=trials)
            killed += not ended
            acknowledged = [int(line) for line in lines(log)]
            assert max(Counter(acknowledged).values(), default=0) <= 1
            if path.exists() and path.stat().st_size:
                check_store(path, acknowledged)
        assert drivers.run(store=str(path), log=str(log), trials=trials)
    with Store.open(path) as store:
        store.check()
        assert [t.state for t in store.trials("drill")] == [TrialState.FINISHED] * trials
        assert max(t.attempt for t in store.trials("drill")) > 1  # some kill came in the middle of a trial


def check_store(path: Path, acknowledged: list[int]) -> None:
    with Store.open(path) as store:
        store.check()
        if not store.studies():
            assert not acknowledged
            return
        trials = store.trials("drill")
    finished = {trial.number for trial in trials if trial.state is TrialState.FINISHED}
    assert finished >= set(acknowledged)
    assert len(finished - set(acknowledged)) <= KILLS  # finished in the store, killed before it could say so
    assert sum(not trial.state.is_final for trial in trials) <= 1
    assert all(
        trial.metrics == {"value": trial.number * 10.0 + 3} for trial in trials if trial.state.is_final
    )
