"""Rungs are one thing on every runner: trials pause, and the best go on from their checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.plugins import default_registry
from nas.runners import InlineRunner, RayRunner
from nas.search.contracts import Runner
from nas.search.loop import StudyLoop
from nas.search.objective import Objective
from nas.search.searcher import SearcherSetup
from nas.search.trial import TrialState
from nas.spaces import Space
from nas.store import Store, StudyRecord
from nas.testing.evaluators import ToyEvaluator

GOALS = (Objective("accuracy", "max"),)


def climb(runner: Runner, folder: Path) -> None:
    """Runs a study of nine trials with rungs after 1 and 3 of 9 steps, and checks how it went."""
    space = Space.flat({"number": list(range(9))})
    searcher = default_registry().searchers["random"].create(SearcherSetup(space, GOALS))
    with Store.open(folder / "nas.db") as store:
        store.create_study(StudyRecord("climb", "{}"))
        loop = StudyLoop(
            space=space,
            searcher=searcher,
            objectives=GOALS,
            trials=9,
            fidelity=9,
            rungs=3,
            store=store,
            study="climb",
            directory=folder / "files",
        )
        runner.run(loop, ToyEvaluator())
        assert loop.exhausted
        assert loop.front()[0].values["accuracy"] == 8, "the best of all went to the end"
        for trial in store.trials("climb"):
            assert trial.state in (TrialState.FINISHED, TrialState.STOPPED)
            assert trial.last_step in (1, 3, 9)
            assert (trial.state is TrialState.FINISHED) is (trial.last_step == 9)
            done = [step for step, _ in store.steps("climb", trial.number)]
            assert done == list(range(1, trial.last_step + 1))
            checkpoint = folder / "files" / str(trial.number) / "step"
            assert int(checkpoint.read_text()) == trial.last_step, "a paused trial ran on"


def test_in_this_process(tmp_path: Path) -> None:
    climb(InlineRunner(), tmp_path)


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_on_ray(tmp_path: Path) -> None:
    climb(RayRunner(2), tmp_path)
