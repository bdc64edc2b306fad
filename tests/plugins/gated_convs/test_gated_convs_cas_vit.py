"""CAS-ViT: additive attention by its formula, its merged form, and the published networks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.blocks import build, build_element, fuse
from nas.costs.trace import trace
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import BlockUse, Layer, Network
from nas.spaces.signature import Signature
from nas.testing import BlockConformance
from nas.testing.modules import randomised
from nas_gated_convs.cas_vit import AdditiveMixer, CasVit, DistilledLinear, PooledLinear

torch.set_num_threads(1)
REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks
MAP = Signature("image", 8, (6, 5))


@pytest.mark.parametrize(
    "block", ["additive_mixer", "cas_vit", "cas_vit_stem", "distilled_linear"], scope="class"
)
class TestCasVitConformance(BlockConformance):
    sizes = ((8, 8), (7, 5), (1, 1))
    channels = (8, 16)
    inner = {"mixer": ("additive_mixer", "pool_mixer")}  # noqa: RUF012 - as a subclass writes it


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def made(module: nn.Module) -> Any:
    return randomised(module.double()).eval()


def naive_depthwise(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Every channel by itself, tap by tap."""
    taps, pad = conv.weight, conv.weight.shape[-1] // 2
    C, H, W = x.shape[1:]
    y = torch.zeros_like(x)
    for c in range(C):
        for i in range(H):
            for j in range(W):
                for a in range(taps.shape[2]):
                    for b in range(taps.shape[3]):
                        u, v = i + a - pad, j + b - pad
                        if 0 <= u < H and 0 <= v < W:
                            y[:, c, i, j] += taps[c, 0, a, b] * x[:, c, u, v]
        y[:, c] += conv.bias[c]  # type: ignore[index]
    return y


