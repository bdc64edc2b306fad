"""Parameter counts: closed forms, and the published ones of whole networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nas_base_cases import BLOCKS, made, use
from torch import nn

from nas.blocks import build, fuse
from nas.plugins.registry import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import Edge, Graph, Layer, Network
from nas.spaces.signature import Signature

MAP = Signature("image", 16, (8, 8))
IMAGE = Signature("image", 3, (224, 224))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def parameters(network: Network) -> int:
    with torch.device("meta"):
        return count(build(network, BLOCKS))


def macs(network: Network) -> int:
    """Multiplications of the convolutions and linear layers of one picture."""
    with torch.device("meta"):
        module = build(network, BLOCKS).eval()
    total = 0

    def add(part: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * part.weight[0].numel()

    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.register_forward_hook(add)
    module(torch.empty((1, *network.input.shape), device="meta"))
    return total


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("expansion", [1, 3, 6])
@pytest.mark.parametrize(("se", "squeezed"), [(0.0, 0), (0.25, 4)])
def test_inverted_residual(kernel: int, expansion: int, se: float, squeezed: int) -> None:
    C, width, inner = 16, 24, 16 * expansion
    expected = inner * kernel**2 + 2 * inner + inner * width + 2 * width
    expected += (C * inner + 2 * inner) * (expansion != 1)
    expected += (2 * inner * squeezed + inner + squeezed) * (se > 0)
    module = made("inverted_residual", MAP, width=width, kernel=kernel, expansion=expansion, se=se)
    assert count(module) == expected


@pytest.mark.parametrize(
    ("expansion", "expected"), [(4, 16 * 64 * 9 + 128 + 64 * 24 + 48), (1, 16 * 24 * 9 + 48)]
)
def test_fused_inverted_residual(expansion: int, expected: int) -> None:
    assert count(made("fused_inverted_residual", MAP, width=24, expansion=expansion)) == expected


@pytest.mark.parametrize(
    ("compress", "expand", "before", "behind"), [(0.25, 0.25, 8, 8), (0.75, 0.75, 24, 32), (0.5, 1.0, 16, 40)]
)
def test_tucker_ranks_are_multiples_of_eight(
    compress: float, expand: float, before: int, behind: int
) -> None:
    signature = Signature("image", 32, (8, 8))
    module = made("tucker", signature, width=40, kernel=5, compress=compress, expand=expand)
    expected = 32 * before + 2 * before + 25 * before * behind + 2 * behind + behind * 40 + 80
    assert count(module) == expected


def test_the_norms_of_convolutions_are_gone_from_the_deployed_form() -> None:
    module = made("tucker", MAP)
    norms = sum(2 * part.num_features for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    biases = norms // 2
    assert count(fuse(module)) == count(module) - norms + biases


def mobilenet_v2() -> Network:
    layers = [Layer(use("conv_stem", activation="relu6"), 32, 2)]
    rows = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for expansion, width, depth, stride in rows:
        block = use("inverted_residual", expansion=expansion)
        layers += [Layer(block, width, stride if i == 0 else 1) for i in range(depth)]
    layers += [Layer(use("conv", kernel=1, activation="relu6"), 1280), Layer(use("pool_linear"))]
    return Network(IMAGE, tuple(layers), 1000)


def resnet(depths: tuple[int, ...], block: str, widths: tuple[int, ...], **knobs: Any) -> Network:
    layers = [Layer(use("conv_stem", kernel=7, pool=True), 64, 4)]
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        stride = 1 if stage == 0 else 2
        layers += [Layer(use(block, **knobs), width, stride if i == 0 else 1) for i in range(depth)]
    return Network(IMAGE, (*layers, Layer(use("pool_linear"))), 1000)


FIFTY = (256, 512, 1024, 2048)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (mobilenet_v2(), 3_504_872),
        (resnet((2, 2, 2, 2), "basic", (64, 128, 256, 512)), 11_689_512),
        (resnet((3, 4, 6, 3), "bottleneck", FIFTY), 25_557_032),
        (resnet((3, 4, 6, 3), "bottleneck", FIFTY, se=0.0625), 28_088_024),
    ],
    ids=["mobilenet_v2", "resnet18", "resnet50", "se_resnet50"],
)
def test_published_convolutional_networks(network: Network, expected: int) -> None:
    assert parameters(network) == expected


def metaformer(depths: tuple[int, ...], mixers: tuple[str, ...], norm: str, head: Layer) -> Network:
    layers = [Layer(use("conv_stem", kernel=7, norm="layer", activation="identity"), 64, 4)]
    for stage, (depth, width) in enumerate(zip(depths, (64, 128, 320, 512), strict=True)):
        scale = 1.0 if stage > 1 else 0.0
        block = use("metaformer", mixer=use(mixers[stage]), norm=norm, residual_scale=scale)
        stride = 1 if stage == 0 else 2
        layers += [Layer(block, width, stride if i == 0 else 1) for i in range(depth)]
    return Network(IMAGE, (*layers, head), 1000)


PLAIN = Layer(use("pool_linear", norm="layer"))
HIDDEN = Layer(use("pool_linear", norm="layer", hidden=2048, activation="squared_relu"))
SMALL, MEDIUM = (2, 2, 6, 2), (3, 3, 9, 3)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (metaformer(SMALL, ("identity_mixer",) * 4, "group", PLAIN), 11_891_712),
        (metaformer(SMALL, ("pool_mixer",) * 4, "group", PLAIN), 11_891_712),
        (metaformer(MEDIUM, ("separable_conv",) * 4, "layer", HIDDEN), 26_774_448),
        (metaformer(MEDIUM, ("separable_conv",) * 2 + ("attention",) * 2, "layer", HIDDEN), 26_341_656),
    ],
    ids=["identityformer_s12", "poolformerv2_s12", "convformer_s18", "caformer_s18"],
)
def test_published_metaformers(network: Network, expected: int) -> None:
    assert parameters(network) == expected


def test_the_macs_of_convformer() -> None:
    network = metaformer(MEDIUM, ("separable_conv",) * 4, "layer", HIDDEN)
    assert macs(network) == pytest.approx(3.96e9, rel=0.005)


def nas_bench_201(graph: Graph) -> Network:
    def cells(width: int) -> list[Graph]:
        edges = tuple(Edge(e.source, e.target, Layer(e.layer.block, width)) for e in graph.edges)
        return [Graph(graph.nodes, edges)] * 5

    reduction = use("basic", order="act_conv_norm")
    layers: list[Layer | Graph] = [Layer(use("conv_stem", activation="identity"), 16), *cells(16)]
    for width in (32, 64):
        layers += [Layer(reduction, width, 2), *cells(width)]
    layers.append(Layer(use("pool_linear", norm="batch")))
    return Network(Signature("image", 3, (32, 32)), tuple(layers), 10)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (use("conv_operation", kernel=3), 1_531_546),
        (use("conv_operation", kernel=1), 241_306),
        (use("identity"), 73_306),
    ],
    ids=["conv3x3", "conv1x1", "skip"],
)
def test_cells_of_nas_bench_201(operation: Any, expected: int) -> None:
    edges = [Edge(source, target, Layer(operation)) for target in range(1, 4) for source in range(target)]
    assert parameters(nas_bench_201(Graph(4, tuple(edges)))) == expected


@pytest.mark.parametrize(
    ("name", "expected_parameters", "expected_macs"),
    [("mobilenet_v2", 3_504_872, 0.3008e9), ("resnet50", 25_557_032, 4.0892e9)],
)
def test_the_shipped_published_networks(name: str, expected_parameters: int, expected_macs: float) -> None:
    import numpy as np

    space = load_space(f"published/{name}", default_registry())
    assert space.size() == 1
    network = space.sample(np.random.default_rng(0)).network
    assert network is not None
    assert parameters(network) == expected_parameters
    assert macs(network) == pytest.approx(expected_macs, rel=5e-4)
