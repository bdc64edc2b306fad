"""The figures of a device, measured: the best of a few rounds."""

from __future__ import annotations

import pytest
import torch

from nas.costs.measuring import probe as probing
from nas.costs.measuring.probe import probe

CPU = torch.device("cpu")


def test_the_best_round_of_each_figure_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy host makes a peak and a bandwidth lower and the time of an operator longer."""
    peaks, bandwidths, operators = iter([0.1, 0.3, 0.2]), iter([30.0, 10.0, 20.0]), iter([9.0, 8.0, 7.5])
    monkeypatch.setattr(probing, "_peak", lambda device, precision: next(peaks))
    monkeypatch.setattr(probing, "_bandwidth", lambda device: next(bandwidths))
    monkeypatch.setattr(probing, "_operator_us", lambda device: next(operators))
    found = {name: figure.value for name, figure in probe(CPU, "fp32").items()}
    assert found == {
        "fp32_tflops": 0.3,
        "memory_bandwidth_gbs": 30.0,
        "eager_operator_us": 7.5,
        "launch_floor_us": 7.5,
    }


def test_a_processor_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "SECONDS", 0.0)
    found = probe(CPU, "fp32")
    assert {figure.trust for figure in found.values()} == {"measured"}
    assert all(figure.source.startswith("measured by nas calibrate: ") for figure in found.values())
    assert 1e-4 < found["fp32_tflops"].value < 100
    assert 0.1 < found["memory_bandwidth_gbs"].value < 1e4
    assert 0.1 < found["eager_operator_us"].value < 1e4
