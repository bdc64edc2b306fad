"""The work of operators: classes and sizes of what real modules execute, against hand counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hardware_cases import Function, operator
from torch import nn
from torch.nn import functional as F

from nas.costs.operators import KINDS, Operator
from nas.costs.trace import trace
from nas_hardware.work import CLASSES, COLUMNS, class_of, work_of


def operators_of(module: nn.Module, *shape: int, batch: int = 2, precision: str = "fp16") -> list[Operator]:
    return list(trace(module, shape, batch, precision).operators)


def only(module: nn.Module, *shape: int, **options) -> Operator:
    (found,) = operators_of(module, *shape, **options)
    return found


def sizes(found: Operator) -> tuple[float, ...]:
    work = work_of([found])
    return tuple(float(work[name][0]) for name in ("batch", "rows", "columns", "inner"))


def double(x: torch.Tensor) -> torch.Tensor:
    return x + x.relu()


def enlarged(**options):
    return Function(lambda x: F.interpolate(x, scale_factor=2, **options))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.Conv2d(16, 8, 1), "conv_1x1"),
        (nn.Conv2d(16, 8, 1, stride=2), "conv_1x1"),
        (nn.Conv2d(16, 8, 3), "conv"),
        (nn.Conv2d(16, 8, (1, 3)), "conv"),
        (nn.ConvTranspose2d(16, 8, 2, 2), "conv"),
        (nn.Conv2d(16, 16, 1, groups=16), "depthwise_plain"),
        (nn.Conv2d(16, 16, 3, groups=16), "depthwise_plain"),
        (nn.Conv2d(16, 32, 5, groups=16), "depthwise_plain"),
        (nn.Conv2d(16, 16, 7, groups=16), "depthwise_plain"),
        (nn.Conv2d(16, 16, 8, groups=16), "depthwise_plain"),
        (nn.Conv2d(16, 16, (1, 7), groups=16), "depthwise_plain"),
        (nn.Conv2d(16, 8, 1, groups=4), "conv_grouped"),
        (nn.Conv2d(16, 8, 3, groups=4), "conv_grouped"),
        (nn.Linear(8, 4), "gemm"),
        (Function(lambda x: x @ x.transpose(-1, -2)), "bmm"),
        (Function(lambda x: F.scaled_dot_product_attention(x, x, x)), "sdpa"),
        (nn.BatchNorm2d(16), "batch_norm"),
        (nn.LayerNorm(8), "norm"),
        (nn.RMSNorm(8), "norm"),
        (nn.GroupNorm(2, 16), "group_norm"),
        (nn.InstanceNorm2d(16), "group_norm"),
        (nn.Softmax(1), "softmax"),
        (nn.ReLU(), "pointwise"),
        (nn.ReLU(inplace=True), "pointwise"),
        (Function(lambda x: x.mul_(2)), "pointwise"),
        (nn.PReLU(), "pointwise"),
        (Function(lambda x: x + x[:, :1]), "spread"),
        (Function(lambda x: x + x.transpose(1, 3).contiguous().transpose(1, 3)), "transposed"),
        (Function(lambda x: torch.cat((x, x))), "cat"),
        (Function(lambda x: torch.stack((x, x))), "cat"),
        (Function(lambda x: x.transpose(1, 2).contiguous()), "copy"),
        (Function(lambda x: x.transpose(1, 3).contiguous()), "copy_transposed"),
        (nn.ZeroPad2d(1), "pad"),
        (nn.ReflectionPad2d(1), "copy"),
        (nn.AdaptiveAvgPool2d(1), "pool"),
        (nn.MaxPool2d(2), "pool"),
        (enlarged(mode="bilinear"), "resample"),
        (enlarged(mode="nearest"), "resample"),
        (Function(lambda x: x.mean((2, 3))), "reduce"),
        (Function(lambda x: x.sort(-1).values), "sort"),
    ],
)
def test_the_class_of_what_modules_execute(module, name):
    assert class_of(operators_of(module, 16, 8, 8)[-1]) == name


def test_additions_are_pointwise_in_place_too():
    assert [class_of(found) for found in operators_of(Function(double), 16)] == ["pointwise", "pointwise"]
    in_place = operators_of(Function(lambda x: x.relu().add_(x)), 16)
    assert [class_of(found) for found in in_place] == ["pointwise", "pointwise"]


def test_casts_under_autocast_are_kernels_like_any_pointwise_operator():
    found = operators_of(nn.Sequential(nn.Conv2d(16, 8, 1), nn.Softmax(1)), 16, 8, 8, precision="amp-fp16")
    assert [class_of(one) for one in found] == ["pointwise"] * 3 + ["conv_1x1", "softmax"]


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("nchw", ["conv_1x1", "conv", "conv_grouped", "depthwise_library", "depthwise_plain"]),
        (
            "nhwc",
            [
                "conv_1x1_innermost",
                "conv_innermost",
                "conv_grouped",
                "depthwise_innermost",
                "depthwise_fallback",
            ],
        ),
    ],
)
def test_convolutions_are_told_apart_by_the_order_of_their_images(layout, names):
    module = nn.Sequential(
        nn.Conv2d(32, 32, 1),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.Conv2d(32, 32, 3, padding=1, groups=4),
        nn.Conv2d(32, 32, 3, padding=1, groups=32),
        nn.Conv2d(32, 32, 9, padding=4, groups=32),
    )
    found = trace(module, (32, 14, 14), 2, "fp16", layout).operators
    assert [class_of(one) for one in found] == names


@pytest.mark.parametrize("order", ["alike", "spread", "transposed"])
def test_compilers_cast_as_they_compute_however_tensors_lie(order):
    parts = [operator("copy", name="_to_copy", order=order), operator("pointwise", order=order)]
    assert {CLASSES[index] for index in work_of(parts, eager=False).classes} == {"pointwise"}
    assert work_of([], eager=False).values.shape == (0, len(COLUMNS))


def test_a_linear_layer_on_a_permuted_map_is_a_batch_of_products():
    module = nn.Sequential(Function(lambda x: x.transpose(1, 2)), nn.Linear(16, 8))
    found = operators_of(module, 16, 8)
    assert [class_of(one) for one in found if one.kind == "gemm"] == ["gemm_batch"]
    assert sizes(found[0]) == (2, 8, 8, 16)


def test_what_no_class_fits_is_custom():
    for kind in ("custom", "nobody knows this"):
        assert class_of(operator(kind)) == "custom"
    assert class_of(operator("copy", name="other::cat")) == "copy"


def test_every_kind_of_operator_has_a_class():
    for kind in KINDS:
        assert class_of(operator(kind)) in CLASSES
    without_their_own = {"conv_depthwise"}
    assert {kind for kind in KINDS if kind not in CLASSES} == without_their_own


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.Conv2d(16, 32, 1), (16, 8, 4), (2, 32, 32, 16)),
        (nn.Conv2d(16, 32, 1, stride=2), (16, 8, 4), (1, 2 * 8, 32, 16)),
        (nn.Conv2d(16, 32, 3, 2, 1), (16, 8, 8), (1, 2 * 16, 32, 16 * 9)),
        (nn.Conv1d(16, 32, 3), (16, 10), (1, 2 * 8, 32, 16 * 3)),
        (nn.Conv3d(4, 6, 3), (4, 5, 5, 5), (1, 2 * 27, 6, 4 * 27)),
        (nn.Conv2d(16, 32, 3, groups=4), (16, 8, 8), (4, 2 * 36, 8, 4 * 9)),
        (nn.Conv2d(16, 32, 5, padding=2, groups=16), (16, 8, 8), (16, 2 * 64, 2, 25)),
        (nn.ConvTranspose2d(16, 32, 2, 2), (16, 8, 8), (1, 2 * 256, 32, 16)),
        (nn.ConvTranspose2d(16, 32, 4, 2, 1), (16, 8, 8), (1, 2 * 256, 32, 16 * 4)),
        (nn.Linear(16, 7), (5, 16), (1, 10, 7, 16)),
        (Function(lambda x: x @ x.transpose(-1, -2)), (5, 6), (2, 5, 5, 6)),
        (Function(lambda x: F.scaled_dot_product_attention(x, x, x)), (4, 7, 8), (8, 7, 7, 16)),
    ],
)
def test_the_products_that_modules_are(module, shape, expected):
    found = only(module, *shape)
    assert sizes(found) == expected
    assert 2 * np.prod(expected) == found.flops


def test_attention_with_another_value_depth_does_both_products():
    found = operator("sdpa", batch=2, heads=3, queries=5, keys=7, depth=8, value_depth=4)
    assert sizes(found) == (6, 5, 7, 12)
    assert sizes(operator("sdpa", batch=2, heads=3, queries=5, keys=7, depth=8)) == (6, 5, 7, 16)


@pytest.mark.parametrize("kind", ["conv", "conv_grouped", "gemm", "bmm", "sdpa"])
def test_a_product_whose_rule_names_no_sizes_is_as_large_as_its_arithmetic(kind):
    found = sizes(operator(kind, flops=2 * 1000))
    assert found == pytest.approx((1, 10, 10, 10))
    assert sizes(operator(kind)) == (1, 1, 1, 1)


def test_dimensions_that_a_plugin_leaves_out_count_as_one():
    assert sizes(operator("conv", in_channels=8, kernel_0=3)) == (1, 1, 1, 24)
    assert sizes(operator("sdpa", queries=5)) == (1, 5, 1, 2)
    assert sizes(operator("rnn", steps=9)) == (1, 1, 1, 1)


def test_the_other_sizes():
    convolution = only(nn.Conv2d(16, 32, 3, 2, 1, groups=4), 16, 8, 8)
    work = work_of([convolution])
    assert (work["read"][0], work["written"][0]) == (convolution.bytes_read, convolution.bytes_written)
    assert work["flops"][0] == convolution.flops
    assert (work["positions"][0], work["planar"][0], work["width"][0]) == (16, 1, 2)
    assert (work["elements"][0], work["taps"][0], work["lines"][0]) == (2 * 16 * 64, 1, 0)


def test_scores_in_memory_are_traffic_and_no_copies():
    attend = Function(lambda x: F.scaled_dot_product_attention(x, x, x))
    found = only(attend, 16, 8)
    assert found.scratch_bytes > 0
    work = work_of([found])
    assert (work["scratch"][0], work.moved[0]) == (0, found.bytes_moved)


def test_what_goes_over_elements_taps_and_lines():
    work = work_of(
        [
            only(nn.Conv2d(16, 16, 3, groups=16), 16, 8, 8),
            only(nn.MaxPool2d(3, 2), 16, 9, 9),
            only(nn.LayerNorm(8), 16, 8),
            only(nn.LayerNorm((16, 8)), 16, 8),
        ]
    )
    assert work["elements"].tolist() == [2 * 16 * 36, 2 * 16 * 16, 2 * 16 * 8, 2 * 16 * 8]
    assert work["taps"].tolist() == [9, 9, 1, 1]
    assert work["lines"].tolist() == [0, 0, 2 * 16, 2]


@pytest.mark.parametrize(("memory_format", "planar"), [(None, 1), (torch.channels_last, 0)])
def test_resampling_knows_whether_maps_lie_apart(memory_format, planar):
    def enlarge(x):
        x = x if memory_format is None else x.contiguous(memory_format=memory_format)
        return F.interpolate(x, scale_factor=2, mode="bilinear")

    work = work_of(operators_of(Function(enlarge), 16, 8, 4)[-1:])
    assert (work["planar"][0], work["positions"][0]) == (planar, 16 * 8)


def test_rows_stay_in_order_and_can_be_chosen():
    found = operators_of(nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU(), nn.MaxPool2d(2)), 16, 8, 8)
    work = work_of(found)
    assert len(work) == 3
    assert work.values.shape == (3, len(COLUMNS))
    assert [CLASSES[index] for index in work.classes] == [class_of(one) for one in found]
    assert work.matrix.tolist() == [True, False, False]
    assert work.is_of("pointwise", "pool").tolist() == [False, True, True]
    chosen = work.chosen(work.is_of("pool"))
    assert chosen["flops"].tolist() == [found[2].flops]
    assert chosen.moved.tolist() == [found[2].bytes_moved]


def test_what_a_runtime_still_moves_replaces_the_traffic():
    found = [operator("pointwise", read=8, written=4), operator("pointwise", read=1, written=1)]
    assert work_of(found).moved.tolist() == [12, 2]
    assert work_of(found, [5, 0]).moved.tolist() == [5, 0]


def test_no_operators_are_no_work():
    work = work_of([])
    assert len(work) == 0
    assert work.values.shape == (0, len(COLUMNS))
    assert work["rows"].shape == work.moved.shape == (0,)


def test_depthwise_convolutions_are_no_dense_products():
    work = work_of([only(nn.Conv2d(16, 16, 3, groups=16), 16, 8, 8), operator("rnn"), operator("sparse")])
    assert not work.matrix.any()
