"""`nas cost --training`: a row, or an object, for each target."""

from __future__ import annotations

import json

import pytest

from nas.cli.training_costs import OPTIMIZERS
from nas.costs import training

MODULE = ("cost", "torch.nn:Identity", "--input", "8", "--operators", "0")


def test_the_optimizers_are_those_that_can_be_priced():
    assert set(OPTIMIZERS) == set(training.OPTIMIZERS)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_architecture_is_trained_on_every_target(cli, optimizer):
    targets = ("--target", "a100", "--target", "cpu")
    found = cli("cost", "published/resnet50", *targets, "--operators", "0", "--training", optimizer, "--json")
    assert found.code == 0, found.err
    steps = json.loads(found.out)["training"]
    assert [step["optimizer"] for step in steps] == [optimizer, optimizer]
    for step in steps:
        assert step["gradient_bytes"] == 4 * 25_557_032
        assert step["optimizer_bytes"] == training.OPTIMIZERS[optimizer] * step["gradient_bytes"]
        kept = sum(step[name] for name in ("weight_bytes", "optimizer_bytes", "saved_bytes"))
        assert step["peak_memory_bytes"] > kept
        assert 0 < step["low_ms"] < step["step_ms"] < step["high_ms"]


def test_a_module_has_a_row(cli):
    assert "One training step with adam" in cli(*MODULE, "--training", "adam").out


def test_without_the_option_nothing_is_trained(cli):
    assert json.loads(cli(*MODULE, "--json").out)["training"] is None
    assert "training" not in cli(*MODULE).out


def test_another_optimizer_is_a_mistake(cli):
    found = cli(*MODULE, "--training", "lion")
    assert found.code == 2
    assert "adamw" in found.err
