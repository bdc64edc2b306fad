"""The most memory alive at one time, on graphs small enough to count by hand."""

from __future__ import annotations

import pytest
import torch
from costs_modules import Function
from torch import nn

from nas.costs.liveness import Allocation, Memory, alive
from nas.costs.trace import trace

X = 400
"""Bytes of the input of the functions below: 100 numbers."""


def peak(function, precision="fp32") -> int:
    return trace(Function(function), (100,), precision=precision).peak_activation_bytes


@pytest.mark.parametrize(
    ("function", "tensors"),
    [
        (lambda x: x, 1),
        (lambda x: x.relu(), 2),
        (lambda x: x.relu().relu().relu(), 2),
        (lambda x: x.relu_().relu_(), 1),
        (lambda x: x + x.relu().relu(), 3),
        (lambda x: x.relu() + x.sigmoid(), 3),
        (lambda x: (x.relu(), x.sigmoid(), x.tanh()), 4),
        (lambda x: x.relu().view(10, 10).T + 1, 2),
        (lambda x: torch.cat([x.relu(), x.sigmoid()]), 4),
    ],
)
def test_whole_tensors(function, tensors):
    assert peak(function) == tensors * X


def test_a_narrow_middle_and_a_wide_one():
    narrow = nn.Sequential(nn.Linear(100, 10), nn.Linear(10, 100))
    wide = nn.Sequential(nn.Linear(100, 1000), nn.ReLU(), nn.Linear(1000, 100))
    assert trace(narrow, (100,)).peak_activation_bytes == 4 * 110
    assert trace(wide, (100,)).peak_activation_bytes == 4 * 2000


def test_a_residual_keeps_the_input_alive():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(100, 300), nn.ReLU(), nn.Linear(300, 100))

        def forward(self, x):
            return x + self.body(x)

    assert trace(Residual(), (100,)).peak_activation_bytes == 4 * (100 + 300 + 300)


def test_a_view_keeps_all_of_its_memory():
    assert peak(lambda x: (x[:, :1] + 1) * x[:, 50:51]) == X + 8
    assert peak(lambda x: (x * 2)[:, :1] + 1) == 2 * X


def test_a_buffer_lives_from_its_first_use():
    def fill(x):
        buffer = x.new_empty(1, 200)
        y = x.relu()
        buffer[:, :100] = y
        buffer[:, 100:] = y
        return buffer

    assert peak(fill) == X + 2 * X + X


def test_memory_that_nobody_uses_costs_while_it_is_made():
    assert peak(lambda x: (x.exp(), x + 1)[1]) == 3 * X - X
    assert trace(Function(lambda x: (x.exp(), x + 1)[1]), (100,)).activation_bytes == 2 * X


def test_inputs_that_are_not_used_count_at_the_start():
    assert trace(Function(lambda a, b: a + 1), [(100,), (50,)]).peak_activation_bytes == X + X + 200


def test_it_is_counted_in_the_precision():
    assert peak(lambda x: x.relu(), "fp16") == X
    assert peak(lambda x: x > 0, "fp16") == X // 2 + 100


def test_memory_by_hand():
    memory = Memory()
    memory.add(1, 10, 0)
    memory.add(2, 5, 0)
    assert memory.use(1, 0) == -1
    memory.write(2, 0)
    memory.add(3, 7, 1)
    memory.write(3, 1)
    assert memory.use(2, 1) == 0
    assert (memory.peak(3, [3]), memory.allocated()) == (15, 12)
    assert 3 in memory
    assert 4 not in memory


def test_memory_of_nothing():
    assert Memory().peak(0, []) == 0
    assert Memory().allocated() == 0
    memory = Memory()
    memory.add(1, 10, 0)
    assert memory.peak(0, [1, 99]) == 10


def allocations(function) -> list[tuple[int, int, int, int]]:
    found = trace(Function(function), (100,)).allocations
    return [(one.size, one.first, one.last, one.released) for one in found]


def test_memory_is_released_when_no_variable_names_it():
    def named(x):
        y = x.relu()
        z = y.exp()
        w = z.tanh()
        return w + 1

    assert allocations(named) == [(X, 0, 0, 4), (X, 0, 1, 4), (X, 1, 2, 4), (X, 2, 3, 4), (X, 3, 3, 4)]
    assert allocations(lambda x: x.relu().exp().tanh() + 1) == [
        (X, 0, 0, 4),
        (X, 0, 1, 2),
        (X, 1, 2, 3),
        (X, 2, 3, 4),
        (X, 3, 3, 4),
    ]


def test_a_variable_that_is_used_again_lets_go():
    def again(x):
        y = x.relu()
        y = y.exp()
        return y + 1

    assert [released for *_, released in allocations(again)] == [3, 2, 3, 3]


def test_a_key_may_be_given_again():
    memory = Memory()
    memory.add(1, 10, 0)
    memory.write(1, 0)
    memory.release(1, 1)
    assert 1 not in memory
    memory.add(1, 20, 1)
    memory.write(1, 1)
    assert memory.allocations(2, {1}) == (Allocation(10, 0, 0, 1), Allocation(20, 1, 1, 2))
    assert (memory.peak(2, {1}), memory.allocated()) == (20, 30)
    assert memory.take_out([1, 1, 7]) == 20
    assert memory.allocated() == 10


def test_bytes_alive_while_each_operator_runs():
    found = [Allocation(10, 0, 0, 2), Allocation(5, 1, 1, 2)]
    assert alive(found, 2) == [10, 5]
    assert alive(found, 2, until_released=True) == [10, 15]
    assert alive(found, 2, until_released=True, unit=8) == [16, 24]
    assert alive([], 0) == [0]
    assert Allocation(10, 0, 1, 2).moved(3) == Allocation(10, 3, 4, 5)


@pytest.mark.parametrize(
    ("module", "order", "copied"),
    [
        (nn.LayerNorm(10), (0, 2, 1), 400),
        (nn.LayerNorm(10), (0, 1, 2), 0),
        (nn.Softmax(-1), (0, 2, 1), 400),
        (nn.ReLU(), (0, 2, 1), 0),
    ],
)
def test_kernels_copy_what_lies_in_another_order(module, order, copied):
    class Permuted(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            return self.inner(x.permute(order))

    (operator,) = trace(Permuted(), (10, 10)).operators
    assert operator.scratch_bytes == copied


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_images_may_lie_with_the_channels_innermost(groups):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1, groups=groups)

        def forward(self, x):
            return self.conv(x.permute(0, 3, 1, 2))

    assert trace(Last(), (5, 5, 4)).operators[0].scratch_bytes == 0


@pytest.mark.parametrize(("norm", "copied"), [(nn.BatchNorm2d(4), 0), (nn.GroupNorm(2, 4), 400)])
def test_batch_norms_alone_take_images_with_the_channels_innermost(norm, copied):
    (operator,) = trace(norm, (4, 5, 5), layout="nhwc").operators
    assert (operator.kind, operator.scratch_bytes) == ("norm", copied)
