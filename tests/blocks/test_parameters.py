"""How many parameters a module has, pruned ones told apart."""

from __future__ import annotations

from torch import nn

from nas import estimate
from nas.blocks import parameter_count


class Halved(nn.Linear):
    def pruned_parameters(self) -> int:
        return self.weight.numel() // 2


def test_shared_parameters_count_once():
    linear = nn.Linear(4, 3)
    assert parameter_count(nn.Sequential(linear, nn.ReLU(), linear)) == 15
    assert parameter_count(nn.ReLU()) == 0


def test_what_is_pruned_does_not_count():
    assert parameter_count(nn.Sequential(nn.Linear(4, 4), Halved(4, 6))) == 20 + 30 - 12
    halved = Halved(4, 4)
    assert parameter_count(nn.Sequential(halved, halved)) == 12


def test_an_attribute_of_that_name_is_no_method():
    module = nn.Linear(2, 2)
    module.pruned_parameters = 5
    assert parameter_count(module) == 6


def test_estimates_use_it():
    cost = estimate(nn.Sequential(nn.Linear(4, 4), Halved(4, 6)), (4,), target="pixel3-cpu")
    assert cost.params == 38
    assert cost.macs == 40
