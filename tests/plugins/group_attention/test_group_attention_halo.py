"""Halo attention (HaloNet, arXiv:2103.12731) against brute force, window and global attention."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from group_attention_cases import accepts, count, declared, image, made, picture
from torch import Tensor
from torch.nn import functional as F

from nas.costs.trace import trace
from nas.export.agreement import BATCHES
from nas.export.program import export_program
from nas_group_attention.halo_costs import block_axis

NAME, DOWN = "halo_attention", "halo_downsample"


def reference(module: Any, x: Tensor, block: int, halo: int) -> Tensor:
    """Attention between all positions of the map, masked to the window of the query's block, by loops."""
    core, (N, _, H, W) = module.attention, x.shape
    q, k, v = (
        torch.einsum("oc,nchw->nohw", part.weight[:, :, 0, 0], x)
        for part in (core.query, core.key, core.value)
    )
    d, values = core.head_dim, v.shape[1] // core.heads
    middle = core.vertical.shape[0] // 2
    mixed = torch.zeros_like(v)
    places = list(itertools.product(range(H), range(W)))
    for n, (i, j), head in itertools.product(range(N), places, range(core.heads)):
        top, left = i // block * block, j // block * block
        seen = [
            (a, b)
            for a, b in places
            if top - halo <= a < top + block + halo and left - halo <= b < left + block + halo
        ]
        query = q[n, head * d : (head + 1) * d, i, j]
        keys = torch.stack(
            [
                k[n, head * d : (head + 1) * d, a, b]
                + core.vertical[middle + a - i]
                + core.horizontal[middle + b - j]
                for a, b in seen
            ]
        )
        weights = (keys @ query * d**-0.5).softmax(0)
        part = slice(head * values, (head + 1) * values)
        mixed[n, part, i, j] = weights @ torch.stack([v[n, part, a, b] for a, b in seen])
    return F.conv2d(mixed, module.project.weight)


@pytest.mark.parametrize(
    ("size", "block", "halo"),
    [
        ((8, 8), 4, 1),
        ((8, 8), 4, 3),
        ((8, 8), 4, 0),
        ((9, 7), 4, 2),
        ((8, 5), 7, 4),
        ((10, 3), 4, 4),
        ((1, 1), 8, 3),
        ((6, 6), 14, 2),
    ],
)
def test_equals_brute_force_masked_attention(size: tuple[int, int], block: int, halo: int) -> None:
    signature = image(8, *size)
    module = made(NAME, signature, block_size=block, halo_size=halo, head_dim=4, value_ratio=1.5)
    x = picture(signature)
    with torch.no_grad():
        torch.testing.assert_close(module(x), reference(module, x, block, halo), rtol=1e-10, atol=1e-10)


def plain(module: Any, x: Tensor) -> Tensor:
    """Attention over all positions without a look at where they are."""
    core, (N, _, H, W) = module.attention, x.shape
    q, k, v = (
        part(x).reshape(N, core.heads, -1, H * W).transpose(2, 3)
        for part in (core.query, core.key, core.value)
    )
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(N, -1, H, W)
    return module.project(mixed)  # type: ignore[no-any-return]


def without_positions(module: Any) -> Any:
    """The module with an empty position table."""
    with torch.no_grad():
        module.attention.vertical.zero_()
        module.attention.horizontal.zero_()
    return module


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (5, 8)])
@pytest.mark.parametrize("halo", [0, 3])
def test_one_block_is_global_attention(size: tuple[int, int], halo: int) -> None:
    signature = image(16, *size)
    module = without_positions(made(NAME, signature, block_size=8, halo_size=halo, head_dim=8))
    x = picture(signature)
    torch.testing.assert_close(module(x), plain(module, x), rtol=1e-10, atol=1e-10)


def test_no_halo_is_attention_within_windows() -> None:
    signature = image(16, 12)
    module = without_positions(made(NAME, signature, block_size=4, halo_size=0, head_dim=8))
    x = picture(signature)
    windows = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    mixed = plain(module, windows).reshape(2, 3, 3, 16, 4, 4).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)
    torch.testing.assert_close(module(x), mixed, rtol=1e-10, atol=1e-10)


def test_a_query_sees_its_block_and_the_halo_and_no_more() -> None:
    signature = image(8, 16)
    module = made(NAME, signature, block_size=4, halo_size=2, head_dim=4)
    x = picture(signature, 1).requires_grad_()
    module(x)[0, :, 5, 10].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0) > 0
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[2:10, 6:14] = True
    assert torch.equal(seen, expected)


