"""Convolution by other algorithms: equal to PyTorch's own, with the workspace that is counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nas.costs.trace import trace
from nas_hardware.conv_algorithms import ConvShape
from nas_hardware.conv_algorithms import im2win as counted_im2win
from nas_hardware.conv_references import fft_conv2d, im2win, im2win_conv2d, sliding_conv2d
from nas_hardware.sliding_pool import pool_steps, sliding_average_pool2d, sliding_max_pool2d

torch.set_num_threads(1)
EVERY = pytest.mark.parametrize("conv2d", [sliding_conv2d, im2win_conv2d, fft_conv2d])
LAYERS = [
    {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    for stride, padding, dilation, groups in itertools.product(
        (1, 2, (2, 3)), (0, (1, 2)), (1, 2, (1, 3)), (1, 3, 6)
    )
]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def far(conv2d: Callable[..., Tensor], x: Tensor, weight: Tensor, **knobs: Any) -> float:
    expected = F.conv2d(x, weight, **knobs)
    found = conv2d(x, weight, **knobs)
    assert found.shape == expected.shape
    return float((found - expected).abs().max())


@EVERY
@pytest.mark.parametrize("knobs", LAYERS, ids=str)
def test_every_stride_padding_dilation_and_group(
    conv2d: Callable[..., Tensor], knobs: dict[str, Any]
) -> None:
    x, weight = numbers(2, 6, 13, 12), numbers(12, 6 // knobs["groups"], 3, 2, seed=1)
    assert far(conv2d, x, weight, **knobs) < 1e-12


@EVERY
@pytest.mark.parametrize("kernel", [1, 2, 5, 7])
def test_even_and_odd_kernels(conv2d: Callable[..., Tensor], kernel: int) -> None:
    assert far(conv2d, numbers(1, 4, 9, 10), numbers(3, 4, kernel, kernel, seed=1), padding=1) < 1e-12


@pytest.mark.parametrize("kernel", [3, 5, 9, 15, 21, 31, 47, 63])
@pytest.mark.parametrize("size", [(64, 64), (65, 67)])
def test_large_kernels_by_transforms(kernel: int, size: tuple[int, int]) -> None:
    x, weight = numbers(1, 2, *size), numbers(2, 1, kernel, kernel, seed=1)
    assert far(fft_conv2d, x, weight, padding=kernel // 2, groups=2) < 1e-10
    assert far(fft_conv2d, x, weight, groups=2) < 1e-10


def test_nothing_wraps_around() -> None:
    """A circular convolution would carry the last column into the first."""
    x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    x[..., -1] = 1.0
    found = fft_conv2d(x, torch.ones(1, 1, 3, 3, dtype=torch.float64), padding=1)
    assert found[..., :6].abs().max() < 1e-12
    assert found[0, 0, 3, 7] == pytest.approx(3.0)


@pytest.mark.parametrize(("size", "kernel", "stride"), [((14, 14), 3, 1), ((27, 23), 5, 2), ((31, 31), 7, 4)])
def test_the_window_tensor_is_as_large_as_counted(size: tuple[int, int], kernel: int, stride: int) -> None:
    stored = im2win(torch.zeros(2, 3, *size), kernel, stride=stride)
    shape = ConvShape(2, 3, 8, size, (kernel, kernel), (stride, stride))
    assert stored.is_contiguous()
    assert stored.untyped_storage().nbytes() == counted_im2win(shape).workspace_bytes


def test_a_window_is_one_piece_of_the_window_tensor() -> None:
    x = numbers(1, 1, 6, 7)
    stored = im2win(x, 3)
    for row, column in itertools.product(range(4), range(5)):
        piece = stored[0, 0, row, column * 3 : column * 3 + 9]
        assert torch.equal(piece, x[0, 0, row : row + 3, column : column + 3].T.flatten())


class Transformed(torch.nn.Module):
    """A depthwise convolution by transforms."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(8, 1, kernel, kernel))

    def forward(self, x: Tensor) -> Tensor:
        return fft_conv2d(x, self.weight, groups=8)


def test_the_work_of_transforms_does_not_depend_on_the_kernel() -> None:
    work = {kernel: trace(Transformed(kernel), (8, 64, 64)).flops for kernel in (3, 9, 31)}
    direct = [64 * kernel**2 for kernel in work]
    assert max(work.values()) / min(work.values()) < 1.05
    assert direct[-1] / direct[0] > 100


class TestPools:
    @pytest.mark.parametrize("kernel", range(1, 12))
    @pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (3, 0)])
    def test_they_are_pytorchs(self, kernel: int, stride: int, padding: int) -> None:
        x = numbers(2, 3, 14, 13)
        knobs = {"stride": stride, "padding": padding}
        assert torch.equal(sliding_max_pool2d(x, kernel, **knobs), F.max_pool2d(x, kernel, **knobs))
        expected = F.avg_pool2d(x, kernel, **knobs)
        torch.testing.assert_close(sliding_average_pool2d(x, kernel, **knobs), expected, rtol=0, atol=1e-12)

    @pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, 2), (8, 4)])
    def test_padding(self, kernel: int, padding: int) -> None:
        x = numbers(1, 2, 9, 9)
        assert torch.equal(
            sliding_max_pool2d(x, kernel, padding=padding), F.max_pool2d(x, kernel, 1, padding)
        )
        expected = F.avg_pool2d(x, kernel, 1, padding)
        found = sliding_average_pool2d(x, kernel, padding=padding)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("kernel", [2, 3, 4, 7, 8, 13, 64])
    def test_steps_are_counted_and_logarithmic(self, kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []
        maximum = torch.maximum
        monkeypatch.setattr(torch, "maximum", lambda a, b: calls.append(1) or maximum(a, b))
        sliding_max_pool2d(numbers(1, 1, 64, 64), kernel)
        assert len(calls) == 2 * pool_steps(kernel)  # two axes
        assert pool_steps(kernel) <= 2 * (kernel.bit_length() - 1)
