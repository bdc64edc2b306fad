"""The blocks leave torch: every one through torch.export, all of them together through ONNX."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nas_base_cases import BLOCKS, LAYERS, MAP, NAMES, randomised, use
from torch import nn

from nas.blocks import build, build_element, fuse
from nas.spaces.architecture import Edge, Graph, Layer, Network
from nas.spaces.signature import Signature

torch.set_num_threads(1)
ONE_EACH = [next(layer for layer in LAYERS if layer.block.use == name) for name in NAMES]
IMAGE = Signature("image", 3, (15, 17))


def everything() -> Network:
    """A network with every block in it, with odd sizes and every activation."""
    operations = ("zero", "identity", "conv_operation", "average_pool", "identity", "conv_operation")
    places = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    cell = Graph(
        4,
        tuple(Edge(*place, Layer(use(name), 16)) for place, name in zip(places, operations, strict=True)),
    )
    mixers = (use("identity_mixer"), use("pool_mixer"), use("separable_conv"), use("attention", head_dim=8))
    norms = ("layer", "group", "batch", "layer")
    metaformers = [
        Layer(use("metaformer", mixer=mixer, norm=norm, layer_scale=0.1, residual_scale=1.0), 16)
        for mixer, norm in zip(mixers, norms, strict=True)
    ]
    layers = (
        Layer(use("conv_stem", pool=True, activation="hard_swish"), 8, 2),
        Layer(use("inverted_residual", se=0.25, activation="silu"), 8),
        Layer(use("fused_inverted_residual", expansion=2, activation="gelu"), 16, 2),
        Layer(use("tucker", activation="squared_relu"), 16),
        Layer(use("conv", activation="relu6"), 16),
        Layer(use("bottleneck", se=0.25), 16),
        Layer(use("basic", order="act_conv_norm"), 16, 2),
        Layer(use("mixed_inverted_residual", expand_groups=2, se=0.25), 16),
        Layer(use("conv_first", group_width=8, expansion=2), 16),
        Layer(use("downsample", overlap=True), 16),
        Layer(use("metanext", mixer=use("depthwise_conv"), ffn=use("mlp", bias=True), layer_scale=0.1), 16),
        cell,
        *metaformers,
        Layer(use("pool_linear", hidden=8, norm="layer")),
    )
    return Network(IMAGE, layers, 5)


def picture(batch: int) -> torch.Tensor:
    return torch.randn((batch, *IMAGE.shape), generator=torch.Generator().manual_seed(0))


def deployed() -> nn.Module:
    """The network with statistics as training leaves them, fused."""
    model = build(everything(), BLOCKS, seed=0).train()
    with torch.no_grad():
        for _ in range(20):
            model(picture(8))
    return fuse(model)


def test_the_network_has_every_block() -> None:
    found = set()
    for element in everything().layers:
        layers = [edge.layer for edge in element.edges] if isinstance(element, Graph) else [element]
        for layer in layers:
            found.add(layer.block.use)
            found.update(value.use for _, value in layer.block.knobs if hasattr(value, "use"))
    assert found == set(NAMES)


@pytest.mark.parametrize("layer", ONE_EACH, ids=lambda layer: layer.block.use)
def test_a_block_is_one_graph_for_torch_export(layer: Layer) -> None:
    module = fuse(randomised(build_element(layer, MAP, BLOCKS, classes=5).float()))
    x = torch.randn((2, *MAP.shape), generator=torch.Generator().manual_seed(0))
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: batch},))
    other = torch.randn((5, *MAP.shape), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(program.module()(other), module(other), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_all_blocks_together_agree_in_onnx_runtime(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = deployed()
    path = tmp_path / "everything.onnx"
    torch.onnx.export(model, (picture(2),), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: picture(2).numpy()})
    expected = model(picture(2)).detach()
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)
