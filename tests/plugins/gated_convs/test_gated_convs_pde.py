"""The block of a quasi-linear hyperbolic system (arXiv:2308.01621): formula, symmetry, costs, training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import build, fuse
from nas.costs.trace import trace
from nas.errors import BlockError
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.spaces.signature import Signature
from nas.testing.modules import randomised
from nas_gated_convs.pde import Hardball, PDEBlock, symmetry

REGISTRY = default_registry()


def made(channels: int, *size: int, **knobs: Any) -> PDEBlock:
    """The block in float64, in eval, with its norms and their statistics away from their start."""
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = PDEBlock(Signature("image", channels, size), **knobs)
    return randomised(block.double()).eval()  # type: ignore[return-value]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mapped(matrix: Tensor, x: Tensor) -> Tensor:
    """The matrix times the channels of every position."""
    return torch.einsum("ij,njhw->nihw", matrix, x)


def rotation(channels: int, seed: int = 3) -> Tensor:
    return torch.linalg.qr(numbers(channels, channels, seed=seed)).Q


def normed(part: Any, channel: int, value: float) -> float:
    """A batch norm in eval, of one number."""
    norm = part.norm
    spread = math.sqrt(norm.running_var[channel].item() + norm.eps)
    scaled = (value - norm.running_mean[channel].item()) / spread
    return scaled * norm.weight[channel].item() + norm.bias[channel].item()


def naive(block: Any, x: Tensor, stride: int, multiplier: int) -> Tensor:
    """The formula for one sample (C, H, W), in loops, without what ends the block."""
    C, H, W = x.shape
    inner = block.depthwise.conv.in_channels
    halves = torch.zeros(2 * inner, H, W, dtype=x.dtype)
    for o, h, w in np.ndindex(2 * inner, H, W):
        value = sum(block.expand.conv.weight[o, c, 0, 0].item() * x[c, h, w].item() for c in range(C))
        halves[o, h, w] = normed(block.expand, o, value)
    product = halves[:inner] * halves[inner:]
    rows, columns = -(-H // stride), -(-W // stride)
    wide = torch.zeros(inner * multiplier, rows, columns, dtype=x.dtype)
    for o, h, w in np.ndindex(inner * multiplier, rows, columns):
        value = 0.0
        for dh, dw in np.ndindex(3, 3):
            i, j = h * stride + dh - 1, w * stride + dw - 1
            if 0 <= i < H and 0 <= j < W:
                value += (block.depthwise.conv.weight[o, 0, dh, dw] * product[o // multiplier, i, j]).item()
        wide[o, h, w] = normed(block.depthwise, o, value)
    outputs = len(block.project.conv.weight)
    y = torch.zeros(outputs, rows, columns, dtype=x.dtype)
    for o, h, w in np.ndindex(outputs, rows, columns):
        y[o, h, w] = normed(block.project, o, (block.project.conv.weight[o, :, 0, 0] @ wide[:, h, w]).item())
        if isinstance(block.skip, nn.Identity):
            y[o, h, w] += x[o, h, w]
        else:
            passing = block.skip.conv.weight[o, :, 0, 0] @ x[:, h * stride, w * stride]
            y[o, h, w] += normed(block.skip, o, passing.item())
    return y


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize(("width", "stride"), [(None, 1), (3, 1), (4, 2), (None, 2)])
def test_it_is_the_formula(width: int | None, stride: int, multiplier: int) -> None:
    knobs = {"expansion": 2, "depthwise_multiplier": multiplier, "activation_placement": "none"}
    block = made(3, 4, 3, width=width, stride=stride, **knobs)
    x = numbers(1, 3, 4, 3)
    with torch.no_grad():
        torch.testing.assert_close(block(x)[0], naive(block, x[0], stride, multiplier), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("placement", "kept", "changed"),
    [("none", False, False), ("transition", False, True), ("all", True, True)],
)
def test_where_the_ball_stands(placement: str, kept: bool, changed: bool) -> None:
    same = made(4, 3, 3, activation_placement=placement)
    wider = made(4, 3, 3, width=6, activation_placement=placement)
    smaller = made(4, 3, 3, width=4, stride=2, activation_placement=placement)
    assert isinstance(same.act, Hardball) is kept
    assert isinstance(wider.act, Hardball) is isinstance(smaller.act, Hardball) is changed
    x = 100 * numbers(2, 4, 3, 3)
    for block, is_clipped in ((same, kept), (wider, changed), (smaller, changed)):
        y = block(x)
        longest = y.square().sum(1).sqrt().max().item()
        assert (longest <= math.sqrt(y.shape[1]) * (1 + 1e-12)) is is_clipped


def test_the_ball_clips_the_length_of_a_position_and_nothing_else() -> None:
    x = numbers(2, 5, 3, 4) * torch.tensor([0.1, 1.0, 3.0, 9.0])
    y = Hardball()(x)
    for n, h, w in np.ndindex(2, 3, 4):
        vector = x[n, :, h, w]
        expected = vector * min(1.0, math.sqrt(5) / vector.norm().item())
        torch.testing.assert_close(y[n, :, h, w], expected, rtol=0, atol=1e-12)
    inside = x.square().sum(1, keepdim=True).le(5).expand_as(x)
    assert inside.any()
    assert not inside.all()
    assert torch.equal(y[inside], x[inside])
    torch.testing.assert_close(Hardball()(y), y, rtol=1e-12, atol=0)


def test_the_gradient_of_the_ball_is_finite_at_zero() -> None:
    x = torch.zeros(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    Hardball()(x).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_the_gradient_of_the_ball_is_that_of_a_difference() -> None:
    x = (2 * numbers(1, 3, 2, 2)).requires_grad_()
    assert torch.autograd.gradcheck(Hardball(), (x,))


def test_it_starts_as_what_passes_by() -> None:
    block = PDEBlock(Signature("image", 4, (5, 5))).double().eval()
    x = numbers(2, 4, 5, 5)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(("width", "stride"), [(None, 1), (6, 2)])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_deployed_the_norms_are_in_the_convolutions(width: int | None, stride: int, multiplier: int) -> None:
    block = made(4, 7, 5, width=width, stride=stride, depthwise_multiplier=multiplier)
    deployed = fuse(block)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
    x = numbers(2, 4, 7, 5)
    torch.testing.assert_close(deployed(x), block(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("expansion", [2, 4])
def test_any_invertible_matrix_is_a_symmetry(expansion: int, seed: int) -> None:
    block = made(5, 6, 4, expansion=expansion)
    matrix = numbers(5, 5, seed=seed)
    x = numbers(2, 5, 6, 4)
    with torch.no_grad():
        moved = symmetry(block, matrix)
        expected = mapped(matrix, block(x))
        torch.testing.assert_close(moved(mapped(matrix, x)), expected, rtol=0, atol=1e-9)
        assert (moved(x) - block(x)).abs().max() > 1e-3  # its weights are others indeed


def test_the_weights_move_as_the_paper_says() -> None:
    block, matrix = made(4, 3, 3, expansion=2), numbers(4, 4, seed=1)
    before, after = fuse(block), symmetry(block, matrix)
    first, third = (getattr(before, name).conv for name in ("expand", "project"))
    moved_first, moved_third = (getattr(after, name).conv for name in ("expand", "project"))
    inverse = torch.linalg.inv(matrix)
    torch.testing.assert_close(moved_first.weight[..., 0, 0], first.weight[..., 0, 0] @ inverse)
    torch.testing.assert_close(moved_third.weight[..., 0, 0], matrix @ third.weight[..., 0, 0])
    torch.testing.assert_close(moved_third.bias, matrix @ third.bias)
    assert torch.equal(moved_first.bias, first.bias)
    assert torch.equal(before.depthwise.conv.weight, after.depthwise.conv.weight)  # type: ignore[union-attr]


def test_moving_a_block_leaves_it_as_it_was_and_can_be_undone() -> None:
    block = made(4, 5, 5)
    state = {name: value.clone() for name, value in block.state_dict().items()}
    matrix = numbers(4, 4, seed=1)
    moved = symmetry(block, matrix)
    assert all(torch.equal(value, state[name]) for name, value in block.state_dict().items())
    x = numbers(2, 4, 5, 5)
    back = symmetry(moved, torch.linalg.inv(matrix))
    torch.testing.assert_close(back(x), block(x), rtol=0, atol=1e-9)


def test_two_moves_are_the_move_by_the_product() -> None:
    block, a, b = made(4, 5, 5), numbers(4, 4, seed=1), numbers(4, 4, seed=2)
    x = numbers(2, 4, 5, 5)
    torch.testing.assert_close(
        symmetry(symmetry(block, a), b)(x), symmetry(block, b @ a)(x), rtol=0, atol=1e-8
    )


def test_a_stage_computes_the_same_in_any_coordinates() -> None:
    """Into new coordinates at a transition, two blocks within, back at the next one."""
    here = Signature("image", 3, (8, 6))
    entry = made(3, *here.size, width=5, stride=2)
    middle = [made(5, 4, 3), made(5, 4, 3, expansion=2, depthwise_multiplier=1)]
    exit_ = made(5, 4, 3, width=4, stride=2, activation_placement="none")
    turn = rotation(5)
    moved = nn.Sequential(
        symmetry(entry, torch.eye(3), turn),
        *(symmetry(block, turn) for block in middle),
        symmetry(exit_, turn, torch.eye(4)),
    )
    x = numbers(2, 3, *here.size)
    with torch.no_grad():
        expected = nn.Sequential(entry, *middle, exit_)(x)
        torch.testing.assert_close(moved(x), expected, rtol=1e-9, atol=1e-9)


def test_a_ball_passes_rotations_only() -> None:
    block = made(3, 4, 4, width=5)
    x = 20 * numbers(2, 3, 4, 4)
    turn, entering = rotation(5), numbers(3, 3, seed=1)
    moved = symmetry(block, entering, turn)
    torch.testing.assert_close(moved(mapped(entering, x)), mapped(turn, block(x)), rtol=0, atol=1e-9)
    with pytest.raises(BlockError, match="orthogonal"):
        symmetry(block, entering, numbers(5, 5, seed=2))


def test_without_a_ball_a_transition_takes_any_matrices() -> None:
    block = made(3, 5, 4, width=5, stride=2, activation_placement="none")
    entering, leaving = numbers(3, 3, seed=1), numbers(5, 5, seed=2)
    x = numbers(2, 3, 5, 4)
    moved = symmetry(block, entering, leaving)
    torch.testing.assert_close(moved(mapped(entering, x)), mapped(leaving, block(x)), rtol=0, atol=1e-9)


def test_what_passes_by_as_it_is_allows_one_matrix_only() -> None:
    with pytest.raises(BlockError, match="`entering` must be `leaving`"):
        symmetry(made(3, 4, 4), rotation(3, 1), rotation(3, 2))
    with pytest.raises(BlockError, match="Conv2d has no such symmetry"):
        symmetry(nn.Conv2d(3, 3, 1), torch.eye(3))


@pytest.mark.parametrize(("width", "stride"), [(None, 1), (7, 1), (4, 2)])
@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("expansion", [2, 4])
def test_the_costs_by_hand(width: int | None, stride: int, multiplier: int, expansion: int) -> None:
    C, H, W = 4, 7, 6
    block = PDEBlock(
        Signature("image", C, (H, W)),
        width=width,
        stride=stride,
        expansion=expansion,
        depthwise_multiplier=multiplier,
    )
    outputs, positions = width or C, math.ceil(H / stride) * math.ceil(W / stride)
    wide = expansion * C * multiplier
    passing = C * outputs if (width, stride) != (None, 1) else 0
    norms = 2 * (2 * expansion * C + wide + outputs + (outputs if passing else 0))
    weights = 2 * expansion * C * C + 9 * wide + wide * outputs + passing
    assert sum(parameter.numel() for parameter in block.parameters()) == weights + norms
    expected = H * W * 2 * expansion * C * C + positions * (9 * wide + wide * outputs + passing)
    assert trace(fuse(block), (C, H, W)).macs == expected


def network() -> nn.Module:
    space = load_space("published/pdenet50", REGISTRY)
    assert space.size() == 1
    found = space.sample(np.random.default_rng(0)).network
    assert found is not None
    with torch.device("meta"):
        return build(found, REGISTRY.blocks).eval()


def test_the_published_network() -> None:
    """The count is that of the authors' code, ResNet-50's depths with PDE blocks, at 1000 classes."""
    module = network()
    assert sum(parameter.numel() for parameter in module.parameters()) == 9_993_640
    assert trace(fuse(module), (3, 224, 224)).macs == 2_557_330_432


def test_the_balls_of_the_published_network() -> None:
    """Behind every change of width and in front of the classifier."""
    blocks = [part for part in network().modules() if isinstance(part, PDEBlock)]
    changes = [not isinstance(block.skip, nn.Identity) for block in blocks]
    assert [number for number, change in enumerate(changes) if change] == [3, 7, 13]
    clipped = [isinstance(block.act, Hardball) for block in blocks]
    assert clipped == [*changes[:-1], True]
    expansions = [block.depthwise.conv.in_channels // block.expand.conv.in_channels for block in blocks]  # type: ignore[union-attr,operator]
    assert expansions == [4] * 8 + [2] * 8


def test_it_learns_what_no_linear_map_can() -> None:
    """The sign of the product of two channels."""
    torch.set_num_threads(1)
    x = numbers(256, 2, 4, 4).float()
    labels = (x.prod(1).sum((1, 2)) > 0).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        here = Signature("image", 2, (4, 4))
        model = nn.Sequential(PDEBlock(here, width=8), PDEBlock(Signature("image", 8, (4, 4))))
        classifier = nn.Linear(8, 2)
    parameters = [*model.parameters(), *classifier.parameters()]
    optimizer = torch.optim.Adam(parameters, 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(classifier(model(x).mean((2, 3))), labels).backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (classifier(model(x).mean((2, 3))).argmax(1) == labels).float().mean().item()
    linear = torch.linalg.lstsq(x.flatten(1), 2.0 * labels[:, None] - 1).solution
    by_line = ((x.flatten(1) @ linear > 0).long()[:, 0] == labels).float().mean().item()
    assert accuracy > 0.95 > 0.8 > by_line
