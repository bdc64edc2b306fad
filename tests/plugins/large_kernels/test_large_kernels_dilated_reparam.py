"""The mixer of UniRepLKNet (arXiv:2311.15599): its branches, and how they merge."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from dilated_reparam_cases import summed
from metanext_cases import BLOCKS, count, image, made, matches, picture, use
from torch import nn
from torch.nn import functional as F

from nas.blocks import fuse
from nas.costs.trace import trace
from nas_large_kernels.dilated_reparam_costs import BRANCHES

KERNELS = (3, 5, 7, 9, 11, 13, 15, 17)
MAP = image(3, 6, 5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_mixer_is_the_sum_of_its_branches(kernel: int) -> None:
    module = made("dilated_reparam", MAP, kernel=kernel)
    x = picture(MAP)
    matches(module(x), summed(x, module))


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (3, []),
        (5, [(3, 1), (3, 2)]),
        (7, [(5, 1), (3, 2), (3, 3)]),
        (9, [(5, 1), (5, 2), (3, 3), (3, 4)]),
        (11, [(5, 1), (5, 2), (3, 3), (3, 4), (3, 5)]),
        (13, [(5, 1), (7, 2), (3, 3), (3, 4), (3, 5)]),
        (15, [(5, 1), (7, 2), (3, 3), (3, 5), (3, 7)]),
        (17, [(5, 1), (9, 2), (3, 4), (3, 5), (3, 7)]),
    ],
)
def test_the_branches_of_the_paper(kernel: int, expected: list[tuple[int, int]]) -> None:
    module: Any = made("dilated_reparam", MAP, kernel=kernel)
    found = [(branch[0].kernel_size[0], branch[0].dilation[0]) for branch in module.branches]
    assert found == [(kernel, 1), *expected]
    assert all(branch[0].bias is None for branch in module.branches)


@pytest.mark.parametrize("kernel", sorted(BRANCHES))
def test_no_branch_reaches_further_than_the_large_kernel(kernel: int) -> None:
    signature = image(2, kernel + 4, kernel + 6)
    module = made("dilated_reparam", signature, kernel=kernel)
    x = picture(signature, batch=1)
    moved = x.clone()
    row, column, reach = signature.size[0] // 2, signature.size[1] // 2, kernel // 2
    moved[0, 1, row, column] += 1
    seen = (module(moved) - module(x))[0].abs() > 1e-12
    expected = torch.zeros_like(seen)
    expected[1, row - reach : row + reach + 1, column - reach : column + reach + 1] = True
    assert torch.equal(seen, expected)


@pytest.mark.parametrize("size", [(6, 5), (1, 1), (20, 19)])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_mixer_is_deployed_as_one_convolution(kernel: int, size: tuple[int, int]) -> None:
    signature = image(3, *size)
    module = made("dilated_reparam", signature, kernel=kernel)
    deployed = fuse(module)
    assert type(deployed) is nn.Conv2d
    assert deployed.kernel_size == (kernel, kernel)
    assert deployed.groups == 3
    assert count(deployed) == 3 * (kernel**2 + 1)
    x = picture(signature)
    matches(deployed(x), module(x))


@pytest.mark.parametrize("kernel", sorted(BRANCHES))
def test_a_dilated_kernel_is_a_larger_one_with_zeros_in_between(kernel: int) -> None:
    """The merged kernel by a transposed convolution with the identity, padded."""
    module: Any = made("dilated_reparam", MAP, kernel=kernel)
    weight, bias = torch.zeros(3, 1, kernel, kernel, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for convolution, norm in module.branches:
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
        spread = F.conv_transpose2d(convolution.weight, one, stride=convolution.dilation[0])
        weight += F.pad(spread, [(kernel - spread.shape[-1]) // 2] * 4) * scale.reshape(-1, 1, 1, 1)
        bias += norm.bias - norm.running_mean * scale
    deployed: Any = module.fused()
    matches(deployed.weight, weight)
    matches(deployed.bias, bias)


def test_merging_leaves_the_training_form_as_it_was() -> None:
    module: Any = made("dilated_reparam", MAP)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.fused()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not {id(p) for p in module.parameters()} & {id(p) for p in module.fused().parameters()}


def test_the_mixer_trains_by_all_its_norms() -> None:
    """In training each branch is normalised by its own statistics, which deploying then uses."""
    module: Any = made("dilated_reparam", MAP).train()
    x = picture(MAP, batch=8)
    expected = sum(
        F.batch_norm(branch[0](x), None, None, branch[1].weight, branch[1].bias, training=True)
        for branch in module.branches
    )
    before = [branch[1].running_mean.clone() for branch in module.branches]
    matches(module(x), expected)
    assert all(
        not torch.equal(b, branch[1].running_mean) for b, branch in zip(before, module.branches, strict=True)
    )
    matches(fuse(module)(x), module.eval()(x))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_formulas_of_the_mixer(kernel: int) -> None:
    block = BLOCKS["dilated_reparam"]
    assert block.params is not None
    assert block.macs is not None
    hand = 3 * sum(side**2 + 2 for side in (kernel, *(side for side, _ in BRANCHES.get(kernel, ()))))
    module = made("dilated_reparam", MAP, kernel=kernel).float()
    assert block.params(MAP, None, 1, kernel=kernel) == hand == count(module)
    assert (
        block.macs(MAP, None, 1, kernel=kernel) == 30 * 3 * kernel**2 == trace(fuse(module), MAP.shape).macs
    )


@pytest.mark.parametrize("name", ["dilated_reparam", "unireplknet"])
@pytest.mark.parametrize("kernel", range(1, 21))
def test_which_kernels_fit(name: str, kernel: int) -> None:
    values = use(name, kernel=kernel).knob_values()
    assert BLOCKS[name].accepts(image(1, 1, 1), None, 1, values) is (kernel in KERNELS)


def test_the_mixer_in_another_skeleton_is_merged_with_its_norm() -> None:
    signature = image(4, 7, 6)
    mixer = use("dilated_reparam", kernel=9)
    module = made("metanext", signature, mixer=mixer, norm="batch", layer_scale=1.0)
    deployed: Any = fuse(module)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
    assert type(deployed.mixer) is nn.Conv2d
    x = picture(signature)
    matches(deployed(x), module(x))