def naive_pointwise(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return torch.einsum("oc,nchw->nohw", conv.weight[:, :, 0, 0], x)


def naive_gates(x: Tensor, spatial: Any, channel: Any) -> Tensor:
    """Phi of the paper: the spatial gate, then the channel gate."""
    norm = spatial.norm
    y = naive_depthwise(x, spatial.depthwise)
    mean, var = (t.reshape(1, -1, 1, 1) for t in (norm.running_mean, norm.running_var))
    y = (y - mean) / (var + norm.eps).sqrt() * norm.weight.reshape(1, -1, 1, 1)
    y = (y + norm.bias.reshape(1, -1, 1, 1)).clamp(min=0)
    x = x * torch.sigmoid(naive_pointwise(y, spatial.reduce))
    return x * torch.sigmoid(naive_pointwise(x.mean((2, 3), keepdim=True), channel.mix))


def test_the_mixer_is_its_formula() -> None:
    mixer = made(AdditiveMixer(MAP))
    x = numbers(2, *MAP.shape)
    with torch.no_grad():
        q, k, v = naive_pointwise(x, mixer.qkv).chunk(3, 1)
        context = naive_gates(q, *mixer.gate_q) + naive_gates(k, *mixer.gate_k)
        expected = naive_depthwise(naive_depthwise(context, mixer.depthwise) * v, mixer.project)
        torch.testing.assert_close(mixer(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("gates", [(False, False), (True, False), (False, True)])
def test_gates_can_be_left_out(gates: tuple[bool, bool]) -> None:
    mixer = made(AdditiveMixer(MAP, spatial_gate=gates[0], channel_gate=gates[1]))
    assert len(mixer.gate_q) == len(mixer.gate_k) == sum(gates)
    x = numbers(2, *MAP.shape)
    if gates == (False, False):
        q, k, v = mixer.qkv(x).chunk(3, 1)
        torch.testing.assert_close(mixer(x), mixer.project(mixer.depthwise(q + k) * v))


def test_queries_and_keys_change_places_with_their_gates() -> None:
    mixer = made(AdditiveMixer(MAP))
    swapped = copy.deepcopy(mixer)
    swapped.gate_q, swapped.gate_k = mixer.gate_k, mixer.gate_q
    with torch.no_grad():
        q, k, v = mixer.qkv.weight.chunk(3)
        swapped.qkv.weight.copy_(torch.cat([k, q, v]))
    x = numbers(2, *MAP.shape)
    torch.testing.assert_close(swapped(x), mixer(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("channel_gate", [False, True])
def test_the_cost_is_linear_in_the_positions(channel_gate: bool) -> None:
    def macs(side: int) -> int:
        signature = Signature("image", 32, (side, side))
        with torch.device("meta"):
            return trace(AdditiveMixer(signature, channel_gate=channel_gate), signature.shape).macs

    once = 2 * 32**2 * channel_gate  # the gates of q and k see one mean, whatever the size
    assert macs(16) - once == 4 * (macs(8) - once) == 16 * (macs(4) - once)


@pytest.mark.parametrize("name", ["additive_mixer", "cas_vit"])
@pytest.mark.parametrize(("kernel", "fits"), [(3, True), (4, False), (5, True), (6, False), (7, True)])
def test_kernels_are_odd(name: str, kernel: int, fits: bool) -> None:
    assert BLOCKS[name].accepts(MAP, None, 1, {**_defaults(name), "kernel": kernel}) is fits


def test_the_block_is_three_residual_branches() -> None:
    block = made(CasVit(MAP, mixer=AdditiveMixer))
    x = numbers(2, *MAP.shape)
    y = x + block.local(x)
    y = y + block.mixer(block.mixer_norm(y))
    torch.testing.assert_close(block(x), y + block.ffn(block.ffn_norm(y)), rtol=0, atol=1e-12)
    assert isinstance(block.downsample, nn.Identity)


def test_every_batch_norm_of_the_block_is_folded() -> None:
    layer = Layer(BlockUse("cas_vit", tuple(_defaults("cas_vit").items())), 12, 2)
    module = randomised(build_element(layer, MAP, BLOCKS).double())
    expected = copy.deepcopy(module).eval()(numbers(2, *MAP.shape))
    deployed = fuse(module)
    torch.testing.assert_close(deployed(numbers(2, *MAP.shape)), expected, rtol=0, atol=1e-10)
    assert not [part for part in deployed.modules() if isinstance(part, nn.BatchNorm2d)]


def _defaults(name: str) -> dict[str, Any]:
    values = {knob: choice.default for knob, choice in sorted(BLOCKS[name].knobs.items())}
    return {
        k: BlockUse(v, tuple(_defaults(v).items())) if BLOCKS[name].knobs[k].role else v
        for k, v in values.items()
    }


def test_the_head_is_the_mean_of_two_classifiers_and_deployed_one() -> None:
    head = made(DistilledLinear(MAP, classes=7))
    x = numbers(3, *MAP.shape)
    means = head.norm(x).mean((2, 3))
    expected = (head.head(means) + head.distilled_head(means)) / 2
    torch.testing.assert_close(head(x), expected)
    deployed = fuse(head)
    assert isinstance(deployed, PooledLinear)
    torch.testing.assert_close(deployed(x), expected, rtol=0, atol=1e-12)
    assert sum(p.numel() for p in deployed.parameters()) == 7 * 9


@pytest.mark.parametrize(("stride", "size"), [(1, (6, 5)), (2, (3, 3)), (4, (2, 2)), (3, (2, 2))])
def test_the_stem_shares_any_stride(stride: int, size: tuple[int, int]) -> None:
    layer = Layer(BlockUse("cas_vit_stem"), 10, stride)
    module = build_element(layer, MAP, BLOCKS).double()
    assert module(numbers(2, *MAP.shape)).shape == (2, 10, *size)


@pytest.mark.parametrize(
    ("name", "params", "macs", "published"),
    [
        ("xs", 3_200_700, 547_004_968, 0.554e9),
        ("s", 5_764_224, 912_248_576, 0.923e9),
        ("m", 12_421_520, 1_859_483_520, 1.874e9),
        ("t", 21_763_120, 3_557_427_712, 3.579e9),
    ],
)
def test_the_published_networks(name: str, params: int, macs: int, published: float) -> None:
    network = _network(f"published/cas_vit_{name}")
    with torch.device("meta"):
        module = build(network, BLOCKS)
    assert sum(parameter.numel() for parameter in module.parameters()) == params
    assert trace(module.eval(), (3, 224, 224)).macs == macs
    assert macs + norm_operations(module) == pytest.approx(published, rel=0.003)


def test_a_whole_network_is_deployed_without_norms() -> None:
    torch.manual_seed(0)
    module = build(_network("published/cas_vit_xs"), BLOCKS).double()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0  # one batch makes the statistics, so that a picture is felt in the scores
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    x = numbers(4, 3, 64, 64)
    with torch.no_grad():
        module.train()(x)
        expected = module.eval()(x[:1])
        assert (module(-x[:1]) - expected).abs().max() > 0.1
        deployed = fuse(module)
        torch.testing.assert_close(deployed(x[:1]), expected, rtol=0, atol=1e-10)
    assert not [part for part in deployed.modules() if isinstance(part, nn.BatchNorm2d)]


def norm_operations(module: nn.Module) -> int:
    """Two operations for each value of each batch norm, which the published figures count too."""
    total = 0

    def add(part: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        total += 2 * output.numel()

    hooks = [m.register_forward_hook(add) for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    module(torch.empty(1, 3, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    return total


def _network(name: str) -> Network:
    space = load_space(name, REGISTRY)
    assert space.size() == 1
    network = space.decode(next(iter(space.enumerate()))).network
    assert network is not None
    return network
