"""Copies that eager execution makes for the sake of layout, and how it multiplies what is not contiguous."""

from __future__ import annotations

import math

import pytest
import torch
from costs_modules import Function
from torch import nn

from nas.costs import outcomes
from nas.costs.trace import trace


def names(module, shape=(4, 6, 8)) -> list[str]:
    return [operator.name for operator in trace(module, shape).operators]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.transpose(1, 2).contiguous(), ["clone"]),
        (lambda x: x.transpose(1, 2).reshape(1, -1), ["clone"]),
        (lambda x: x.transpose(1, 2).flatten(), ["clone"]),
        (lambda x: x.clone(), ["clone"]),
        (lambda x: x.to(memory_format=torch.channels_last), ["_to_copy"]),
        (lambda x: x.reshape(1, -1), []),
        (lambda x: x.transpose(1, 2).transpose(1, 2).contiguous(), []),
    ],
)
def test_copies(function, expected):
    assert names(Function(function)) == expected


def test_a_linear_layer_on_something_contiguous_is_one_operator():
    assert names(nn.Linear(8, 5)) == ["linear"]


def test_a_linear_layer_on_a_permuted_map_multiplies_and_adds_apart():
    """As torch does, with the weights spread over a batch of products; they are those of the layer."""
    layer = nn.Linear(4, 5)
    module = nn.Sequential(Function(lambda x: x.permute(0, 2, 3, 1)), layer)
    found = trace(module, (4, 6, 8), batch_size=2).operators
    assert [operator.name for operator in found] == ["clone", "linear", "add"]
    assert {operator.module for operator in found} == {"1"}
    assert (found[1].kind, found[1].dim("batch"), found[1].dim("rows")) == ("gemm", 12, 8)
    assert found[1].macs == 2 * 48 * 20
    assert found[2].flops == 2 * 48 * 5
    assert found[1].weight_bytes + found[2].weight_bytes == 4 * (20 + 5)


def test_what_is_remembered_is_what_is_found():
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(4, 4, 3, padding=1)
            self.norm = nn.GroupNorm(2, 4)

        def forward(self, x):
            y = self.norm(self.first(x)).transpose(1, 2) * 2
            largest, places = y.max(-1)
            parts = torch.cat(torch.split(y + 1, 3, 1), 1).softmax(-1)
            return parts, largest, places, x.sum() + 1.0, (x > 1) + 1, (x > 1) + 1.0

    outcomes._outcomes.clear()
    first = trace(Several(), (4, 6, 8))
    assert outcomes._outcomes
    assert trace(Several(), (4, 6, 8)) == first
    written = [operator.bytes_written for operator in trace(Several(), (4, 6, 8)).operators[-3::2]]
    assert written == [8 * 192, 4 * 192]


def test_what_is_remembered_is_forgotten_in_the_end(monkeypatch):
    outcomes._outcomes.clear()
    monkeypatch.setattr(outcomes, "LIMIT", 2)
    trace(nn.Sequential(nn.Conv1d(3, 4, 3), nn.Sigmoid(), nn.AvgPool1d(2), nn.Softmax(-1)), (3, 16))
    assert 0 < len(outcomes._outcomes) <= 2


def test_an_output_that_is_given_is_returned():
    def into(x):
        given = x.new_empty(1, 4, 6, 8)
        return torch.add(x, 1, out=given), given

    (operator,) = trace(Function(into), (4, 6, 8)).operators
    assert (operator.name, operator.bytes_written) == ("add", 768)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.relu_(),
        lambda x: x.add_(x[:, :1]),
        lambda x: nn.functional.silu(x, inplace=True),
        lambda x: x.transpose(1, 2).mul_(2),
    ],
)
def test_operators_in_place_write_what_they_are_given(function):
    found = trace(Function(function), (4, 6, 8))
    assert [operator.bytes_written for operator in found.operators] == [768]
    assert found.peak_activation_bytes == 768


@pytest.mark.parametrize("shape", [(16, 8), (2, 3, 16, 8)], ids=["3-D", "5-D"])
def test_attention_that_is_not_of_four_dimensions_holds_its_scores(shape):
    """Torch has fused kernels for four dimensions alone; any other it composes of products and a softmax."""
    attend = Function(lambda x: nn.functional.scaled_dot_product_attention(x, x[:], x[:]))
    (composed,) = trace(attend, shape, 2).operators
    count = 2 * math.prod(shape[:-2])
    one, scores = 4 * count * 16 * 8, 4 * count * 16 * 16
    assert (composed.kind, composed.dim("fused"), composed.scratch_bytes) == ("sdpa", 0, 2 * scores)
    assert composed.bytes_read == 2 * 3 * one + 2 * scores
    assert composed.bytes_written == 3 * one + 2 * scores + one
    (fused,) = trace(attend, (count // 2, 16, 8), 2).operators
    assert (fused.dim("fused"), fused.scratch_bytes) == (1, 0)
    assert (fused.bytes_read, fused.bytes_written, fused.macs) == (3 * one, one, composed.macs)
