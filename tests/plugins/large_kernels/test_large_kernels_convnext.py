"""ConvNeXt (arXiv:2201.03545) and ConvNeXt V2 (arXiv:2301.00808): GRN, its measure, the networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from metanext_cases import BLOCKS, count, gigamacs, image, made, matches, on_meta, picture, use
from torch import Tensor, nn
from torch.nn import functional as F

from nas.costs.trace import trace
from nas_base.metanext import MetaNext
from nas_large_kernels.feature_collapse import channel_distance, channel_distances

MAP = image(6, 5, 3)


def normalised(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Global response normalisation by loops over samples and channels."""
    y = torch.zeros_like(x)
    for n in range(x.shape[0]):
        norms = x[n].detach().square().sum((1, 2)).sqrt().tolist()
        mean = sum(norms) / len(norms)
        for c in range(x.shape[1]):
            y[n, c] = gain[c] * x[n, c] * norms[c] / (mean + 1e-6) + bias[c] + x[n, c]
    return y


# Global response normalisation.


@pytest.mark.parametrize("signature", [MAP, image(1, 2, 2), image(8, 1, 1)])
def test_the_norm_is_the_formula(signature: Any) -> None:
    module: Any = made("global_response_norm", signature)
    x = picture(signature)
    matches(module(x), normalised(x, module.norm.weight, module.norm.bias))
    assert count(module) == 2 * signature.channels


def test_the_norm_starts_as_the_identity() -> None:
    x = picture(MAP)
    assert torch.equal(made("global_response_norm", MAP, initial=True)(x), x)


def test_the_norm_keeps_the_numbering_of_channels_and_positions() -> None:
    module: Any = made("global_response_norm", MAP)
    x = picture(MAP)
    positions, channels = torch.randperm(15, generator=torch.Generator().manual_seed(0)), [3, 1, 5, 0, 4, 2]
    moved = x.flatten(2)[..., positions].reshape(x.shape)
    matches(module(moved), module(x).flatten(2)[..., positions].reshape(x.shape))
    expected = module(x)[:, channels]
    with torch.no_grad():
        for parameter in (module.norm.weight, module.norm.bias):
            parameter.copy_(parameter[channels].clone())
    matches(module(x[:, channels]), expected)


def test_a_brighter_map_is_a_brighter_output() -> None:
    """Only what channels are beside one another counts: without bias the norm is homogeneous."""
    module: Any = made("global_response_norm", MAP)
    nn.init.zeros_(module.norm.bias)
    x = picture(MAP)
    torch.testing.assert_close(module(100 * x), 100 * module(x), rtol=1e-5, atol=0)


def test_a_loud_channel_gets_louder_beside_the_others() -> None:
    module: Any = made("global_response_norm", MAP, initial=True)
    nn.init.ones_(module.norm.weight)
    x = picture(MAP)
    x[:, 2] *= 9
    gains = (module(x).detach().flatten(2).norm(dim=2) / x.flatten(2).norm(dim=2))[0]
    assert int(gains.argmax()) == 2
    assert float(gains.mean()) == pytest.approx(2, abs=1e-5)  # 1 and the mean of what is relative to its mean


def test_an_empty_map_has_finite_gradients() -> None:
    module: Any = made("global_response_norm", MAP)
    x = torch.zeros((1, *MAP.shape), dtype=torch.float64, requires_grad=True)
    module(x).square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(module.norm.weight.grad).all()


# The feed-forward part.


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ratio", [0.5, 3, 4])
def test_the_mlp_is_the_formula(bias: bool, ratio: float) -> None:
    module: Any = made("response_norm_mlp", MAP, ratio=ratio, bias=bias)
    x = picture(MAP)
    hidden = torch.einsum("nchw,ic->nihw", x, module.expand.weight[..., 0, 0])
    hidden = F.gelu(hidden + module.expand.bias.reshape(-1, 1, 1) if bias else hidden)
    hidden = normalised(hidden, module.norm.weight, module.norm.bias)
    y = torch.einsum("nihw,ci->nchw", hidden, module.project.weight[..., 0, 0])
    matches(module(x), y + module.project.bias.reshape(-1, 1, 1) if bias else y)


def test_the_mlp_starts_as_one_without_the_norm() -> None:
    x = picture(MAP)
    module = made("response_norm_mlp", MAP, initial=True)
    plain = made("mlp", MAP, initial=True, activation="gelu", bias=True)
    plain.load_state_dict({k: v for k, v in module.state_dict().items() if not k.startswith("norm.")})
    assert torch.equal(module(x), plain(x))


