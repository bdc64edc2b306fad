"""BiFormer's block and stem (arXiv:2303.08810), and its published networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from group_attention_cases import BLOCKS, accepts, count, image, made, picture, published, use
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import fuse
from nas.costs.trace import trace

INNER: dict[str, Any] = {
    "mixer": use("bilevel_routing_attention", regions=4, topk=2, head_dim=8, local_kernel=3),
    "ffn": use("mlp", ratio=3, activation="gelu", bias=True),
}


def layer_norm(x: Tensor, norm: Any) -> Tensor:
    """Over the channels of each position, with gain and bias."""
    centred = x - x.mean(1, keepdim=True)
    spread = (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    y: Tensor = centred / spread * norm.weight[:, None, None] + norm.bias[:, None, None]
    return y


@pytest.mark.parametrize("kernel", [0, 3, 5])
@pytest.mark.parametrize("scale", [0.0, 0.1])
def test_block_equals_the_formula(kernel: int, scale: float) -> None:
    signature = image(16, 9, 7)
    module: Any = made("biformer", signature, position_kernel=kernel, layer_scale=scale, **INNER)
    x = y = picture(signature)
    if kernel:
        y = x + F.conv2d(x, module.position.weight, module.position.bias, padding=kernel // 2, groups=16)
    gains = [part.weight[:, None, None] if scale else 1.0 for part in (module.mixer_scale, module.ffn_scale)]
    y = y + gains[0] * module.mixer(layer_norm(y, module.mixer_norm))
    hidden = F.gelu(
        F.conv2d(layer_norm(y, module.ffn_norm), module.ffn.expand.weight, module.ffn.expand.bias)
    )
    y = y + gains[1] * F.conv2d(hidden, module.ffn.project.weight, module.ffn.project.bias)
    torch.testing.assert_close(module(x), y, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("width", "stride"), [(32, 2), (32, 1), (None, 2), (None, 1)])
def test_an_embedding_stands_where_the_shape_changes(width: int | None, stride: int) -> None:
    signature = image(16, 9, 7)
    module: Any = made("biformer", signature, width=width, stride=stride, **INNER)
    x = picture(signature)
    outputs = width or 16
    assert module(x).shape == (2, outputs, -(-9 // stride), -(-7 // stride))
    if (width, stride) == (None, 1):
        assert isinstance(module.embedding, nn.Identity)
        return
    conv, norm = module.embedding
    assert count(module.embedding) == 9 * 16 * outputs + outputs + 2 * outputs
    y = F.conv2d(x, conv.weight, conv.bias, stride, 1)
    mean, spread = norm.running_mean[:, None, None], (norm.running_var + norm.eps).sqrt()[:, None, None]
    y = (y - mean) / spread * norm.weight[:, None, None] + norm.bias[:, None, None]
    found = module(x)
    module.embedding = nn.Identity()
    torch.testing.assert_close(found, module(y), rtol=1e-10, atol=1e-10)


def test_a_single_position_with_a_stride_keeps_its_embedding() -> None:
    module: Any = made("biformer", image(16, 1), stride=2, **INNER)
    assert not isinstance(module.embedding, nn.Identity)
    assert module(picture(image(16, 1))).shape == (2, 16, 1, 1)


@pytest.mark.parametrize(("stride", "strides"), [(1, (1, 1)), (2, (2, 1)), (3, (1, 3)), (4, (2, 2))])
def test_the_stem_shares_the_stride(stride: int, strides: tuple[int, int]) -> None:
    signature = image(3, 17, 16)
    module: Any = made("biformer_stem", signature, width=12, stride=stride)
    assert (module.first[0].stride[0], module.second[0].stride[0]) == strides
    assert module(picture(signature)).shape == (2, 12, -(-17 // stride), -(-16 // stride))
    # Both convolutions have a bias in spite of the norm behind them.
    assert count(module) == 27 * 6 + 6 + 12 + 9 * 6 * 12 + 12 + 24


def test_norms_of_stem_and_embedding_are_folded() -> None:
    signature = image(3, 16)
    stem = made("biformer_stem", signature, width=16, stride=4)
    block = made("biformer", image(16, 8), width=32, stride=2, **INNER)
    for module, x in ((stem, picture(signature)), (block, picture(image(16, 8)))):
        deployed = fuse(module)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
        torch.testing.assert_close(deployed(x), module(x), rtol=1e-9, atol=1e-9)


def test_any_mixer_of_the_registry_fits_the_block() -> None:
    signature = image(16, 8)
    for mixer in ("pool_mixer", "separable_conv", "halo_attention"):
        knobs = {"head_dim": 8} if "head_dim" in BLOCKS[mixer].knobs else {}
        module = made("biformer", signature, mixer=use(mixer, **knobs))
        assert module(picture(signature)).shape == (2, 16, 8, 8)


def test_what_does_not_fit_is_refused() -> None:
    assert accepts("biformer", image(16, 8))
    assert not accepts("biformer", image(16, 8), position_kernel=4)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("biformer_t", 13_142_760, 2_215_901_568),
        ("biformer_s", 25_536_232, 4_463_629_568),
        ("biformer_b", 56_804_968, 9_758_990_208),
    ],
)
def test_published_networks(name: str, parameters: int, macs: int) -> None:
    module, shape = published(name)
    assert shape == (3, 224, 224)
    assert count(module) == parameters
    found = trace(module, shape)
    assert found.macs == macs
    assert not found.unknown_operators


def test_the_published_stages_route_to_1_4_and_16_regions_and_then_to_all() -> None:
    module, _ = published("biformer_t")
    mixers: list[Any] = [part.mixer for part in module.modules() if hasattr(part, "mixer")]
    routed = [getattr(mixer, "topk", None) for mixer in mixers]
    assert routed == [1] * 2 + [4] * 2 + [16] * 8 + [None] * 2
    grids = [mixer.grid for mixer in mixers[:12]]
    assert all(grid.counts == (7, 7) and not grid.is_padded for grid in grids)
    assert [grid.extent for grid in grids] == [(8, 8)] * 2 + [(4, 4)] * 2 + [(2, 2)] * 8
    assert [mixer.scale for mixer in mixers[:12]] == [
        channels**-0.5 for channels in [64] * 2 + [128] * 2 + [256] * 8
    ]
