"""Traces under autocast hold the casts it executes, and numbers as wide as it makes them."""

from __future__ import annotations

import pytest
import torch
from costs_modules import Function, conv_norm, on_meta, resnet50
from torch import nn
from torch.nn import functional as F

from nas.costs.autocast import POLICIES
from nas.costs.trace import trace

AMP = "amp-fp16"


def operators(module, shape, precision=AMP):
    return trace(module, shape, precision=precision).operators


def moved(function, shape=(4, 6)) -> list[tuple[str, int, int]]:
    """(name, bytes read, bytes written) of each operator of a function on 24 numbers in single precision."""
    return [
        (found.name, found.bytes_read, found.bytes_written) for found in operators(Function(function), shape)
    ]


def test_a_convolution_casts_its_input_and_each_weight():
    cast_input, cast_weight, cast_bias, convolution = operators(nn.Conv2d(3, 8, 3), (3, 10, 10))
    assert [cast.name for cast in (cast_input, cast_weight, cast_bias)] == ["_to_copy"] * 3
    assert (cast_input.kind, cast_input.bytes_read, cast_input.bytes_written) == ("copy", 1200, 600)
    assert (cast_weight.weight_bytes, cast_weight.bytes_written) == (4 * 216, 2 * 216)
    assert (cast_bias.weight_bytes, cast_bias.bytes_written) == (32, 16)
    assert convolution.weight_bytes == 2 * (216 + 8)
    assert (convolution.bytes_read, convolution.bytes_written) == (600 + 448, 2 * 512)
    assert convolution.sources == ((0, 600),)


def test_casts_know_their_module():
    assert {found.module for found in operators(nn.Sequential(nn.Linear(4, 4)), (4,))} == {"0"}


def test_a_weight_is_cast_once():
    layer = nn.Linear(8, 8, bias=False)
    names = [found.name for found in operators(nn.Sequential(layer, nn.ReLU(), layer), (8,))]
    assert names == ["_to_copy", "_to_copy", "linear", "relu", "linear"]


def test_a_weight_that_is_not_trained_is_cast_each_time():
    layer = nn.Linear(8, 8, bias=False).requires_grad_(False)
    names = [found.name for found in operators(nn.Sequential(layer, nn.ReLU(), layer), (8,))]
    assert names == ["_to_copy", "_to_copy", "linear", "relu", "_to_copy", "linear"]


def test_a_batch_norm_runs_on_what_the_convolution_returns():
    norm, act = operators(nn.Sequential(conv_norm(3, 8, 3), nn.ReLU()), (3, 10, 10))[-2:]
    assert (norm.name, norm.bytes_read, norm.bytes_written) == ("batch_norm", 1600 + 128, 1600)
    assert (act.bytes_read, act.bytes_written) == (1600, 1600)


def test_a_layer_norm_runs_in_single_precision_and_the_next_product_casts_back():
    module = nn.Sequential(nn.Linear(8, 8, bias=False), nn.LayerNorm(8), nn.Linear(8, 8, bias=False))
    found = [(op.name, op.bytes_read, op.bytes_written) for op in operators(module, (8,))]
    assert found == [
        ("_to_copy", 32, 16),
        ("_to_copy", 256, 128),
        ("linear", 16 + 128, 16),
        ("_to_copy", 16, 32),
        ("layer_norm", 32 + 64, 32),
        ("_to_copy", 32, 16),
        ("_to_copy", 256, 128),
        ("linear", 16 + 128, 16),
    ]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.half().softmax(-1), [("_to_copy", 96, 48), ("_softmax", 48, 96)]),
        (lambda x: x.half().sum(-1), [("_to_copy", 96, 48), ("sum", 48, 16)]),
        (lambda x: x.half().mean(-1), [("_to_copy", 96, 48), ("mean", 48, 8)]),
        (lambda x: x.half().exp(), [("_to_copy", 96, 48), ("_to_copy", 48, 96), ("exp", 96, 96)]),
        (lambda x: x.half().pow(2), [("_to_copy", 96, 48), ("_to_copy", 48, 96), ("pow", 96, 96)]),
        (lambda x: F.gelu(x.half()), [("_to_copy", 96, 48), ("gelu", 48, 48)]),
        (lambda x: F.normalize(x, dim=-1)[:0], [("linalg_vector_norm", 96, 16), ("clamp_min", 16, 16)]),
        (lambda x: x.half() + x, [("_to_copy", 96, 48), ("add", 144, 96)]),
        (lambda x: torch.cat([x.half(), x], -1), [("_to_copy", 96, 48), ("cat", 144, 192)]),
        (lambda x: x.relu(), [("relu", 96, 96)]),
    ],
    ids=range(10),
)
def test_what_each_list_does(function, expected):
    assert moved(function)[: len(expected)] == expected


