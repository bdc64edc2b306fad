"""Convolutions on the meta device lie in memory as those that really run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from nas.costs.memory_order import as_kernels_write, has_channels_innermost
from nas.costs.plans import plan_of
from nas.costs.trace import run_traced, trace

CONVOLUTION = torch.ops.aten.convolution.default
CONV_1X1, CONV_3X3 = (4, 8, 1, 1), (4, 8, 3, 3)


def innermost(*shape: int) -> torch.Tensor:
    return torch.zeros(shape).to(memory_format=torch.channels_last)


def convolved(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    groups = images.shape[1] // weight.shape[1]
    args = (images, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], groups)
    with torch.inference_mode():
        result = CONVOLUTION(*args)
        return as_kernels_write(plan_of(CONVOLUTION), args, result) if images.is_meta else result


def as_meta(tensor: torch.Tensor) -> torch.Tensor:
    """Without data, with the very strides: a copy would close the gaps."""
    return torch.empty_strided(tensor.shape, tensor.stride(), device="meta")


IMAGES: dict[str, Callable[[], torch.Tensor]] = {
    "planar": lambda: torch.zeros(2, 8, 5, 5),
    "innermost": lambda: innermost(2, 8, 5, 5),
    "permuted": lambda: torch.zeros(2, 5, 5, 8).permute(0, 3, 1, 2),
    "channels cut off": lambda: innermost(2, 12, 5, 5)[:, :8],
    "every other row": lambda: innermost(2, 8, 9, 5)[:, :, ::2],
    "pixel": lambda: torch.zeros(2, 8, 1, 1),
    "pixel, innermost": lambda: innermost(2, 8, 1, 1),
    "transposed": lambda: torch.zeros(2, 8, 5, 5).transpose(2, 3),
}
WEIGHTS: dict[str, Callable[[], torch.Tensor]] = {
    "1x1": lambda: torch.zeros(CONV_1X1),
    "3x3": lambda: torch.zeros(CONV_3X3),
    "1x1 innermost": lambda: innermost(*CONV_1X1),
    "3x3 innermost": lambda: innermost(*CONV_3X3),
    "depthwise": lambda: torch.zeros(8, 1, 3, 3),
}


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("images", IMAGES)
def test_order_is_that_of_a_real_convolution(images: str, weight: str) -> None:
    given, filters = IMAGES[images](), WEIGHTS[weight]()
    expected = convolved(given, filters)
    found = convolved(as_meta(given), as_meta(filters))
    assert found.shape == expected.shape
    assert found.stride() == expected.stride()


def test_images_of_one_channel_lie_both_ways_and_count_as_planar() -> None:
    assert not has_channels_innermost(torch.zeros(2, 1, 5, 5))
    assert not has_channels_innermost(torch.zeros(2, 8, 1, 1))


@pytest.mark.parametrize("shape", [(8, 5, 5), (2, 8, 5, 5, 5), (2, 8)])
def test_only_batches_of_images_have_channels_innermost(shape: tuple[int, ...]) -> None:
    assert not has_channels_innermost(torch.zeros(shape))


def test_an_expanded_or_empty_tensor_is_planar() -> None:
    assert not has_channels_innermost(torch.zeros(2, 1, 5, 5).expand(2, 8, 5, 5))
    assert not has_channels_innermost(torch.zeros(0, 8, 5, 5).to(memory_format=torch.channels_last))


class Normed(nn.Module):
    """A layer norm over the channels leaves the images with the channels innermost."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv, self.after = nn.LayerNorm(8), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.norm(self.after(self.conv(x)).permute(0, 2, 3, 1))


def test_a_norm_after_convolutions_of_such_images_copies_nothing() -> None:
    norms = [o for o in trace(Normed(), (8, 16, 16)).operators if o.kind == "norm"]
    assert [norm.scratch_bytes for norm in norms] == [8 * 16 * 16 * 4, 0]


def test_the_trace_keeps_the_order_when_a_call_is_recalled() -> None:
    module = nn.Sequential(Normed(), nn.Flatten())
    assert trace(module, (8, 16, 16)).operators == trace(module, (8, 16, 16)).operators


