"""Estimates of modules and architectures on targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from costs_modules import Function, conv_norm, mobilenet_v2, on_meta, resnet50
from torch import nn

import nas
from nas.blocks import build
from nas.costs import Cost, estimate, estimate_architecture, resolve_target
from nas.costs.deployed import trace_deployed
from nas.costs.liveness import alive
from nas.costs.operators import Trace, join_traces
from nas.costs.trace import trace
from nas.errors import CostError, TargetError, UnknownNameError
from nas.plugins import default_registry
from nas.spaces import Architecture, Network, Signature, load_space


def test_a_published_network():
    cost = estimate(on_meta(resnet50), (3, 224, 224), "a100")
    assert (cost.params, cost.macs) == (25_557_032, 4_089_184_256)
    assert cost.target == "a100-sxm4-80gb/compiled/fp16/b1/nchw"
    assert (cost.kind, cost.tier) == ("predicted", "T0")
    assert 0 < cost.low_ms < cost.latency_ms < cost.high_ms
    assert not any(operator.kind == "norm" for operator in cost.operators)
    assert cost.unknown_operators == ()
    assert nas.estimate is estimate


def test_a_profile_of_the_users_choice():
    cost = estimate(nn.Linear(8, 4), (8,), "t4", batch_size=3, precision="int8", runtime="tensorrt")
    assert cost.target == "t4/tensorrt/int8/b3/nchw"
    assert cost.macs == 32
    assert cost.activation_bytes == 3 * 4


def test_the_deployed_form_is_priced():
    module = nn.Sequential(conv_norm(3, 8, 3), nn.ReLU())
    deployed = estimate(module, (3, 16, 16), "cpu")
    given = estimate(module, (3, 16, 16), "cpu", fused=False)
    assert [operator.kind for operator in deployed.operators] == ["conv", "pointwise"]
    assert [operator.kind for operator in given.operators] == ["conv", "norm", "pointwise"]
    assert deployed.latency_ms < given.latency_ms
    assert deployed.params == given.params == 3 * 8 * 9 + 16
    assert deployed.macs == given.macs
    assert module[0][1].training


def test_eager_mode_runs_a_module_as_it_is():
    module = nn.Sequential(conv_norm(3, 8, 3), nn.ReLU())
    eager = estimate(module, (3, 16, 16), "rtx3090", runtime="eager")
    assert [operator.kind for operator in eager.operators] == ["conv", "norm", "pointwise"]
    assert eager == estimate(module, (3, 16, 16), "rtx3090", runtime="eager", fused=False)
    deployed = estimate(module, (3, 16, 16), "rtx3090", runtime="eager", fused=True)
    assert [operator.kind for operator in deployed.operators] == ["conv", "pointwise"]
    assert deployed.latency_ms < eager.latency_ms


def test_a_block_that_merges_its_branches_is_priced_merged():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(4, 4, 3, padding=1, bias=False)
            self.other = nn.Conv2d(4, 4, 1, bias=False)

        def forward(self, x):
            return self.one(x) + self.other(x)

        def fused(self):
            merged = nn.Conv2d(4, 4, 3, padding=1, bias=False)
            merged.weight = nn.Parameter(self.one.weight + nn.functional.pad(self.other.weight, [1, 1, 1, 1]))
            return merged

    cost = estimate(nn.Sequential(Branches()), (4, 8, 8), "cpu")
    assert cost.macs == 64 * 4 * 36
    assert cost.params == 4 * 4 * 10
    assert len(cost.operators) == 1


def test_a_block_that_needs_its_values_to_merge():
    class Pruned(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))

        def forward(self, x):
            return x @ self.weight.T

        def fused(self):
            kept = int(self.weight.abs().sum(1).gt(0).sum().item())
            return nn.Linear(2, kept, bias=False)

    assert estimate(Pruned(), (2,), "cpu").macs == 2
    assert estimate(Pruned(), (2,), "cpu", fused=False).macs == 4


def test_what_cannot_be_merged_is_said_in_one_line():
    class Broken(nn.Module):
        def forward(self, x):
            return x

        def fused(self):
            raise RuntimeError("not\ntoday")

    with pytest.raises(
        CostError, match="Broken cannot be brought to its deployed form: RuntimeError: not today"
    ):
        estimate(Broken(), (2,), "cpu")


def test_the_module_is_not_changed():
    module = nn.Sequential(conv_norm(3, 4, 3), nn.Dropout(), nn.Flatten(), nn.Linear(256, 2))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    estimate(module, (3, 8, 8), "pixel6")
    after = module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert module.training
    assert isinstance(module[0][1], nn.BatchNorm2d)


def test_peak_memory_is_weights_and_activations():
    cost = estimate(nn.Sequential(nn.Linear(100, 50, bias=False), nn.ReLU()), (100,), "cpu", batch_size=2)
    assert cost.peak_memory_bytes == 4 * 5000 + 832 + 448  # 800 and 400 bytes, aligned; fused in place
    half = estimate(nn.Linear(100, 50, bias=False), (100,), "a100")
    assert half.peak_memory_bytes == 2 * 5000 + 512 + 512


@pytest.mark.parametrize("target", ["a100", "pixel6", "coral", "cpu", "jetson", "apple-m1"])
def test_more_work_costs_more(target):
    def costs(**options):
        return [
            estimate(
                on_meta(lambda w=w: nn.Sequential(conv_norm(3, w, 3), nn.ReLU(), conv_norm(w, w, 3))),
                (3, 32, 32),
                target,
                **options,
            )
            for w in (16, 64, 256)
        ]

    for narrow, wide in (costs()[:2], costs()[1:], costs(batch_size=8)[1:]):
        for name in (
            "latency_ms",
            "energy_mj",
            "params",
            "macs",
            "bytes_moved",
            "peak_memory_bytes",
            "activation_bytes",
        ):
            assert getattr(narrow, name) < getattr(wide, name), name
    for one, eight in zip(costs(), costs(batch_size=8), strict=True):
        assert one.latency_ms < eight.latency_ms
        assert one.energy_mj < eight.energy_mj
        assert one.macs == eight.macs


def test_the_sum_of_operators_is_the_latency():
    cost = estimate(on_meta(mobilenet_v2), (3, 96, 96), "a100")
    assert sum(operator.latency_ms for operator in cost.operators) == pytest.approx(cost.latency_ms, rel=1e-9)
    assert sum(operator.macs for operator in cost.operators) == cost.macs
    assert {operator.bound for operator in cost.operators} <= {"compute", "memory", "launch"}


def test_unknown_operators_are_named_and_widen_the_interval():
    library = torch.library.Library("costs_estimation", "DEF")
    library.define("odd(Tensor x) -> Tensor")
    library.impl("odd", lambda x: torch.empty_like(x), "Meta")
    odd = torch.ops.costs_estimation.odd
    known = estimate(Function(lambda x: x.sigmoid()), (1000,), "cpu")
    unknown = estimate(Function(lambda x: odd(x)), (1000,), "cpu")
    assert unknown.unknown_operators == ("costs_estimation::odd",)
    assert [operator.known for operator in unknown.operators] == [False]
    assert unknown.latency_ms > 0
    assert unknown.high_ms / unknown.low_ms > known.high_ms / known.low_ms


def test_errors_reach_the_user():
    with pytest.raises(UnknownNameError, match="a100"):
        estimate(nn.Linear(2, 2), (2,), "a100x")
    with pytest.raises(UnknownNameError, match="roofline"):
        estimate(nn.Linear(2, 2), (2,), "a100", model="roof")
    with pytest.raises(TargetError, match="bf16"):
        estimate(nn.Linear(2, 2), (2,), "t4", precision="bf16")
    with pytest.raises(CostError, match="Linear cannot run"):
        estimate(nn.Linear(2, 2), (3,), "a100")


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    return load_space("tiny", default_registry()).sample(np.random.default_rng(0))


def test_operators_of_an_architecture_carry_paths_of_its_module(architecture):
    cost = estimate_architecture(architecture, "a100")
    names = {name for name, _ in build(architecture.network, default_registry().blocks).named_modules()}
    assert {operator.module for operator in cost.operators} <= names
    assert len(cost.operators) > 5


def test_a_cell_is_priced_once_for_all_its_places():
    space = load_space("cell", default_registry())
    architecture = space.sample(np.random.default_rng(1))
    cost = estimate_architecture(architecture, "cpu")
    places = {operator.module.split(".")[1] for operator in cost.operators}
    assert len(places) == len(architecture.network.layers)


def test_an_architecture_is_priced_at_its_deployment_input(architecture):
    network = architecture.network
    larger = replace(
        network, input=Signature("image", network.input.channels, tuple(2 * s for s in network.input.size))
    )
    assert (
        estimate_architecture(Architecture(larger), "a100").macs
        > 2 * estimate_architecture(architecture, "a100").macs
    )


def test_architectures_that_cannot_be_priced():
    with pytest.raises(CostError, match="no network"):
        estimate_architecture(Architecture(None, (("lr", 1),)), "a100")
    with pytest.raises(CostError, match="no layers"):
        estimate_architecture(Architecture(Network(Signature("image", 3, (8, 8)), ())), "a100")


def test_traces_that_run_one_behind_the_other():
    one = trace(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), (4,))
    two = trace(nn.Sequential(nn.Linear(8, 2)), (8,))
    joined = join_traces([("a", one), ("b.c", two)])
    assert [operator.module for operator in joined.operators] == ["a.0", "a.1", "b.c.0"]
    assert [operator.sources[0][0] for operator in joined.operators] == [-1, 0, 1]
    assert (joined.params, joined.macs) == (58, 48)
    assert joined.peak_activation_bytes == max(one.peak_activation_bytes, two.peak_activation_bytes)
    assert join_traces([("", one), ("", one)]).operators[3].sources == ((2, 32),)
    assert joined.output == 2


def test_memory_that_is_held_while_a_part_runs():
    alone = trace(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), (4,))
    held = alone.holding(1000)

    def bytes_alive(found, until_released=True):
        return alive(found.allocations, len(found.operators), until_released=until_released)

    assert alone.input_bytes == held.input_bytes == 16
    assert bytes_alive(held) == [size + 1000 for size in bytes_alive(alone)]
    assert bytes_alive(held, False) == bytes_alive(alone, False), "nothing reads it"
    joined = join_traces([("a", alone), ("b", held), ("c", alone)])
    assert bytes_alive(joined) == [
        *bytes_alive(alone),
        *bytes_alive(held),
        *bytes_alive(alone),
    ]


@pytest.mark.parametrize("size", [0, 1000])
def test_what_does_not_say_when_memory_is_there_holds_none(size):
    silent = replace(trace(nn.Linear(4, 8), (4,)), allocations=())
    assert silent.input_bytes == 0
    assert silent.holding(size) == silent


def test_what_runs_behind_a_part_that_returns_something_else_has_an_input_of_its_own():
    one = trace(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), (4,))
    joined = join_traces([("a", replace(one, output=None)), ("b", one)])
    assert [operator.sources[0][0] for operator in joined.operators] == [-1, 0, -1, 2]


def test_a_part_that_passes_its_input_on_stands_between_two_others():
    one, none = trace(nn.Linear(4, 4), (4,)), trace(nn.Identity(), (4,))
    joined = join_traces([("a", none), ("b", one), ("c", none), ("d", one), ("e", none)])
    assert [operator.sources[0][0] for operator in joined.operators] == [-1, 0]
    assert joined.output == 1
    assert join_traces([("a", none)]).output == -1


def test_the_deployed_trace_counts_parameters_as_given():
    module = conv_norm(3, 8, 3)
    found = trace_deployed(module, (3, 8, 8))
    assert isinstance(found, Trace)
    assert found.params == 216 + 16
    assert found.weight_bytes == 4 * (216 + 8)


def test_costs_do_not_depend_on_who_asks():
    target = resolve_target("pixel6")
    first: Cost = estimate(nn.Linear(8, 4), (8,), target)
    assert first == estimate(nn.Linear(8, 4), (8,), target)
    assert first == estimate(on_meta(lambda: nn.Linear(8, 4)), (8,), "pixel6", registry=default_registry())
