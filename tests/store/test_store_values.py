"""What may enter the store: finite numbers, names, texts, paths."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from nas.costs.cost import Cost
from nas.errors import StoreError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store
from nas.store.values import clean_text, finite, relative_path, whole

Candidate = Callable[[int], Architecture]


def running(store: Store, architecture: Architecture, **known: float) -> int:
    number = store.add_trial("first", architecture, fidelity=3, seed=7, known=known)
    store.start_trial("first", number, attempt=1, host="box")
    return number


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("inf")])
def test_numbers_that_are_not_finite_are_refused_everywhere(
    store: Store, candidate: Candidate, bad: float
) -> None:
    with pytest.raises(StoreError, match="'latency' must be finite"):
        store.add_trial("first", candidate(0), fidelity=1, seed=0, known={"latency": bad})
    with pytest.raises(StoreError, match="latency_ms on a100 must be finite"):
        broken = Cost("a100", "predicted", "T0", "m", bad, 1, 1, 1, 1, 1, 1, 1, 1)
        store.add_trial("first", candidate(0), fidelity=1, seed=0, costs=[broken])
    assert store.trials("first") == []
    number = running(store, candidate(0))
    with pytest.raises(StoreError, match=r"trial first#0, step 1: metric 'loss' must be finite"):
        store.record_step("first", number, attempt=1, step=1, metrics={"accuracy": 0.5, "loss": bad})
    assert store.steps("first", number) == []
    with pytest.raises(StoreError, match="seconds must be finite"):
        store.finish_trial("first", number, attempt=1, seconds=bad)
    store.fail_trial("first", number, attempt=1, error="diverged")
    assert store.trial("first", number).state is TrialState.FAILED


@pytest.mark.parametrize("bad", ["0.5", 1 + 2j, None, [1.0], True])
def test_metrics_that_are_no_numbers_are_refused(store: Store, candidate: Candidate, bad: object) -> None:
    number = running(store, candidate(0))
    with pytest.raises(StoreError, match=f"metric 'accuracy' must be a number, not {type(bad).__name__}"):
        store.record_step("first", number, attempt=1, step=1, metrics={"accuracy": bad})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 300, "\x1b[31m", 3])
def test_metric_names_must_be_printable_and_short(store: Store, candidate: Candidate, name: str) -> None:
    number = running(store, candidate(0))
    with pytest.raises(StoreError, match="is not a metric name"):
        store.record_step("first", number, attempt=1, step=1, metrics={name: 1.0})


@pytest.mark.parametrize(("fidelity", "seed"), [(0, 0), (-1, 0), (1, -1), (1.5, 0), (True, 0), (1, 2**70)])
def test_impossible_fidelity_and_seed_are_refused(
    store: Store, candidate: Candidate, fidelity: int, seed: int
) -> None:
    with pytest.raises(StoreError, match=r"fidelity|seed|value cannot be stored|out of range"):
        store.add_trial("first", candidate(0), fidelity=fidelity, seed=seed)
    assert store.trials("first") == []


def test_any_text_can_be_an_error(store: Store, candidate: Candidate) -> None:
    number = running(store, candidate(0))
    hostile = (
        "nul \0 surrogate \ud800 </script> '; DROP TABLE trial; -- 🙂 \u202e" + "x" * 100_000 + " the end"
    )
    store.fail_trial("first", number, attempt=1, error=hostile, traceback=hostile)
    record = store.trial("first", number)
    assert record.error is not None
    assert record.traceback is not None
    assert record.error.startswith("nul \\x00 surrogate \\ud800 </script> '; DROP TABLE trial; -- 🙂")
    assert record.error.endswith("the end")
    assert len(record.error) <= 2_000
    assert len(record.traceback) <= 50_000


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, 1j, True, np.float16("nan")])
def test_what_is_no_finite_number(value: object) -> None:
    with pytest.raises(StoreError, match="the loss must be"):
        finite(value, "the loss")


@pytest.mark.parametrize(("value", "minimum"), [(0, 1), (-1, 0), (1.0, 0), ("1", 0), (False, 0)])
def test_what_is_no_whole_number(value: object, minimum: int) -> None:
    with pytest.raises(StoreError, match="the step must be"):
        whole(value, "the step", minimum)


def test_whole_numbers_of_numpy_are_taken() -> None:
    assert whole(np.int32(3), "the step") == 3
    assert type(whole(np.int32(3), "the step")) is int


def test_long_text_keeps_both_ends() -> None:
    cut = clean_text("begin" + "x" * 1000 + "end", 100)
    assert len(cut) <= 100
    assert cut.startswith("begin")
    assert cut.endswith("end")
    assert clean_text("short", 100) == "short"


@pytest.mark.parametrize("path", ["w.bin", "a/b/c.safetensors", "a..b", "with space"])
def test_paths_inside_the_folder(path: str) -> None:
    assert relative_path(path) == path