def test_moving_a_map_by_a_whole_block_moves_the_output() -> None:
    wide = image(8, 12, 20)
    module = made(NAME, wide, block_size=4, halo_size=2, head_dim=4)
    x = picture(wide, 1)
    with torch.no_grad():
        still, moved, off_grid = module(x), module(x.roll(4, 3)), module(x.roll(2, 3))
    # Of the columns 8 to 11, which become 12 to 15, the windows stay clear of the border before and after.
    torch.testing.assert_close(moved[..., 12:16], still[..., 8:12], rtol=1e-10, atol=1e-10)
    assert (off_grid[..., 10:14] - still[..., 8:12]).abs().max() > 1e-4


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (16, 5), (1, 1), (3, 20)])
@pytest.mark.parametrize("block", [4, 7, 8])
@pytest.mark.parametrize("stride", [2, 3])
def test_the_strided_form_keeps_every_stride_th_query(size: tuple[int, int], block: int, stride: int) -> None:
    signature = image(8, *size)
    knobs: dict[str, Any] = {"block_size": block, "halo_size": 2, "head_dim": 4}
    dense = made(DOWN, signature, width=12, **knobs)
    strided = made(DOWN, signature, width=12, stride=stride, **knobs)
    strided.load_state_dict(dense.state_dict())
    x = picture(signature)
    with torch.no_grad():
        found = strided(x)
        assert found.shape == (2, 12, -(-size[0] // stride), -(-size[1] // stride))
        torch.testing.assert_close(found, dense(x)[:, :, ::stride, ::stride], rtol=1e-10, atol=1e-10)


def test_a_stride_that_divides_the_block_saves_its_share_of_the_products() -> None:
    signature = image(32, 16)

    def products(stride: int) -> int:
        module = made(DOWN, signature, stride=stride, block_size=8, halo_size=2).float()
        operators = trace(module, signature.shape).operators
        return sum(o.macs for o in operators if o.kind in ("sdpa", "bmm"))

    assert products(1) == 4 * products(2) > 0


@pytest.mark.parametrize("block", [4, 7, 8, 14])
@pytest.mark.parametrize("halo", [0, 1, 3, 4])
def test_parameters_depend_on_block_and_halo_only_through_the_table(block: int, halo: int) -> None:
    table = 2 * (2 * (block + 2 * halo) - 1) * 8
    for size in (4, 16):
        module: Any = made(NAME, image(16, size), block_size=block, halo_size=halo, head_dim=8)
        assert count(module) - table == 4 * 16 * 16
        tables = (module.attention.vertical, module.attention.horizontal)
        assert sum(part.numel() for part in tables) == table


@pytest.mark.parametrize(("block", "halo"), [(4, 0), (4, 1), (4, 4), (8, 2), (8, 3)])
def test_each_query_costs_the_keys_of_its_window(block: int, halo: int) -> None:
    C, size = 32, 16
    module = made(NAME, image(C, size), block_size=block, halo_size=halo, head_dim=8).float()
    found = trace(module, (C, size, size))
    window = block + 2 * halo
    per_query = window**2 * C * 2
    positions = 2 * window * C
    layers = 4 * C * C
    assert found.macs == size * size * (per_query + positions + layers)
    assert found.macs == declared("macs", NAME, image(C, size), block_size=block, halo_size=halo, head_dim=8)
    assert not found.unknown_operators


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.25, 3.0])
def test_the_values_may_have_another_width(ratio: float) -> None:
    module: Any = made(NAME, image(16, 8), head_dim=8, value_ratio=ratio)
    values = 2 * round(8 * ratio)
    assert module.attention.value.weight.shape == (values, 16, 1, 1)
    assert module.project.weight.shape == (16, values, 1, 1)
    assert count(module) == 2 * 16 * 16 + 2 * 16 * values + 2 * 27 * 8


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_sample_is_attended_by_itself(size: tuple[int, int], stride: int) -> None:
    signature = image(8, *size)
    module = made(DOWN, signature, stride=stride, block_size=4, halo_size=2, head_dim=4)
    x = picture(signature, 4)
    with torch.no_grad():
        together = module(x)
        others = module(torch.cat([x[:1], 50 * x[1:] + 9]))
        for number in range(4):
            torch.testing.assert_close(module(x[number : number + 1])[0], together[number])
    torch.testing.assert_close(others[0], together[0])


def test_blocks_are_clipped_to_the_map() -> None:
    one = block_axis(6, 8, 3, 1)
    assert (one.count, one.block, one.halo, one.is_masked) == (1, 6, 0, False)
    assert (block_axis(5, 8, 3, 2).block, block_axis(5, 8, 3, 2).outputs) == (6, 3)
    many = block_axis(17, 8, 3, 1)
    assert (many.count, many.window, many.missing, many.queries) == (3, 14, 7, 8)
    assert block_axis(16, 7, 2, 2).stride == 1
    assert block_axis(5, 4, 9, 1).halo == 4


def test_a_map_smaller_than_a_block_costs_no_more_than_global_attention() -> None:
    for size in (1, 2, 4, 8):
        signature = image(8, size)
        found = declared("macs", NAME, signature, block_size=14, halo_size=4, head_dim=8)
        assert found == size**2 * (4 * 64) + size**4 * 2 * 8 + size**2 * 2 * size * 8


def test_what_does_not_fit_is_refused() -> None:
    assert accepts(NAME, image(32, 1, 3))
    assert not accepts(NAME, image(40, 8))
    assert accepts(NAME, image(40, 8), head_dim=8)
    assert accepts("halo_bottleneck", image(40, 8), 256)
    assert not accepts("halo_bottleneck", image(256, 8), 40)
    assert not accepts("halo_bottleneck", image(40, 8), None)
    assert accepts("halo_bottleneck", image(32, 8), None, ratio=1.0)


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_exports_for_any_batch_size(size: tuple[int, int]) -> None:
    signature = image(8, *size)
    module = made(DOWN, signature, stride=2, block_size=4, halo_size=2, head_dim=4)
    program = export_program(module, picture(signature, 1))
    assert program.batches == BATCHES
    x = picture(signature, 3)
    torch.testing.assert_close(program.exported.module()(x), module(x))


def test_runs_on_another_size_than_it_was_built_for() -> None:
    module = made(NAME, image(8, 8), block_size=4, halo_size=2, head_dim=4)
    for other in (image(8, 9, 7), image(8, 12), image(8, 2, 3)):
        direct = made(NAME, other, block_size=4, halo_size=2, head_dim=4)
        direct.load_state_dict(module.state_dict())
        with torch.no_grad():
            assert torch.equal(module(picture(other)), direct(picture(other)))