@pytest.mark.parametrize("activation", ["gelu", "star_relu"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_formulas_of_its_costs(activation: str, bias: bool) -> None:
    knobs = use("response_norm_mlp", activation=activation, bias=bias, ratio=2).knob_values()
    module = made("response_norm_mlp", MAP, **knobs).float()
    block = BLOCKS["response_norm_mlp"]
    assert block.params is not None
    assert block.macs is not None
    hand = 2 * 6 * 12 + 2 * 12 + (12 + 6 if bias else 0) + (2 if activation == "star_relu" else 0)
    assert block.params(MAP, None, 1, **knobs) == hand == count(module)
    assert block.macs(MAP, None, 1, **knobs) == 15 * 2 * 6 * 12 == trace(module, MAP.shape).macs


# The measure of feature collapse.


def by_pairs(maps: Tensor) -> Tensor:
    """The mean distance by loops over all pairs of channels."""
    found = []
    for sample in maps.flatten(2):
        pairs = [F.cosine_similarity(a, b, dim=0) for a in sample for b in sample]
        found.append(sum((1 - float(pair)) / 2 for pair in pairs) / len(pairs))
    return torch.tensor(found, dtype=maps.dtype)


def test_the_distance_is_the_mean_over_all_pairs() -> None:
    x = picture(MAP, batch=3)
    matches(channel_distance(x), by_pairs(x))


def test_the_distance_of_collapsed_opposite_and_unrelated_channels() -> None:
    one = picture(image(1, 4, 2), batch=1)
    collapsed = torch.cat([one, 3 * one, 0.1 * one, one], 1)
    opposite = torch.cat([one, -one], 1)
    unrelated = torch.eye(8, dtype=torch.float64).reshape(1, 8, 4, 2)
    found = torch.cat([channel_distance(maps) for maps in (collapsed, opposite, unrelated)])
    matches(found, torch.tensor([0.0, 0.5, 0.5 * (1 - 1 / 8)], dtype=torch.float64))


def test_channels_of_zeros_have_nothing_in_common() -> None:
    assert float(channel_distance(torch.zeros(1, 4, 2, 2))) == 0.5


def test_the_norm_itself_turns_no_channel() -> None:
    """Without bias it changes lengths alone: what it does to collapse is through what learns behind it."""
    module: Any = made("global_response_norm", MAP)
    nn.init.zeros_(module.norm.bias)
    nn.init.uniform_(module.norm.weight, 0.5, 2, generator=torch.Generator().manual_seed(0))
    x = picture(MAP)
    matches(channel_distance(module(x)), channel_distance(x))


def test_the_distances_in_a_network_are_those_behind_its_blocks() -> None:
    signature = image(4, 6, 6)
    blocks = [made("metanext", signature, norm="batch", layer_scale=1.0) for _ in range(2)]
    network = nn.Sequential(nn.Conv2d(3, 4, 1).double(), *blocks).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = picture(image(3, 6, 6))
    found = channel_distances(network, x)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert list(found) == ["1", "2"]
    network.eval().requires_grad_(False)
    expected = [float(channel_distance(network[: count + 1](x)).mean()) for count in (1, 2)]
    assert list(found.values()) == pytest.approx(expected, rel=1e-12)
    assert next(iter(channel_distances(network, x, nn.Conv2d))) == "0"
    assert isinstance(network[1], MetaNext)


# The published networks.

CONVNEXT = {
    "convnext_tiny": (28_589_128, 4.470),
    "convnext_small": (50_223_688, 8.706),
    "convnext_base": (88_591_464, 15.383),
    "convnext_large": (197_767_336, 34.404),
}
CONVNEXT_V2 = {
    "convnextv2_atto": (3_708_400, 0.552),
    "convnextv2_femto": (5_233_240, None),
    "convnextv2_pico": (9_066_280, None),
    "convnextv2_nano": (15_623_800, None),
    "convnextv2_tiny": (28_635_496, 4.470),
    "convnextv2_base": (88_717_800, None),
    "convnextv2_large": (197_956_840, None),
    "convnextv2_huge": (660_289_640, None),
}


@pytest.mark.parametrize("name", [*CONVNEXT, *CONVNEXT_V2])
def test_published_counts(name: str) -> None:
    """Multiply-accumulates within 1 %: the published ones count a layer norm as five for each value."""
    params, expected = {**CONVNEXT, **CONVNEXT_V2}[name]
    module = on_meta(name)
    assert count(module) == params
    if expected is not None:
        assert gigamacs(module) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("size", ["tiny", "base", "large"])
def test_the_second_version_has_norms_in_place_of_scales(size: str) -> None:
    first, second = (
        dict(on_meta(f"{name}_{size}").named_parameters()) for name in ("convnext", "convnextv2")
    )
    assert {name for name in second if name not in first} == {
        name.replace("scale.weight", f"ffn.norm.{part}")
        for name in first
        if name.endswith("scale.weight")
        for part in ("weight", "bias")
    }
