"""Random pruning (arXiv:2202.02643): densities by layer, masks that never change, the block that wraps."""

from __future__ import annotations

import copy
import pickle
from math import prod

import pytest
import torch
from sparse_ops_cases import BLOCKS, MAP, picture, use
from torch import nn

from nas.blocks import build_element, fuse
from nas.costs.trace import trace
from nas.spaces.architecture import BlockUse, Layer
from nas_sparse_ops.density import RULES, layer_counts, layer_densities
from nas_sparse_ops.random_pruning import RandomlyPruned, prune_randomly

FIVE = [(64, 3, 3, 3), (64, 64, 3, 3), (128, 64, 3, 3), (256, 128, 3, 3), (10, 256)]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        )


def test_erk_by_hand():
    found = layer_densities(FIVE, 0.1, "erk")
    assert found == pytest.approx([1, 0.1847, 0.1365, 0.0672, 1], abs=5e-5)


def test_er_by_hand():
    found = layer_densities([(4, 4), (8, 8), (16, 16)], 0.3, "er")
    factor = 0.3 * (16 + 64 + 256) / (8 + 16 + 32)
    assert found == pytest.approx([factor * 8 / 16, factor * 16 / 64, factor * 32 / 256])
    assert layer_densities([(4, 4, 3, 3), (8, 8, 3, 3)], 0.2, "er") == pytest.approx(
        [0.2 * 9 * 80 / (8 + 16) / 9 * 8 / 16, 0.2 * 9 * 80 / (8 + 16) / 9 * 16 / 64]
    )


def test_uniform_plus_by_hand():
    shapes = [(4, 1), (10, 10), (10, 10), (4, 5)]
    found = layer_densities(shapes, 0.25, "uniform_plus")
    assert found == pytest.approx([1, 52 / 220, 52 / 220, 52 / 220])
    low = layer_densities(shapes, 0.1, "uniform_plus")
    assert low == pytest.approx([1, (22.4 - 4 - 4) / 200, (22.4 - 4 - 4) / 200, 0.2])
    assert layer_densities([(100, 1), (1, 1)], 0.1, "uniform_plus") == [0.1, 0.1]
    assert layer_densities([(3, 3)], 0.1, "uniform_plus") == [0.1]


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("density", [0.01, 0.05, 0.1, 0.217, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(
    "shapes", [FIVE, [(8, 3, 3, 3), (8, 1, 3, 3), (5, 8)], [(7, 3)], [(2, 2), (1, 1), (64, 64)], [(3, 1)] * 9]
)
def test_the_total_is_exact_to_one_weight(rule, density, shapes):
    sizes = [prod(shape) for shape in shapes]
    counts = layer_counts(shapes, density, rule)
    assert sum(counts) == round(density * sum(sizes))
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))
    if sum(counts) >= len(counts):
        assert min(counts) >= 1
    wanted = layer_densities(shapes, density, rule)
    assert sum(d * size for d, size in zip(wanted, sizes, strict=True)) == pytest.approx(density * sum(sizes))
    assert max(wanted) <= 1 + 1e-12


@pytest.mark.parametrize("rule", ["er", "erk"])
def test_small_layers_are_denser(rule):
    densities = layer_densities([(64, 64, 3, 3), (128, 128, 3, 3), (256, 256, 3, 3)], 0.1, rule)
    assert densities == sorted(densities, reverse=True)


@pytest.mark.parametrize("density", [0.0, -0.1, 1.5])
def test_a_density_outside_of_its_range_is_refused(density):
    with pytest.raises(ValueError, match="density"):
        prune_randomly(net(), density)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_network_keeps_its_density(rule):
    pruned = prune_randomly(net(), 0.2, rule)
    total = 8 * 27 + 8 * 36 + 40
    assert sum(int(mask.sum()) for mask in pruned.masks().values()) == round(0.2 * total)
    assert list(pruned.masks()) == ["0.weight", "3.weight", "6.weight"]


def test_a_masked_network_is_one_with_zeros():
    dense = net().eval()
    pruned = prune_randomly(copy.deepcopy(dense), 0.3).eval()
    with torch.no_grad():
        for name, mask in pruned.masks().items():
            dense.get_parameter(name).mul_(mask)
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(pruned(x), dense(x))
        assert torch.allclose(fuse(pruned)(x), dense(x), atol=1e-6)


