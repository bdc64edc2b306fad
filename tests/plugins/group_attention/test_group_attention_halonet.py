"""The bottleneck and the stem of HaloNets (arXiv:2103.12731), and the published networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from group_attention_cases import count, image, made, picture, published
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import fuse
from nas.costs.trace import trace

NAME = "halo_bottleneck"
SMALL: dict[str, Any] = {"ratio": 0.5, "block_size": 4, "halo_size": 1, "head_dim": 4}


def normed(x: Tensor, norm: Any) -> Tensor:
    """A batch norm in eval."""
    mean, spread = norm.running_mean[:, None, None], (norm.running_var + norm.eps).sqrt()[:, None, None]
    y: Tensor = (x - mean) / spread * norm.weight[:, None, None] + norm.bias[:, None, None]
    return y


@pytest.mark.parametrize(("width", "stride"), [(None, 1), (24, 1), (None, 2), (24, 2)])
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_bottleneck_equals_the_formula(width: int | None, stride: int, activation: str) -> None:
    signature = image(16, 9, 7)
    module: Any = made(NAME, signature, width=width, stride=stride, activation=activation, **SMALL)
    act = getattr(F, activation)
    x = picture(signature)
    y = act(normed(F.conv2d(x, module.reduce.conv.weight), module.reduce.norm))
    y = act(normed(module.attention(y), module.norm))
    y = normed(F.conv2d(y, module.expand.conv.weight), module.expand.norm)
    around = x
    if (width, stride) != (None, 1):
        around = normed(F.conv2d(x, module.shortcut.conv.weight, stride=stride), module.shortcut.norm)
    torch.testing.assert_close(module(x), act(y + around), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_the_norm_behind_the_attention_goes_into_its_values(stride: int, ratio: float) -> None:
    signature = image(16, 9, 7)
    module: Any = made(NAME, signature, width=24, stride=stride, value_ratio=ratio, **SMALL)
    x = picture(signature)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    deployed: Any
    for deployed in (module.fused(), fuse(module)):
        torch.testing.assert_close(deployed(x), module(x), rtol=1e-9, atol=1e-9)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
    assert deployed.attention.value.bias is not None
    assert module.attention.value.bias is None
    assert fuse(deployed)(x).equal(deployed(x))
    assert all(tensor.equal(before[name]) for name, tensor in module.state_dict().items())
    # With a gain that is not the norm's, the output is another one.
    with torch.no_grad():
        module.norm.weight.mul_(2)
    assert (deployed(x) - module(x)).abs().max() > 1e-3


def test_bottleneck_parameters_by_hand() -> None:
    C, width, inner, values, d = 16, 32, 16, 32, 8
    module = made(
        NAME, image(C, 8), width=width, stride=2, ratio=0.5, value_ratio=2.0, head_dim=d, halo_size=2
    )
    table = 2 * (2 * (8 + 4) - 1) * d
    attention = 2 * inner * inner + inner * values + table
    norms = 2 * (inner + values + width)
    assert count(module) == C * inner + attention + values * width + norms + C * width + 2 * width


@pytest.mark.parametrize(
    ("stride", "pool", "strides"),
    [
        (4, True, (2, 1, 1)),
        (4, False, (2, 1, 2)),
        (2, True, (1, 1, 1)),
        (2, False, (2, 1, 1)),
        (1, True, (1, 1, 1)),
    ],
)
def test_the_stem_shares_the_stride(stride: int, pool: bool, strides: tuple[int, ...]) -> None:
    signature = image(3, 17, 16)
    module: Any = made("tiered_stem", signature, width=16, stride=stride, pool=pool)
    convolutions = [module.first.conv, module.second.conv, module.third.conv]
    assert tuple(conv.stride[0] for conv in convolutions) == strides
    assert [conv.out_channels for conv in convolutions] == [6, 8, 16]
    assert module(picture(signature)).shape == (2, 16, -(-17 // stride), -(-16 // stride))


def test_the_stem_equals_its_layers() -> None:
    signature = image(3, 16)
    module: Any = made("tiered_stem", signature, width=16, stride=4, activation="silu")
    y = x = picture(signature)
    for number, part in enumerate((module.first, module.second, module.third)):
        y = F.silu(normed(F.conv2d(y, part.conv.weight, None, 2 if number == 0 else 1, 1), part.norm))
    torch.testing.assert_close(module(x), F.max_pool2d(y, 3, 2, 1), rtol=1e-10, atol=1e-10)
    deployed = fuse(module)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
    torch.testing.assert_close(deployed(x), module(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("halonet26t", 12_480_288, 3_164_422_144),
        ("halonet50ts", 22_733_280, 5_251_088_384),
        ("halonet_h1", 8_100_056, 2_919_878_656),
    ],
)
def test_published_networks(name: str, parameters: int, macs: int) -> None:
    module, shape = published(name)
    assert shape == (3, 256, 256)
    assert count(module) == parameters
    found = trace(module, shape)
    assert found.macs == macs
    assert not found.unknown_operators
    assert trace(fuse(module), shape).macs == macs


@pytest.mark.parametrize(
    ("name", "layers", "heads"),
    [
        ("halonet26t", [5, 6, 7], [8, 8, 8]),
        ("halonet50ts", [6, 8, 10, 12, 14], [4, 8, 8, 8, 8]),
        ("halonet_h1", list(range(19)), [8] * 19),
    ],
)
def test_where_the_published_networks_attend(name: str, layers: list[int], heads: list[int]) -> None:
    module, _ = published(name)
    bottlenecks: list[Any] = [part for part in module.modules() if hasattr(part, "shortcut")]
    found = [n for n, part in enumerate(bottlenecks) if hasattr(part, "attention")]
    assert found == layers
    assert [bottlenecks[n].attention.heads for n in found] == heads