def test_attention_takes_what_the_products_return():
    names = [op.name for op in operators(nn.MultiheadAttention(8, 2, batch_first=True), [(5, 8)] * 3)]
    assert names.count("scaled_dot_product_attention") + names.count("_softmax") == 1
    heads = Function(lambda x: F.scaled_dot_product_attention(x, x, x))
    assert [(op.name, op.bytes_written) for op in operators(heads, (2, 5, 8))] == [
        *[("_to_copy", 160)] * 3,
        ("scaled_dot_product_attention", 160),
    ]


def test_a_module_may_switch_it_off():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8, bias=False)

        def forward(self, x):
            with torch.autocast(x.device.type, enabled=False):
                y = self.layer(x)
            with torch.autocast("cuda", enabled=False), torch.autocast("cuda", dtype=torch.float16):
                return self.layer(y)

    names = [(op.name, op.bytes_written) for op in operators(Careful(), (8,))]
    assert names == [("linear", 32), ("_to_copy", 16), ("_to_copy", 128), ("linear", 16)]
    assert [op.name for op in operators(Careful(), (8,), "fp32")] == ["linear", "linear"]
    with pytest.raises(RuntimeError):
        torch.autocast("meta")


def test_a_recurrent_layer_casts_its_weights():
    found = operators(nn.LSTM(8, 16), (5, 8))
    assert found[-1].name == "lstm"
    assert found[-1].weight_bytes == 2 * sum(weight.numel() for weight in nn.LSTM(8, 16).parameters())


def test_where_values_matter_it_runs_on_the_cpu():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 7)

        def forward(self, x):
            return self.layer(x) if (x * 0 + 1).mean().item() > 0 else x

    names = [op.name for op in operators(Gate(), (6,))]
    assert names[-4:] == ["_to_copy", "_to_copy", "_to_copy", "linear"]


def test_integers_and_double_precision_are_left_alone():
    assert moved(lambda x: torch.arange(4).cumsum(0))[-1] == ("cumsum", 32, 32)
    (cast, product) = moved(lambda x: x.double() @ x.double().T, (4,))[-2:]
    assert product[0] in ("mm", "dot", "mv")
    assert cast[0] == "_to_copy"


@pytest.mark.parametrize("name", POLICIES)
def test_the_lists_name_operators_of_torch(name):
    packet, _, overload = name.partition(".")
    assert hasattr(getattr(torch.ops.aten, packet), overload or "default")


def test_nothing_but_casts_is_added():
    module = on_meta(resnet50)
    plain, cast = (trace(module, (3, 64, 64), precision=precision) for precision in ("fp16", AMP))
    others = [op for op in cast.operators if op.name != "_to_copy"]
    assert [(op.name, op.macs, op.flops, op.dims) for op in others] == [
        (op.name, op.macs, op.flops, op.dims) for op in plain.operators
    ]
    assert len(cast.operators) - len(others) == 1 + 53 + 2
    assert cast.params == plain.params
    assert cast.macs == plain.macs
    assert [op.bytes_written for op in others] == [op.bytes_written for op in plain.operators]


class HalfNorm(nn.Module):
    """A norm that stays in the precision of autocast, by the device of its input."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x):
        weight = self.weight
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(device_type=x.device.type)
            x, weight = x.to(dtype), weight.to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            return torch.nn.functional.layer_norm(x, (8,), weight)


def test_a_module_may_ask_for_the_autocast_of_the_device_of_its_input():
    found = trace(HalfNorm(), (4, 8), precision="amp-fp16").operators
    assert [(operator.name, operator.width) for operator in found] == [
        ("_to_copy", 4),
        ("_to_copy", 4),
        ("layer_norm", 2),
    ]
    assert [operator.name for operator in trace(HalfNorm(), (4, 8)).operators] == ["layer_norm"]


def test_what_torch_is_asked_is_put_back():
    before = torch.is_autocast_enabled, torch.get_autocast_dtype
    trace(HalfNorm(), (4, 8), precision="amp-fp16")
    assert (torch.is_autocast_enabled, torch.get_autocast_dtype) == before