def test_masks_never_change_in_training():
    pruned = prune_randomly(net(), 0.3)
    masks = {name: mask.clone() for name, mask in pruned.masks().items()}
    before = {name: pruned.body.get_parameter(name).detach().clone() for name in masks}
    optimizer = torch.optim.SGD(pruned.parameters(), lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        optimizer.zero_grad()
        pruned(torch.randn(4, 3, 6, 6, generator=generator)).square().sum().backward()
        optimizer.step()
    for name, mask in masks.items():
        weight = pruned.body.get_parameter(name)
        assert torch.equal(mask, pruned.masks()[name])
        assert torch.equal(weight[~mask], before[name][~mask])
        assert not torch.equal(weight[mask], before[name][mask])
        assert bool((weight.grad[~mask] == 0).all())


def test_masks_depend_on_the_seed_alone():
    state = torch.random.get_rng_state()
    one, other, third = (prune_randomly(net(), 0.3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    for name in one.masks():
        assert torch.equal(one.masks()[name], other.masks()[name])
    assert any(not torch.equal(one.masks()[name], third.masks()[name]) for name in one.masks())


def test_state_copies_and_pickles():
    pruned, other = prune_randomly(net(), 0.3, seed=1).eval(), prune_randomly(net(), 0.3, seed=2).eval()
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    expected = pruned(x)
    other.load_state_dict(pruned.state_dict())
    for again in (other, copy.deepcopy(pruned), pickle.loads(pickle.dumps(pruned))):
        assert torch.equal(again(x), expected)


def test_deploying_leaves_the_module_as_it_is():
    pruned = prune_randomly(net(), 0.3).eval()
    weights = {name: value.clone() for name, value in pruned.state_dict().items()}
    pruned.fused()
    fuse(pruned)
    assert all(torch.equal(value, weights[name]) for name, value in pruned.state_dict().items())


def test_shared_weights_are_pruned_once_and_nothing_is_no_error():
    linear = nn.Linear(4, 4)
    assert len(prune_randomly(nn.Sequential(linear, nn.ReLU(), linear), 0.5).masks()) == 1
    assert prune_randomly(nn.ReLU(), 0.5).masks() == {}
    assert list(prune_randomly(nn.Linear(4, 4), 0.5).masks()) == ["weight"]


def wrapped(body: BlockUse, width: int | None = None, stride: int = 1, **knobs) -> RandomlyPruned:
    layer = Layer(use("randomly_pruned", body=body, **knobs), width, stride)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_element(layer, MAP, BLOCKS).double()


BODIES = [("conv", {}), ("bottleneck", {"se": 0.25}), ("inverted_residual", {"expansion": 3}), ("basic", {})]


def body(name: str, knobs: dict) -> BlockUse:
    block = BLOCKS[name]
    values = {knob: choice.default for knob, choice in block.knobs.items()}
    return BlockUse(name, tuple(sorted({**values, **knobs}.items())))


@pytest.mark.parametrize(("name", "knobs"), BODIES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rule", ["erk", "uniform_plus"])
def test_the_block_prunes_what_it_wraps(name, knobs, stride, rule):
    module = wrapped(body(name, knobs), 24, stride, density=0.1, rule=rule).eval()
    sizes = [mask.numel() for mask in module.masks().values()]
    assert sum(int(mask.sum()) for mask in module.masks().values()) == round(0.1 * sum(sizes))
    with torch.no_grad():
        y = module(picture())
        assert y.shape == (3, 24, -(-7 // stride), -(-6 // stride))
        assert torch.allclose(fuse(module)(picture()), y, atol=1e-10)
    plain = build_element(Layer(body(name, knobs), 24, stride), MAP, BLOCKS)
    one, other = (trace(fuse(m.float()), MAP.shape) for m in (module, plain))
    assert (one.macs, one.params) == (other.macs, other.params)


def test_every_build_has_the_same_masks():
    one, other = (wrapped(body("basic", {}), density=0.2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.masks().values(), other.masks().values(), strict=True))
    with torch.device("meta"):
        empty = wrapped(body("basic", {}), density=0.2)
    assert {n: m.shape for n, m in empty.masks().items()} == {n: m.shape for n, m in one.masks().items()}


def test_it_may_wrap_a_sparse_block():
    module = wrapped(body("sparse_pointwise", {"sparsity": 0.7}), density=0.5).eval()
    with torch.no_grad():
        assert torch.allclose(fuse(module)(picture()), module(picture()), atol=1e-10)
    assert "sparse" in {operator.kind for operator in trace(fuse(module.float()), MAP.shape).operators}
