"""A trial that pauses at rungs is trained exactly as one that never did."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from nas.plugins import default_registry
from nas.runners import InlineRunner
from nas.search.journal import MemoryJournal
from nas.search.loop import StudyLoop
from nas.search.objective import Objective
from nas.search.searcher import SearcherSetup
from nas.search.trial import TrialRequest, TrialState
from nas.spaces import load_space
from nas.training import Recipe, TrainingEvaluator

RECIPE = Recipe(average_decay=0.9, batch_size=128)
OBJECTIVES = (Objective("accuracy", "max"),)


def test_promoted_trials_equal_uninterrupted_ones(tmp_path: Path) -> None:
    """To the last bit: metrics of every step, and the weights."""
    registry = default_registry()
    space = load_space("tiny", registry)
    evaluator = TrainingEvaluator("digits", RECIPE)
    searcher = registry.searchers["random"].create(SearcherSetup(space, OBJECTIVES))
    journal = MemoryJournal()
    loop = StudyLoop(
        space=space,
        searcher=searcher,
        objectives=OBJECTIVES,
        trials=3,
        fidelity=3,
        rungs=2,
        store=journal,
        directory=tmp_path / "study",
    )
    InlineRunner().run(loop, evaluator)
    finished = next(result for result in loop.results if result.state is TrialState.FINISHED)
    trial = journal.trials("memory")[finished.number]
    assert trial.attempt == 2, "it did not pause"
    whole = TrialRequest(0, trial.architecture, 3, trial.seed, directory=str(tmp_path / "whole"))
    expected = [dict(metrics) for metrics in evaluator(whole)]
    assert [step for step, _ in trial.steps] == [1, 2, 3]
    for (step, metrics), wanted in zip(trial.steps, expected, strict=True):
        assert {**metrics, "step": step} == wanted
    ours, theirs = (
        load_file(folder / "weights.safetensors")
        for folder in (tmp_path / "study" / str(finished.number), tmp_path / "whole")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_paused_trial_keeps_its_checkpoint(tmp_path: Path) -> None:
    registry = default_registry()
    space = load_space("tiny", registry)
    searcher = registry.searchers["random"].create(SearcherSetup(space, OBJECTIVES))
    loop = StudyLoop(
        space=space,
        searcher=searcher,
        objectives=OBJECTIVES,
        trials=1,
        fidelity=2,
        rungs=2,
        directory=tmp_path,
    )
    InlineRunner().run(loop, TrainingEvaluator("digits", RECIPE))
    assert [result.state for result in loop.results] == [TrialState.STOPPED]
    assert (tmp_path / "0" / "checkpoint.safetensors").is_file()
    assert not (tmp_path / "0" / "weights.safetensors").exists()
