"""SMPConv: a kernel spanned by points, by its formula; merged, resampled, along time; published networks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import build, build_element, fuse
from nas.costs.trace import trace
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.fitting import fit
from nas.spaces.signature import Signature
from nas.testing import BlockConformance
from nas.testing.modules import randomised
from nas_large_kernels.point_kernel import PointKernel
from nas_large_kernels.smp_conv import GeneratedConv, SeriesSmpConv, SmpConv

torch.set_num_threads(1)
REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks
MAP = Signature("image", 6, (9, 7))
SERIES = Signature("series", 6, (12,))


@pytest.mark.parametrize(
    "block", ["smp_conv", "large_kernel", "large_kernel_stem", "large_kernel_downsample"]
)
class TestSmpConvConformance(BlockConformance):
    sizes = ((8, 8), (7, 5), (1, 1))
    channels = (8, 16)
    inner = {"mixer": ("smp_conv", "depthwise_conv")}  # noqa: RUF012 - as a subclass writes it


class TestSeriesSmpConvConformance(BlockConformance):
    sizes = ((16,), (13,), (1,))

    @pytest.fixture
    def block(self) -> str:
        return "series_smp_conv"


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def made(module: nn.Module) -> Any:
    return randomised(module.double()).eval()


def naive_kernel(kernel: PointKernel, sizes: tuple[int, ...]) -> Tensor:
    """The sum over points at every tap, one after the other."""
    taps = torch.zeros(len(kernel.weights), *sizes, dtype=torch.float64)
    for place in (
        torch.cartesian_prod(*(torch.arange(size) for size in sizes)).reshape(-1, len(sizes)).tolist()
    ):
        x = [2 * i / (size - 1) - 1 if size > 1 else 0.0 for i, size in zip(place, sizes, strict=True)]
        for w, p, r in zip(kernel.weights.T, kernel.positions, kernel.radii, strict=True):
            radius = min(1.0, max(1e-3, float(r)))
            distance = sum(abs(a - float(b)) for a, b in zip(x, p, strict=True))
            taps[(slice(None), *place)] += w * max(0.0, 1 - distance / radius)
    return taps


@pytest.mark.parametrize("sizes", [(5, 5), (7, 3), (9,), (1, 1)])
def test_the_kernel_is_its_formula(sizes: tuple[int, ...]) -> None:
    kernel = made(PointKernel(4, sizes, 6))
    with torch.no_grad():
        torch.testing.assert_close(kernel(), naive_kernel(kernel, sizes), rtol=0, atol=1e-12)


def test_channels_share_positions_and_radii() -> None:
    kernel = PointKernel(4, (5, 5), 6)
    assert sum(p.numel() for p in kernel.parameters()) == 4 * 6 + 3 * 6
    assert sum(p.numel() for p in PointKernel(4, (31, 31), 6).parameters()) == 4 * 6 + 3 * 6


@pytest.mark.parametrize("sizes", [(5, 5), (7,)])
def test_at_twice_the_resolution_it_interpolates(sizes: tuple[int, ...]) -> None:
    kernel = made(PointKernel(3, sizes, 8))
    with torch.no_grad():
        fine = kernel([2 * size - 1 for size in sizes])
        every_second = fine[(slice(None), *(slice(None, None, 2) for _ in sizes))]
        torch.testing.assert_close(every_second, kernel(), rtol=0, atol=1e-12)
        assert fine.abs().max() <= kernel.weights.abs().sum(1).max()


def test_a_point_reaches_as_far_as_its_radius_and_no_further() -> None:
    kernel = PointKernel(1, (9,), 1).double()
    with torch.no_grad():
        kernel.positions.zero_()
        kernel.radii.fill_(0.5)
        kernel.weights.fill_(2.0)
        assert kernel().tolist() == [[0.0, 0.0, 0.0, 1.0, 2.0, 1.0, 0.0, 0.0, 0.0]]
        kernel.radii.fill_(7.0)
        assert kernel()[0, 0] == kernel()[0, -1] == 0.0
        kernel.radii.fill_(-1.0)
        assert kernel().count_nonzero() == 1


@pytest.mark.parametrize("left", [-1.0, 0.0, 7.0])
def test_a_radius_that_left_its_range_learns_again_from_the_next_epoch(left: float) -> None:
    kernel = PointKernel(1, (9,), 1).double()
    with torch.no_grad():
        kernel.positions.fill_(1e-4)
        kernel.radii.fill_(left)
        kernel.weights.fill_(2.0)
    before = kernel().detach()
    kernel().sum().backward()
    assert kernel.radii.grad is not None
    assert kernel.radii.grad.item() == 0
    kernel.on_epoch(0.5)
    kernel().sum().backward()
    assert kernel.radii.grad.item() > 0
    assert torch.equal(kernel().detach(), before)


def plain(conv: GeneratedConv, x: Tensor) -> Tensor:
    """Both branches as plain convolutions with their norms."""
    taps = conv.kernel().unsqueeze(1)
    convolve = F.conv2d if conv.dimensions == 2 else F.conv1d
    large = convolve(x, taps, padding=taps.shape[-1] // 2, groups=conv.channels)
    return conv.norm(large) + conv.small_norm(conv.small(x))


@pytest.mark.parametrize(("kernel", "small"), [(5, 5), (7, 3), (13, 5), (31, 5)])
def test_deployed_it_is_one_plain_convolution(kernel: int, small: int) -> None:
    conv = made(SmpConv(MAP, kernel=kernel, small_kernel=small))
    x = numbers(2, *MAP.shape)
    merged = conv.fused()
    assert type(merged) is nn.Conv2d
    assert merged.kernel_size == (kernel, kernel)
    assert merged.groups == MAP.channels
    torch.testing.assert_close(conv(x), plain(conv, x), rtol=0, atol=1e-12)
    torch.testing.assert_close(merged(x), conv(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", [0, 7, 31])
def test_along_time_too(kernel: int) -> None:
    conv = made(SeriesSmpConv(SERIES, kernel=kernel))
    x = numbers(2, *SERIES.shape)
    merged = conv.fused()
    assert type(merged) is nn.Conv1d
    assert merged.kernel_size == (kernel or 23,)
    torch.testing.assert_close(conv(x), plain(conv, x), rtol=0, atol=1e-12)
    torch.testing.assert_close(merged(x), conv(x), rtol=0, atol=1e-10)


def test_a_kernel_as_long_as_the_series_lets_every_step_see_all_others() -> None:
    merged = made(SeriesSmpConv(SERIES)).fused()
    torch.nn.init.ones_(merged.weight)
    torch.nn.init.zeros_(merged.bias)
    x = numbers(1, *SERIES.shape)
    torch.testing.assert_close(merged(x), x.sum(2, keepdim=True).expand_as(x), rtol=0, atol=1e-12)


def test_every_norm_of_the_block_is_folded() -> None:
    mixer = BlockUse("smp_conv", (("kernel", 7), ("points_divisor", 4), ("small_kernel", 3)))
    layer = Layer(BlockUse("large_kernel", (("mixer", mixer), ("ratio", 2))), 8, 2)
    module = randomised(build_element(layer, MAP, BLOCKS).double())
    x = numbers(2, *MAP.shape)
    expected = copy.deepcopy(module).eval()(x)
    deployed = fuse(module)
    torch.testing.assert_close(deployed(x), expected, rtol=0, atol=1e-9)
    assert not [part for part in deployed.modules() if isinstance(part, nn.BatchNorm2d | PointKernel)]


def test_the_size_of_the_kernel_changes_macs_and_few_parameters() -> None:
    small, large = (SmpConv(MAP, kernel=kernel) for kernel in (7, 31))
    macs = [trace(fuse(conv), MAP.shape).macs for conv in (small, large)]
    assert macs[1] / macs[0] == pytest.approx(31**2 / 7**2)
    points = [(7**2 // 4), (31**2 // 4)]
    grown = sum(p.numel() for p in large.parameters()) - sum(p.numel() for p in small.parameters())
    assert grown == (points[1] - points[0]) * (MAP.channels + 3)


@pytest.mark.parametrize(
    ("kernel", "small", "fits"), [(7, 5, True), (8, 5, False), (7, 4, False), (5, 5, True), (3, 5, False)]
)
def test_which_kernels_fit(kernel: int, small: int, fits: bool) -> None:
    use = BlockUse("smp_conv", (("kernel", kernel), ("points_divisor", 4), ("small_kernel", small)))
    assert (fit(use, MAP, None, 1, BLOCKS) is not None) is fits


@pytest.mark.parametrize(
    ("name", "params", "blocks"), [("smpconv_t", 26_705_248, 14), ("smpconv_b", 79_546_520, 26)]
)
def test_the_published_networks(name: str, params: int, blocks: int) -> None:
    space = load_space(f"published/{name}", REGISTRY)
    assert space.size() == 1
    network = space.decode(next(iter(space.enumerate()))).network
    assert network is not None
    with torch.device("meta"):
        module = build(network, BLOCKS)
    assert sum(parameter.numel() for parameter in module.parameters()) == params
    body = list(fuse(module).layers.values())[:-1]  # type: ignore[operator]
    parts = [part for layer in body for part in layer.modules()]
    assert not [part for part in parts if isinstance(part, nn.BatchNorm2d | PointKernel)]
    large = [part for part in parts if isinstance(part, nn.Conv2d) and part.kernel_size[0] > 9]
    assert len(large) == blocks
