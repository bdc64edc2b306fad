"""The block and the space keep what nas asks of them, and the block computes what its formula says."""

from __future__ import annotations

import math

import pytest
import torch
from nas_gated_depthwise.block import GatedDepthwise
from torch import Tensor, nn

from nas import Signature
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.testing import BlockConformance, SpaceConformance


class TestGatedDepthwise(BlockConformance):
    @pytest.fixture
    def block(self) -> str:
        return "gated_depthwise"


class TestGatedSmall(SpaceConformance):
    @pytest.fixture
    def space(self) -> str:
        return "gated-small"


def test_size_of_the_space() -> None:
    # Stage 1: 2 widths x (2 x 2 x 2 gated + 2 inverted).
    # Stage 2, whose layers are alike: 2 depths x (3 gated + 2 metaformers).
    assert load_space("gated-small", default_registry()).size() == 2 * 10 * 2 * 5


def batch_norm(value: float, norm: nn.BatchNorm2d, channel: int) -> float:
    scale = norm.weight[channel].item() / math.sqrt(norm.running_var[channel].item() + norm.eps)
    return (value - norm.running_mean[channel].item()) * scale + norm.bias[channel].item()


def naive(module: GatedDepthwise, x: Tensor) -> Tensor:
    """The block by its definition, one number at a time."""
    (expand, norm_0), (depthwise, norm_1), (project, norm_2) = module.expand, module.depthwise, module.project
    samples, channels, rows, columns = x.shape
    hidden, kernel, stride = depthwise.out_channels, depthwise.kernel_size[0], module.stride
    half = kernel // 2
    out = torch.zeros(samples, project.out_channels, -(-rows // stride), -(-columns // stride), dtype=x.dtype)
    for n in range(samples):
        wide = [
            [
                [
                    batch_norm(
                        sum(expand.weight[c, k, 0, 0].item() * x[n, k, i, j].item() for k in range(channels)),
                        norm_0,
                        c,
                    )
                    for j in range(columns)
                ]
                for i in range(rows)
            ]
            for c in range(2 * hidden)
        ]
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                product = []
                for c in range(hidden):
                    total = 0.0
                    for di in range(kernel):
                        for dj in range(kernel):
                            row, column = i * stride + di - half, j * stride + dj - half
                            if 0 <= row < rows and 0 <= column < columns:
                                total += depthwise.weight[c, 0, di, dj].item() * wide[c][row][column]
                    gate = wide[hidden + c][i * stride][j * stride]
                    if module.gate == "sigmoid":
                        gate = 1 / (1 + math.exp(-gate))
                    else:
                        gate = gate * (1 + math.erf(gate / math.sqrt(2))) / 2
                    product.append(batch_norm(total, norm_1, c) * gate)
                for c in range(out.shape[1]):
                    total = sum(project.weight[c, k, 0, 0].item() * value for k, value in enumerate(product))
                    out[n, c, i, j] = batch_norm(total, norm_2, c)
                    if stride == 1 and out.shape[1] == channels:
                        out[n, c, i, j] += x[n, c, i, j]
    return out


@pytest.mark.parametrize(
    ("width", "stride", "kernel", "expansion", "gate"),
    [(None, 1, 3, 2, "sigmoid"), (3, 1, 5, 1, "gelu"), (4, 2, 3, 1.5, "gelu"), (3, 2, 7, 1, "sigmoid")],
)
def test_agrees_with_a_naive_loop(
    width: int | None, stride: int, kernel: int, expansion: float, gate: str
) -> None:
    torch.manual_seed(0)
    signature = Signature("image", 3, (5, 4))
    module = GatedDepthwise(
        signature, width=width, stride=stride, kernel=kernel, expansion=expansion, gate=gate
    ).double()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    module.eval()
    x = torch.randn(2, *signature.shape, dtype=torch.float64)
    with torch.no_grad():
        expected = naive(module, x)
        torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(module.fused()(x), expected, rtol=1e-10, atol=1e-10)
