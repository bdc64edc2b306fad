"""Reading trials back: selections, batches, and the fast path against the slow one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from nas.costs.cost import Cost
from nas.errors import StoreError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord, reading

Candidate = Callable[[int], Architecture]
ENDS = ("finished", "finished", "stopped", "failed", "running", "queued", "finished")


@pytest.fixture
def mixed(store: Store, candidate: Candidate) -> Store:
    """Fourteen trials in every state; finished ones lack a metric here and there; a second study as noise."""
    store.create_study(StudyRecord("noise", "{}"))
    for index in range(14):
        end = ENDS[index % len(ENDS)]
        cost = Cost("a100", "predicted", "T0", "m", index, 1, 1, 1, 1, 1, 1, 1, 1)
        for study in ("noise", "first"):
            number = store.add_trial(
                study,
                candidate(index),
                fidelity=2,
                seed=0,
                known={"latency": index / 2},
                costs=[cost] * (index % 2),
            )
            if end == "queued":
                continue
            store.start_trial(study, number, attempt=1, host="box")
            for step in (1, 2):
                metrics = {"accuracy": index / 100 + step / 1000} if index % 5 else {"loss": 1.0}
                store.record_step(study, number, attempt=1, step=step, metrics=metrics)
            if end == "failed":
                store.fail_trial(study, number, attempt=1, error="bad")
            elif end != "running":
                store.finish_trial(study, number, attempt=1, seconds=1.0, stopped=end == "stopped")
    return store


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH", 3)


@pytest.mark.usefixtures("small_batches")
def test_batches_do_not_change_what_is_read(mixed: Store, candidate: Candidate) -> None:
    records = mixed.trials("first")
    assert [record.number for record in records] == list(range(14))
    assert [record.state for record in records] == [TrialState(ENDS[i % 7]) for i in range(14)]
    assert [record.architecture.values()["index"] for record in records] == list(range(14))
    assert [record.architecture.hash for record in records] == [candidate(i).hash for i in range(14)]
    assert [len(record.costs) for record in records] == [i % 2 for i in range(14)]
    assert all(record.costs[0].latency_ms == record.number for record in records if record.costs)
    assert records == [mixed.trial("first", number) for number in range(14)]


@pytest.mark.usefixtures("small_batches")
def test_selections_by_state_and_number(mixed: Store) -> None:
    def numbers(**selection: object) -> list[int]:
        return [record.number for record in mixed.trials("first", **selection)]  # type: ignore[arg-type]

    assert numbers(states=[TrialState.FINISHED]) == [0, 1, 6, 7, 8, 13]
    assert numbers(states=[TrialState.QUEUED, TrialState.RUNNING]) == [4, 5, 11, 12]
    assert numbers(states=[]) == []
    assert numbers(numbers=[13, 2, 5, 2, 99, 0]) == [0, 2, 5, 13]
    assert numbers(numbers=[0, 1, 2, 3, 4], states=[TrialState.FINISHED]) == [0, 1]
    assert numbers(numbers=[]) == []


def test_reading_is_lazy_but_the_study_is_checked_at_once(mixed: Store) -> None:
    stream = mixed.iterate_trials("first")
    assert next(stream).number == 0
    mixed.close()
    with pytest.raises(StoreError, match="is closed"):
        list(mixed.iterate_trials("first"))


def test_a_reader_in_the_middle_does_not_hold_up_the_writer(
    mixed: Store, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 3)
    seen = []
    for record in mixed.iterate_trials("first"):
        seen.append(record.number)
        if record.number < 16:
            mixed.add_trial("first", candidate(1000 + record.number), fidelity=1, seed=0)
    assert seen == sorted(set(seen))
    assert len(seen) >= 28


def test_a_large_study_needs_few_statements(mixed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import event

    count = SimpleNamespace(statements=0)

    def executed(*_: object) -> None:
        count.statements += 1

    event.listen(mixed._engine, "before_cursor_execute", executed)
    mixed.trials("first")
    assert count.statements <= 8


def test_a_read_only_store_reads_everything(mixed: Store) -> None:
    with Store.open(mixed.url, read_only=True) as reader:
        assert reader.trials("first") == mixed.trials("first")
        assert reader.trial("first", 3) == mixed.trial("first", 3)
        assert reader.steps("first", 1) == mixed.steps("first", 1) != []
        assert reader.objective_values("first", ["latency"])[1].tolist() == [
            [0],
            [0.5],
            [3],
            [3.5],
            [4],
            [6.5],
        ]
        assert (reader.artifacts("first"), reader.plugins("first")) == ([], [])
        assert reader.studies() == mixed.studies()
        reader.check()
