"""What the blocks of `nas_base` promise beyond the conformance kit."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from nas_base_cases import BLOCKS, LAYERS, MAP, NAMES, label, randomised, use
from torch import Tensor, nn

from nas.blocks import build_element, fuse
from nas.spaces.architecture import Layer

torch.set_num_threads(1)


def built(layer: Layer) -> nn.Module:
    return randomised(build_element(layer, MAP, BLOCKS, classes=5).double())


def picture(batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((batch, *MAP.shape), generator=generator, dtype=torch.float64)


def folded_whole() -> Iterator[Layer]:
    """What has a convolution for each of its norms: not what stands in front of an activation or a sum."""
    left = ("metaformer", "metanext", "pool_linear", "downsample")
    yield from (layer for layer in LAYERS if layer.block.use not in left)


def test_every_block_is_tried_with_several_knobs() -> None:
    tried = {layer.block.use for layer in LAYERS}
    assert tried == set(NAMES)
    assert len(LAYERS) > 3 * len(NAMES)


@pytest.mark.parametrize("layer", list(folded_whole()), ids=label)
def test_no_batch_norm_is_left_in_the_deployed_form(layer: Layer) -> None:
    assert not any(isinstance(part, nn.BatchNorm2d) for part in fuse(built(layer)).modules())


@pytest.mark.parametrize("mixer", ["separable_conv", "attention"])
def test_the_batch_norms_of_a_metaformer_are_folded_where_a_convolution_reads_them(mixer: str) -> None:
    knobs = {"head_dim": 8} if mixer == "attention" else {}
    layer = Layer(use("metaformer", mixer=use(mixer, **knobs), norm="batch"))
    module = built(layer)
    deployed = fuse(module)
    expected = copy.deepcopy(module).eval()(picture())
    torch.testing.assert_close(deployed(picture()), expected, rtol=1e-9, atol=1e-9)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
