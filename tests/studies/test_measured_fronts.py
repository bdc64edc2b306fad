"""The networks of a front, measured: each in a process of its own, and all of them stored."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from priced_studies import priced_study

from nas.costs import resolve_target
from nas.costs.cost import DEFAULT_MODEL
from nas.costs.measuring import fresh
from nas.costs.measuring.conditions import exclusive
from nas.errors import CostError, UsageError
from nas.plugins import Registry, default_registry, load_plugins
from nas.store import Store
from nas.studies.measure import measure_front, measure_trial

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
SECONDS = 0.01


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CALIBRATIONS", str(tmp_path / "calibrations"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # no test waits for another that measures
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Any:
    with Store.open(str(folder / "nas.db")) as opened:
        yield opened


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is measured in processes of their own."""
    names: list[str] = []
    call = fresh.FreshProcesses.__call__

    def noted(self: Any, function: Any, *given: Any) -> Any:
        names.extend(one for one in given[:1] if isinstance(one, str))
        return call(self, function, *given)

    monkeypatch.setattr(fresh.FreshProcesses, "__call__", noted)
    return names


def here(registry: Registry) -> Any:
    return resolve_target("this-cpu", registry)


@needs_fork
def test_each_network_of_a_front_has_a_process_of_its_own(store, folder, sent):
    study = priced_study(folder, [0.5, 0.9, 0.7], targets=("a100",)).name
    registry = default_registry()
    found = measure_front(store, study, here(registry), registry, DEFAULT_MODEL, SECONDS)
    assert found and sent == [one.name for one in found]
    for one in found:
        assert one.measured.kind == "measured" and one.measured.latency_ms > 0
        assert one.predicted.kind == "predicted" and one.predicted.params == one.measured.params
        assert any(one.measured in trial.costs for trial in store.trials(study))


def test_one_trial_is_measured_in_this_process(store, folder, sent):
    study = priced_study(folder, [0.5], targets=("a100",)).name
    registry = default_registry()
    found = measure_trial(store, study, 0, here(registry), registry, DEFAULT_MODEL, SECONDS)
    assert (found.name, sent) == (f"{study}#0", [])
    assert found.measured in store.trial(study, 0).costs


def test_plugins_of_a_registry_of_its_own_are_used_here(store, folder, sent):
    """Another process would not find them."""
    study = priced_study(folder, [0.5], targets=("a100",)).name
    registry = Registry(load_plugins())
    assert registry is not default_registry()
    (found,) = measure_front(store, study, here(registry), registry, DEFAULT_MODEL, SECONDS)
    assert found.measured.latency_ms > 0 and sent == []


@needs_fork
def test_a_device_that_another_process_measures_is_named(store, folder):
    study = priced_study(folder, [0.5], targets=("a100",)).name
    registry = default_registry()
    with exclusive(torch.device("cpu")), pytest.raises(CostError, match="cpu is being measured by"):
        measure_front(store, study, here(registry), registry, DEFAULT_MODEL, SECONDS)


def test_a_study_without_finished_trials_has_no_front(store, folder):
    study = priced_study(folder, [], targets=("a100",)).name
    registry = default_registry()
    with pytest.raises(UsageError, match="no front to measure"):
        measure_front(store, study, here(registry), registry, DEFAULT_MODEL, SECONDS)
