"""What every store promises of the numbers and texts it is given, and of reading them back."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from nas.costs import Cost
from nas.errors import StoreError
from nas.search import TrialState
from nas.spaces import Architecture
from nas.store import Store, StudyRecord
from nas.testing.store_fixtures import STUDY, StoreFixtures, candidate, running

LARGEST, LEAST = sys.float_info.max, sys.float_info.min
EXTREMES = (0.0, 0.1, 1 / 3, 5e-324, LEAST, LARGEST, -LARGEST, 1e15 + 0.3)
LARGE = 2**53
MANY = 2**31 - 1
ENDS = ("finished", "finished", "stopped", "failed", "running", "queued", "finished")
MIXED = 14


class ValueTests(StoreFixtures):
    """What may enter, and how it comes back."""

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("inf")])
    def test_numbers_that_are_not_finite_are_refused_everywhere(self, made: Store, bad: float) -> None:
        """A refused call changes nothing."""
        with pytest.raises(StoreError):
            made.add_trial(STUDY, candidate(0), fidelity=1, seed=0, known={"latency": bad})
        broken = Cost("a100", "predicted", "T0", "m", bad, 1, 1, 1, 1, 1, 1, 1, 1)
        with pytest.raises(StoreError):
            made.add_trial(STUDY, candidate(0), fidelity=1, seed=0, costs=[broken])
        assert made.trials(STUDY) == [], "keeps a trial whose numbers are not finite"
        number = running(made)
        with pytest.raises(StoreError):
            made.record_step(STUDY, number, attempt=1, step=1, metrics={"accuracy": 0.5, "loss": bad})
        assert made.steps(STUDY, number) == [], "keeps half of a step"
        with pytest.raises(StoreError):
            made.finish_trial(STUDY, number, attempt=1, seconds=bad)
        made.fail_trial(STUDY, number, attempt=1, error="diverged")
        assert made.trial(STUDY, number).state is TrialState.FAILED

    @pytest.mark.parametrize("bad", ["0.5", 1 + 2j, None, [1.0], True])
    def test_metrics_that_are_no_numbers_are_refused(self, made: Store, bad: Any) -> None:
        """Nothing is converted that is no number."""
        number = running(made)
        with pytest.raises(StoreError, match="accuracy"):
            made.record_step(STUDY, number, attempt=1, step=1, metrics={"accuracy": bad})

    @pytest.mark.parametrize("name", ["", "a\nb", "x" * 300, "\x1b[31m", 3])
    def test_metric_names_are_printable_and_short(self, made: Store, name: Any) -> None:
        """They become columns of tables."""
        number = running(made)
        with pytest.raises(StoreError):
            made.record_step(STUDY, number, attempt=1, step=1, metrics={name: 1.0})

    def test_numbers_of_other_types_come_back_as_floats(self, made: Store) -> None:
        """Those of numpy too."""
        number = running(made, 0, params=np.int64(12))  # type: ignore[arg-type]
        values: Any = {"a": np.float32(0.5), "b": 3, "c": Fraction(1, 4), "d": np.float64(1e-300)}
        made.record_step(STUDY, number, attempt=1, step=1, metrics=values)
        metrics = made.trial(STUDY, number).metrics
        assert metrics == {"params": 12.0, "a": 0.5, "b": 3.0, "c": 0.25, "d": 1e-300}
        assert {type(value) for value in metrics.values()} == {float}

    def test_every_digit_of_a_number_is_kept(self, made: Store) -> None:
        """From the least to the largest."""
        known = {f"known{place}": value for place, value in enumerate(EXTREMES)}
        metrics = {f"metric{place}": value for place, value in enumerate(EXTREMES)}
        number = running(made, 0, **known)
        made.record_step(STUDY, number, attempt=1, step=1, metrics=metrics)
        found = made.trial(STUDY, number).metrics
        for name, value in {**known, **metrics}.items():
            assert found[name].hex() == value.hex(), f"{value!r} comes back as {found[name]!r}"

    def test_large_counts_are_kept(self, made: Store) -> None:
        """Bytes and operations of the largest networks."""
        cost = Cost(
            "a100", "predicted", "T0", "m", 1e-9, 0.0, 1e9, LARGE, 1e300, LARGE + 1, LARGE, LARGE, LARGE
        )
        made.add_trial(STUDY, candidate(0), fidelity=MANY, seed=MANY, costs=[cost])
        record = made.trial(STUDY, 0)
        assert record.costs == (cost,), f"the cost comes back as {record.costs}"
        assert (record.fidelity, record.seed) == (MANY, MANY)

    @pytest.mark.parametrize(
        ("fidelity", "seed"), [(0, 0), (-1, 0), (1, -1), (1.5, 0), (True, 0), (1, 2**70)]
    )
    def test_impossible_fidelity_and_seed_are_refused(self, made: Store, fidelity: Any, seed: int) -> None:
        """And no trial is left of it."""
        with pytest.raises(StoreError):
            made.add_trial(STUDY, candidate(0), fidelity=fidelity, seed=seed)
        assert made.trials(STUDY) == []

    def test_any_text_can_be_an_error(self, made: Store) -> None:
        """Whatever a worker printed is stored, cut where it is endless."""
        number = running(made)
        hostile = "nul \0 surrogate \ud800 </script> '; DROP TABLE trial; -- 🙂 \u202e" + "x" * 100_000
        made.fail_trial(STUDY, number, attempt=1, error=hostile, traceback=hostile + " the end")
        record = made.trial(STUDY, number)
        assert record.error is not None
        assert "'; DROP TABLE trial; -- 🙂" in record.error, "the text is lost"
        assert record.traceback is not None
        assert record.traceback.endswith("the end"), "the end of a long text is lost"

    def test_any_text_can_be_a_choice(self, made: Store) -> None:
        """Names and options of a flat space are the user's own."""
        choices = (
            ("größe", "🙂"),
            ("'; --", "\\ \" '"),
            ("\u202e", None),
            ("wahr", True),
            ("x" * 300, 1e-300),
        )
        made.add_trial(STUDY, Architecture(None, choices), fidelity=1, seed=0, known={"größe@a100": 1.0})
        record = made.trial(STUDY, 0)
        assert record.architecture.choices == choices, f"choices come back as {record.architecture.choices}"
        assert record.metrics == {"größe@a100": 1.0}

    def test_trials_come_in_their_order(self, mixed: Store) -> None:
        """By number, each as `trial` gives it."""
        records = mixed.trials(STUDY)
        assert [record.number for record in records] == list(range(MIXED))
        assert [record.state for record in records] == [TrialState(ENDS[i % len(ENDS)]) for i in range(MIXED)]
        assert [record.architecture for record in records] == [candidate(i) for i in range(MIXED)]
        assert records == list(mixed.iterate_trials(STUDY)), "`iterate_trials` gives others than `trials`"
        assert records == [mixed.trial(STUDY, number) for number in range(MIXED)]

    def test_selections_by_state_and_number(self, mixed: Store) -> None:
        """Both at once, too."""

        def numbers(**selection: Any) -> list[int]:
            return [record.number for record in mixed.trials(STUDY, **selection)]

        assert numbers(states=[TrialState.FINISHED]) == [0, 1, 6, 7, 8, 13]
        assert numbers(states=[TrialState.QUEUED, TrialState.RUNNING]) == [4, 5, 11, 12]
        assert numbers(states=[]) == []
        assert numbers(numbers=[13, 2, 5, 2, 99, 0]) == [0, 2, 5, 13]
        assert numbers(numbers=[0, 1, 2, 3, 4], states=[TrialState.FINISHED]) == [0, 1]
        assert numbers(numbers=[]) == []
        assert mixed.count_states(STUDY) == {
            state: sum(ENDS[i % len(ENDS)] == state for i in range(MIXED)) for state in set(ENDS)
        }

    @pytest.mark.parametrize(
        "names", [[], ["accuracy"], ["latency", "accuracy"], ["accuracy"] * 2, ["none"], ["x'; --"]]
    )
    def test_objective_values_are_those_of_the_records(self, mixed: Store, names: list[str]) -> None:
        """The fast way to a front gives what the slow one gives."""
        numbers, values = mixed.objective_values(STUDY, names)
        finished = mixed.trials(STUDY, states=[TrialState.FINISHED])
        whole = [record for record in finished if all(name in record.metrics for name in names)]
        assert numbers.tolist() == [record.number for record in whole]
        assert values.tolist() == [[record.metrics[name] for name in names] for record in whole]
        assert (numbers.dtype.name, values.dtype.name) == ("int64", "float64")
        assert values.shape == (len(whole), len(names))

    def test_metrics_of_an_earlier_step_do_not_leak_into_the_result(self, made: Store) -> None:
        """A result is its last step, over what was known before."""
        number = running(made, 0, accuracy=-1.0, latency=3.0)
        made.record_step(STUDY, number, attempt=1, step=1, metrics={"accuracy": 0.1, "early": 1.0})
        made.record_step(STUDY, number, attempt=1, step=2, metrics={"accuracy": 0.2})
        made.finish_trial(STUDY, number, attempt=1, seconds=1.0)
        assert made.trial(STUDY, number).metrics == {"accuracy": 0.2, "latency": 3.0}
        numbers, values = made.objective_values(STUDY, ["accuracy", "latency"])
        assert (numbers.tolist(), values.tolist()) == ([0], [[0.2, 3.0]])
        assert len(made.objective_values(STUDY, ["early"])[0]) == 0

    def test_an_empty_study_has_nothing(self, made: Store) -> None:
        """But the right shapes."""
        assert made.trials(STUDY) == []
        numbers, values = made.objective_values(STUDY, ["accuracy", "latency"])
        assert (numbers.shape, values.shape) == ((0,), (0, 2))
        assert made.count_states(STUDY) == {}

    def test_a_reader_in_the_middle_does_not_hold_up_the_writer(self, mixed: Store) -> None:
        """Reading a long study and adding to it go together."""
        seen = []
        for record in mixed.iterate_trials(STUDY):
            seen.append(record.number)
            if record.number < MIXED:
                mixed.add_trial(STUDY, candidate(1000 + record.number), fidelity=1, seed=0)
        assert seen == sorted(set(seen)), "a trial comes twice, or out of order"
        assert len(seen) >= MIXED, "trials are left out"

    @pytest.fixture
    def mixed(self, made: Store) -> Store:
        """Fourteen trials in every state, some without a metric; a second study as noise."""
        made.create_study(StudyRecord("noise", "{}"))
        for index in range(MIXED):
            end = ENDS[index % len(ENDS)]
            for study in ("noise", STUDY):
                number = made.add_trial(
                    study, candidate(index), fidelity=2, seed=0, known={"latency": index / 2}
                )
                if end != "queued":
                    made.start_trial(study, number, attempt=1, host="box")
                    metrics = {"accuracy": index / 100} if index % 5 else {"loss": 1.0}
                    made.record_step(study, number, attempt=1, step=1, metrics=metrics)
                if end == "failed":
                    made.fail_trial(study, number, attempt=1, error="bad")
                elif end in ("finished", "stopped"):
                    made.finish_trial(study, number, attempt=1, seconds=1.0, stopped=end == "stopped")
        return made
