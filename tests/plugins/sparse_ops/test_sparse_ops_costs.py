"""What sparse weights cost: on the roofline's curve, in cost tables, and never nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sparse_ops_cases import BLOCKS, REGISTRY, layer_of
from torch import nn

from nas import estimate
from nas.blocks import build, fuse, parameter_count
from nas.costs import CostTable, resolve_target
from nas.costs.trace import trace
from nas.spaces import parse_space
from nas.spaces.signature import Signature
from nas_sparse_ops.random_pruning import prune_randomly

WIDE = Signature("image", 128, (14, 14))
CPUS = ("pixel3-cpu", "cpu-avx2", "snapdragon855-cpu", "rpi4")


def latency(target: str, **knobs) -> float:
    module = layer_of("sparse_pointwise", WIDE, activation="identity", **knobs)
    return estimate(module, WIDE.shape, target=target).latency_ms


@pytest.mark.parametrize("target", CPUS)
@pytest.mark.parametrize("block", [1, 2, 4])
def test_estimates_fall_with_sparsity(target, block):
    times = [latency(target, sparsity=sparsity, block=block) for sparsity in (0.5, 0.7, 0.8, 0.9, 0.95)]
    assert times == sorted(times, reverse=True)
    assert min(times) > 0


def test_a_phone_gains_from_ninety_percent_and_loses_at_half():
    dense = latency("pixel3-cpu", sparsity=0.0)
    assert latency("pixel3-cpu", sparsity=0.5) > dense
    assert 2 < dense / latency("pixel3-cpu", sparsity=0.9) < 4
    assert dense / latency("pixel3-cpu", sparsity=0.9, block=4) < 8


def test_on_a_gpu_sparsity_of_this_kind_does_not_pay():
    assert latency("a100", sparsity=0.95) > latency("a100", sparsity=0.0)


def test_torch_tensors_in_blocks_say_so():
    class Held(nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.register_buffer("weight", weight)

        def forward(self, x):
            return self.weight @ x

    dense = torch.zeros(8, 8)
    dense[:2, :2] = dense[4:6, 2:4] = 1.0
    operator = trace(Held(dense.to_sparse_bsr((2, 2))), (3,), batch_size=8).operators[0]
    assert (operator.kind, operator.macs, operator.dim("block")) == ("sparse", 8 * 3, 2)
    rows = trace(Held(dense.to_sparse_csr()), (3,), batch_size=8).operators[0]
    assert (rows.dim("nonzeros"), rows.dim("block")) == (8, 1)


@pytest.mark.parametrize(
    ("name", "knobs"), [("sparse_pointwise", {"block": 4}), ("nm_pointwise", {"g": 4, "n": 1})]
)
def test_the_trace_says_what_a_product_is(name, knobs):
    deployed = fuse(layer_of(name, WIDE, **knobs))
    operators = trace(deployed, WIDE.shape).operators
    found = next(operator for operator in operators if operator.kind == "sparse")
    assert (found.dim("rows"), found.dim("inner"), found.dim("columns")) == (128, 128, 196)
    assert found.dim("block") == 4
    assert found.macs == found.dim("nonzeros") * 196
    assert found.known
    stored = sum(t.numel() * t.element_size() for n, t in deployed.state_dict().items() if "bias" not in n)
    assert found.weight_bytes == stored
    assert found.bytes_moved == stored + 2 * 128 * 196 * 4


def test_masks_on_dense_weights_are_priced_as_dense():
    dense = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 8, 1))
    pruned = prune_randomly(dense, 0.05, "uniform")
    one, other = (estimate(module, (16, 9, 9), target="pixel3-cpu") for module in (dense, pruned))
    assert (one.macs, one.params, one.latency_ms) == (other.macs, other.params, other.latency_ms)
    assert parameter_count(pruned) == parameter_count(dense)


@pytest.mark.parametrize(
    "name", ["sparse_pointwise", "sparse_separable_conv", "sparse_inverted_residual", "masked_conv"]
)
@pytest.mark.parametrize("target", ["pixel3-cpu", "a100"])
def test_no_operator_is_free(name, target):
    cost = estimate(layer_of(name), (16, 7, 6), target=target)
    assert not cost.unknown_operators
    assert all(op.bytes_moved + op.flops > 0 for op in cost.operators)
    assert min(op.latency_ms for op in cost.operators) >= 0
    assert cost.latency_ms > 0
    assert cost.energy_mj > 0


SPACE = """
name = "sparse"
input = { domain = "image", channels = 3, size = [32, 32] }
classes = 10
stem = { use = "conv_stem", width = 16, stride = 2 }

[[stages]]
depth = [1, 2]
width = [16, 32]
stride = 2
blocks = [
  { use = "sparse_inverted_residual", sparsity = [0.0, 0.7, 0.9], block = [1, 4] },
  { use = "nm_pointwise", n = [1, 2], g = [0, 2], m = 4 },
  { use = "randomly_pruned", density = 0.1, body = { use = "conv", kernel = [1, 3] } },
]

[head]
use = "pool_linear"
"""


def test_the_cost_table_of_a_space_finds_what_the_built_network_costs():
    space = parse_space(SPACE, BLOCKS)
    targets = [resolve_target(name, REGISTRY) for name in ("pixel3-cpu", "a100")]
    table = CostTable(space, targets, REGISTRY)
    rng = np.random.default_rng(0)
    sampled = [space.sample(rng) for _ in range(12)]
    columns = table.costs(np.stack([space.encode(architecture) for architecture in sampled]))
    for index, architecture in enumerate(sampled):
        module = build(architecture.network, BLOCKS, seed=0)
        for target in targets:
            cost = estimate(module, (3, 32, 32), target=target)
            assert columns.column(f"latency@{target.name}")[index] == pytest.approx(cost.latency_ms)
            assert columns.column(f"macs@{target.name}")[index] == cost.macs
            assert columns.column(f"params@{target.name}")[index] == cost.params == parameter_count(module)
