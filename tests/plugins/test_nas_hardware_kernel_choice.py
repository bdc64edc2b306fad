"""What the algorithms of a convolution take, and which one a CPU should run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from nas.costs import resolve_target
from nas.costs.operators import Operator
from nas.costs.speed import Speed
from nas.costs.target import Device, Figure, Target
from nas.costs.trace import trace
from nas_hardware.conv_algorithms import (
    ALGORITHMS,
    ConvShape,
    algorithms,
    fast_length,
    fft,
    im2col,
    im2win,
    shape_of,
    sliding,
    winograd,
)
from nas_hardware.kernel_choice import Rates, algorithm_ms, choose, fft_crossover, kernel_choice

LAYER = ConvShape(1, 64, 128, (58, 58), (3, 3))
"""A 3x3 convolution of 56 pixels, padded by one."""


def cpu(*, tflops: float = 1.0, bandwidth: float = 50.0, cache: float | None = None) -> Target:
    figures = {"fp32_tflops": tflops, "memory_bandwidth_gbs": bandwidth}
    if cache is not None:
        figures["cache_mb"] = cache
    made = {name: Figure(value, "a test") for name, value in figures.items()}
    return Target("cpu", Device("cpu", "x86-cpu", "none", made), "fp32")


def operator(module: nn.Module, *shape: int, batch: int = 1, precision: str = "fp32") -> Operator:
    return trace(module, shape, batch, precision).operators[0]


class TestWorkspace:
    def test_by_hand(self) -> None:
        assert im2col(LAYER).workspace_bytes == 64 * 9 * 56 * 56 * 4
        assert im2win(LAYER).workspace_bytes == 64 * 56 * 58 * 3 * 4
        assert (sliding(LAYER).workspace_bytes, ALGORITHMS["direct"](LAYER).workspace_bytes) == (0, 0)
        assert winograd(LAYER).workspace_bytes == 16 * 4 * (28 * 28 * (64 + 128) + 64 * 128)
        assert fft(LAYER).workspace_bytes == 60 * 31 * 2 * 4 * (64 + 128 + 64 * 128)

    @pytest.mark.parametrize(
        ("side", "kernel", "stride", "ratio"),
        [(227, 11, 4, 0.375), (226, 3, 1, 0.336), (56, 3, 1, 0.346), (14, 3, 1, 0.389), (224, 7, 2, 0.294)],
    )
    def test_windows_take_a_share_of_patches(self, side: int, kernel: int, stride: int, ratio: float) -> None:
        shape = ConvShape(1, 8, 8, (side, side), (kernel, kernel), (stride, stride))
        found = im2win(shape).workspace_bytes / im2col(shape).workspace_bytes
        assert found == pytest.approx(side / (kernel * shape.out[1]), rel=1e-12)
        assert round(found, 3) == ratio

    def test_a_pointwise_convolution_is_a_product_as_it_is(self) -> None:
        shape = ConvShape(1, 64, 64, (56, 56), (1, 1))
        assert im2col(shape).workspace_bytes == 0
        assert len(im2col(shape).stages) == 1
        assert im2col(replace(shape, stride=(2, 2))).workspace_bytes == 64 * 28 * 28 * 4

    def test_it_grows_with_the_batch_and_the_width_of_a_number(self) -> None:
        wide = replace(LAYER, batch=3, width_bytes=2)
        for made in (im2col, im2win):
            assert made(wide).workspace_bytes * 2 == made(LAYER).workspace_bytes * 3


class TestWork:
    def test_the_definition_is_what_is_traced(self) -> None:
        module = nn.Conv2d(8, 12, (3, 5), stride=(2, 1), dilation=(1, 2), groups=4, bias=False)
        found = operator(module, 8, 20, 21, batch=2)
        shape = shape_of(found)
        assert shape is not None
        assert (shape.macs, shape.output_bytes) == (found.macs, found.bytes_written)
        assert shape.weight_bytes == found.weight_bytes
        assert shape.size == (19, 21)  # the last row is read by no window

    @pytest.mark.parametrize("name", ["direct", "im2col", "im2win", "sliding"])
    def test_these_do_the_arithmetic_of_the_definition(self, name: str) -> None:
        assert ALGORITHMS[name](LAYER).flops == pytest.approx(2 * LAYER.macs)

    def test_tiles_take_four_ninths_of_the_multiplications(self) -> None:
        (product,) = (stage for stage in winograd(LAYER).stages if stage.unit == "gemm")
        assert product.flops == pytest.approx(2 * LAYER.macs * 16 / 36)

    def test_transforms_do_not_depend_on_the_kernel(self) -> None:
        work = {fft(ConvShape(1, 8, 8, (64, 64), (k, k), groups=8)).flops for k in (3, 15, 33, 63)}
        assert len(work) == 1

    def test_taps_read_the_sum_again(self) -> None:
        moved = sum(stage.bytes_moved for stage in sliding(LAYER).stages)
        seen = 64 * 56 * 56 * 4
        assert moved == pytest.approx(9 * seen + LAYER.weight_bytes + 17 * LAYER.output_bytes)

    def test_tiles_are_for_3x3_without_stride(self) -> None:
        assert "winograd" in {found.name for found in algorithms(LAYER)}
        for other in (
            replace(LAYER, kernel=(5, 5)),
            replace(LAYER, stride=(2, 2)),
            replace(LAYER, dilation=(2, 2)),
        ):
            assert "winograd" not in {found.name for found in algorithms(other)}

    @pytest.mark.parametrize("extent", range(1, 200))
    def test_fast_lengths_are_the_next_smooth_numbers(self, extent: int) -> None:
        smooth = sorted(2**a * 3**b * 5**c for a in range(9) for b in range(6) for c in range(5))
        assert fast_length(extent) == min(number for number in smooth if number >= extent)


class TestTime:
    SPEED = Speed(matrix=1e9, vector=1e9, bandwidth=1e6)

    def test_each_pass_is_bound_by_one_of_both(self) -> None:
        shape = ConvShape(1, 64, 64, (56, 56), (1, 1))
        found = algorithm_ms(im2col(shape), shape, self.SPEED)
        arithmetic = 2 * shape.macs / (1e9 * 0.7)
        moved = (shape.input_bytes + shape.weight_bytes + shape.output_bytes) / (1e6 * 0.8)
        assert found == pytest.approx(max(arithmetic, moved))

    def test_a_workspace_in_the_cache_costs_no_traffic(self) -> None:
        outside = algorithm_ms(im2col(LAYER), LAYER, self.SPEED, cache=0)
        inside = algorithm_ms(im2col(LAYER), LAYER, self.SPEED, cache=1e9)
        assert outside - inside == pytest.approx(2 * im2col(LAYER).workspace_bytes / (1e6 * 0.8), rel=0.5)
        assert algorithm_ms(sliding(LAYER), LAYER, self.SPEED, 1e9) == algorithm_ms(
            sliding(LAYER), LAYER, self.SPEED
        )


class TestChoice:
    def test_little_memory_traffic_prefers_windows_to_patches(self) -> None:
        found = choose(LAYER, cpu(bandwidth=5.0), among=("im2col", "im2win"))
        assert found.algorithm == "im2win"
        assert found.workspace_bytes == im2win(LAYER).workspace_bytes

    def test_equal_times_are_settled_by_the_workspace(self) -> None:
        found = choose(LAYER, cpu(bandwidth=1e30), among=("im2col", "im2win", "direct"))
        assert len({time for _, time, _ in found.tried}) == 1
        assert (found.algorithm, found.workspace_bytes) == ("direct", 0)

    def test_products_of_tiles_win_where_arithmetic_is_all(self) -> None:
        assert choose(LAYER, cpu(tflops=0.01, bandwidth=1e4)).algorithm == "winograd"

    def test_small_kernels_are_direct_and_large_ones_transformed(self) -> None:
        target = cpu()
        for kernel, algorithm in ((3, "direct"), (7, "direct"), (31, "fft"), (63, "fft")):
            size = (56 + kernel - 1, 56 + kernel - 1)
            shape = ConvShape(1, 64, 64, size, (kernel, kernel), groups=64)
            assert choose(shape, target, among=("direct", "fft")).algorithm == algorithm

    def test_a_traced_operator_is_priced_for_its_batch_with_the_workspace_of_one_sample(self) -> None:
        module = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        one = kernel_choice(operator(module, 16, 28, 28), cpu(), among=("im2col",))
        four = kernel_choice(operator(module, 16, 28, 28, batch=4), cpu(), among=("im2col",))
        assert one is not None and four is not None
        assert four.time_ms == pytest.approx(4 * one.time_ms)
        assert four.workspace_bytes == one.workspace_bytes == 16 * 9 * 28 * 28 * 4

    @pytest.mark.parametrize(
        ("module", "shape"),
        [
            (nn.Linear(8, 8), (8,)),
            (nn.Conv1d(4, 4, 3), (4, 16)),
            (nn.Conv3d(4, 4, 3), (4, 8, 8, 8)),
            (nn.ConvTranspose2d(4, 4, 3), (4, 8, 8)),
        ],
    )
    def test_anything_else_has_no_choice(self, module: nn.Module, shape: tuple[int, ...]) -> None:
        assert kernel_choice(operator(module, *shape), cpu()) is None

    def test_a_shipped_cpu_has_a_choice_for_every_layer(self) -> None:
        target = resolve_target("i9-10940x")
        for kernel in (1, 3, 5):
            found = kernel_choice(operator(nn.Conv2d(32, 32, kernel), 32, 28, 28), target)
            assert found is not None
            assert found.time_ms == min(time for _, time, _ in found.tried) > 0


class TestCrossover:
    def test_by_arithmetic_alone_it_is_where_both_works_are_equal(self) -> None:
        """2 k² n² at one rate against transforms of (n + k - 1)² points at another."""
        rates = Rates(depthwise=1.0, large_depthwise=1.0, fft=1.0, vector=1.0)
        target = cpu(bandwidth=1e9)
        crossover = fft_crossover(64, 56, target, rates=rates)
        assert crossover is not None
        for kernel, is_fft in ((crossover - 2, False), (crossover, True)):
            shape = ConvShape(1, 64, 64, (55 + kernel,) * 2, (kernel, kernel), groups=64)
            assert (fft(shape).flops < 2 * shape.macs) == is_fft

    @pytest.mark.parametrize("side", [28, 56, 112])
    def test_it_is_where_this_library_was_measured_to_leave_its_fast_kernels(self, side: int) -> None:
        assert fft_crossover(64, side, cpu()) == 15

    def test_slower_transforms_move_it_up_until_there_is_none(self) -> None:
        rates = [Rates(large_depthwise=0.7, fft=share) for share in (0.5, 0.1, 0.05)]
        found = [fft_crossover(64, 56, cpu(), rates=rate) for rate in rates]
        assert all(kernel is not None for kernel in found)
        assert found == sorted(found) and len(set(found)) == 3
        assert fft_crossover(64, 14, cpu(), rates=Rates(fft=1e-6, large_depthwise=0.7)) is None
