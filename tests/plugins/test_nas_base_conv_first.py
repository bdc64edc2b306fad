"""The block of ConvFirstNet (arXiv:2404.03617), and what one fused kernel of it moves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nas_base_cases import made, use
from torch.nn import functional as F

from nas.blocks import build_element, fuse, parameter_count
from nas.costs.speed import Speed
from nas.costs.trace import trace
from nas.costs.waterline import waterline
from nas.plugins import default_registry
from nas.spaces.architecture import Layer
from nas.spaces.signature import Signature

torch.set_num_threads(1)
BLOCKS = default_registry().blocks
BLOCK = BLOCKS["conv_first"]
MAP = Signature("image", 32, (9, 7))


def accepts(channels: int, **knobs: Any) -> bool:
    defaults = {knob: choice.default for knob, choice in BLOCK.knobs.items()}
    return BLOCK.accepts(Signature("image", channels, (8, 8)), None, 1, {**defaults, **knobs})


@pytest.mark.parametrize(
    ("width", "stride", "knobs"),
    [
        (None, 1, {}),
        (48, 1, {"group_width": 1, "kernel": 7, "expansion": 6}),
        (None, 2, {"group_width": 32, "kernel": 5, "expansion": 2}),
        (64, 2, {"group_width": 16, "expansion": 3, "activation": "gelu"}),
    ],
)
def test_it_is_its_definition(width: int | None, stride: int, knobs: dict[str, Any]) -> None:
    block = made("conv_first", MAP, width=width, stride=stride, **knobs).eval()
    values = use("conv_first", **knobs).knob_values()
    x = torch.randn((2, 32, 9, 7), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def norm(part: Any, y: torch.Tensor) -> torch.Tensor:
        bn = part.norm
        return F.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)

    kernel, groups = values["kernel"], 32 // values["group_width"]
    y = F.conv2d(x, block.grouped.conv.weight, stride=stride, padding=kernel // 2, groups=groups)
    y = norm(block.grouped, y)
    y = norm(block.expand, F.conv2d(y, block.expand.conv.weight))
    y = F.gelu(y) if values["activation"] == "gelu" else y.clamp(min=0)
    y = norm(block.project, F.conv2d(y, block.project.conv.weight))
    expected = y + x if stride == 1 and width in (None, 32) else y
    assert torch.allclose(block(x), expected, rtol=1e-12, atol=1e-12)


def test_weights_by_hand() -> None:
    """3 * 3 * 32 * 8 + 32 * 128 + 128 * 32 and two numbers per channel of three norms."""
    block = build_element(Layer(use("conv_first")), MAP, BLOCKS)
    assert parameter_count(block) == 2304 + 4096 + 4096 + 2 * (32 + 128 + 32)
    assert trace(fuse(block), MAP.shape).macs == 63 * (2304 + 4096 + 4096)


def test_groups_must_divide_the_channels() -> None:
    assert accepts(24)
    assert accepts(9, group_width=1)
    assert not accepts(20)
    assert not accepts(24, group_width=16)


@pytest.mark.parametrize("group_width", [1, 8, 32])
def test_one_kernel_moves_input_output_and_weights(group_width: int) -> None:
    signature = Signature("image", 32, (14, 14))
    block = fuse(build_element(Layer(use("conv_first", group_width=group_width)), signature, BLOCKS).eval())
    found = trace(block, signature.shape, batch_size=4, precision="fp16")
    speed = Speed(1.0, 1.0, 1.0)
    (fused,) = waterline(found.operators, speed, block_of=lambda _: "block")
    map_bytes = 4 * 32 * 14 * 14 * 2
    assert fused.bytes_moved == map_bytes + map_bytes + found.weight_bytes
    assert fused.bytes_moved < sum(point.bytes_moved for point in waterline(found.operators, speed))


def test_wider_groups_do_more_work_for_the_same_maps() -> None:
    signature = Signature("image", 32, (14, 14))
    speed = Speed(1.0, 1.0, 1.0)
    intensities = []
    for group_width in (1, 8, 16, 32):
        block = build_element(Layer(use("conv_first", group_width=group_width)), signature, BLOCKS)
        found = trace(fuse(block.eval()), signature.shape)
        intensities += [waterline(found.operators, speed)[0].intensity]
    assert intensities == sorted(intensities)
    assert len(set(intensities)) == 4