def test_a_compiler_lays_images_out_as_it_likes() -> None:
    """The same module, one after the other: what is remembered of a call holds for either."""
    for layout, order in (("nhwc", "innermost"), ("any", "alike"), ("nhwc", "innermost")):
        module = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 1))
        found = trace(module, (8, 16, 16), layout=layout).operators
        assert [operator.order for operator in found] == [order, order]


@pytest.mark.parametrize(
    ("function", "order"),
    [
        (lambda x: x + x, "alike"),
        (lambda x: x + x[:, :1], "spread"),
        (lambda x: x * 2, "alike"),
        (lambda x: x[:, ::2] + x[:, ::2], "spread"),
        (lambda x: x + x.transpose(2, 3).contiguous().transpose(2, 3), "transposed"),
        (lambda x: x.transpose(2, 3) + x.transpose(2, 3), "alike"),
        (lambda x: x.permute(0, 2, 3, 1).contiguous(), "transposed"),
        (lambda x: x.transpose(1, 2).contiguous(), "spread"),
    ],
)
def test_how_tensors_lie_that_are_gone_through_in_step(
    function: Callable[[torch.Tensor], torch.Tensor], order: str
) -> None:
    class Applied(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x)

    assert trace(Applied(), (8, 6, 6)).operators[-1].order == order


def test_sparse_tensors_and_no_tensors_lie_alike() -> None:
    from nas.costs.memory_order import order_of

    sparse = torch.eye(4).to_sparse()
    assert order_of("pointwise", [sparse], [torch.eye(4)]) == "alike"
    assert order_of("copy", [], [torch.eye(4)]) == "alike"
    assert order_of("gemm", [torch.eye(4).t()], [torch.eye(4)]) == "alike"


def test_heads_of_attention_lie_number_by_number_or_not() -> None:
    from nas.costs.memory_order import order_of

    side_by_side, apart = torch.empty(1, 2, 9, 8), torch.empty(1, 2, 8, 9).transpose(-1, -2)
    assert order_of("sdpa", [side_by_side] * 3, [side_by_side]) == "alike"
    assert order_of("sdpa", [side_by_side, side_by_side, apart], [side_by_side]) == "transposed"
    assert order_of("sdpa", [side_by_side] * 3 + [apart], [side_by_side]) == "alike", "a mask"
    single = torch.empty(1, 2, 1, 9).transpose(-1, -2)
    assert order_of("sdpa", [single] * 3, [single]) == "alike", "heads of one number"


def test_a_layout_is_that_of_the_weights_too() -> None:
    """What flattens images brings them into the plain order; weights that lie otherwise bring them back."""

    class Flattening(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x).contiguous()).relu()

    orders = {
        layout: [
            (operator.name, operator.order)
            for operator in trace(Flattening(), (8, 6, 6), layout=layout).operators
        ]
        for layout in ("nchw", "nhwc")
    }
    assert [order for _, order in orders["nchw"]] == ["alike"] * 3
    assert orders["nhwc"] == [
        ("convolution", "innermost"),
        ("clone", "transposed"),
        ("convolution", "alike"),
        ("relu", "alike"),
    ]


def test_a_module_is_left_as_it_was_whatever_layout_it_was_traced_in() -> None:
    with torch.device("meta"):
        module = nn.Conv2d(8, 8, 3)
    for layout, innermost, order in (
        ("nhwc", None, "innermost"),
        ("nchw", None, "alike"),
        ("nchw", True, "innermost"),
        ("nhwc", False, "alike"),
    ):
        found = run_traced(module, [(1, 8, 6, 6)], layout=layout, innermost=innermost).operators
        assert [operator.order for operator in found] == [order]
        assert module.weight.is_contiguous()


@pytest.mark.parametrize(
    ("module", "shape"),
    [(nn.Conv1d(3, 8, 3), (3, 8)), (nn.Conv3d(3, 8, 3), (3, 8, 8, 8)), (nn.Linear(8, 4), (8,))],
    ids=["conv1d", "conv3d", "linear"],
)
def test_what_has_no_images_takes_any_layout(module: nn.Module, shape: tuple[int, ...]) -> None:
    assert trace(module, shape, layout="nhwc").operators == trace(module, shape).operators
