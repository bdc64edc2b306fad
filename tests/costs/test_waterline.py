"""The waterline: closed forms of both bounds, and what fusion of blocks leaves to move."""

from __future__ import annotations

import math

import pytest
from torch import nn

from nas.costs.operators import Operator
from nas.costs.speed import Speed, speed_of
from nas.costs.target import Device, Figure, Target
from nas.costs.trace import trace
from nas.costs.waterline import block_path, sequence_efficiency, waterline

SPEED = Speed(matrix=100.0, vector=10.0, bandwidth=5.0)


def operator(
    flops: int, read: int, written: int, *, weights: int = 0, kind: str = "conv", module: str = "", sources=()
) -> Operator:
    return Operator(kind, kind, module, flops // 2, flops, read, written, weights, tuple(sources))


def device(**figures: float) -> Target:
    made = {name: Figure(value, "a test") for name, value in figures.items()}
    return Target("it", Device("it", "gpu", "none", made), "fp16")


class TestOneKernel:
    def test_arithmetic_bounds_it_above_the_waterline(self):
        (point,) = waterline([operator(4000, 60, 40)], SPEED)
        assert (point.compute_ms, point.memory_ms, point.time_ms) == (40.0, 20.0, 40.0)
        assert (point.bound, point.efficiency, point.intensity) == ("compute", 1.0, 40.0)

    def test_memory_bounds_it_below(self):
        (point,) = waterline([operator(500, 60, 40)], SPEED)
        assert (point.compute_ms, point.memory_ms, point.time_ms) == (5.0, 20.0, 20.0)
        assert (point.bound, point.efficiency, point.intensity) == ("memory", 0.25, 5.0)

    def test_both_bounds_meet_at_the_waterline(self):
        (point,) = waterline([operator(2000, 60, 40)], SPEED)
        assert point.compute_ms == point.memory_ms
        assert point.intensity == point.waterline == SPEED.ridge == 20.0

    def test_what_is_no_matrix_work_has_the_vector_peak(self):
        (point,) = waterline([operator(4000, 60, 40, kind="pointwise")], SPEED)
        assert point.compute_ms == 400.0
        assert point.waterline == 2.0

    def test_a_copy_has_no_efficiency_and_an_operator_without_bytes_is_above_any_line(self):
        copy, free = waterline([operator(0, 60, 40, kind="copy"), operator(100, 0, 0)], SPEED)
        assert (copy.efficiency, copy.bound, copy.intensity) == (0.0, "memory", 0.0)
        assert (free.efficiency, free.bound, free.intensity) == (1.0, "compute", math.inf)


class TestSequence:
    def test_times_add_up(self):
        points = waterline([operator(4000, 60, 40), operator(500, 60, 40)], SPEED)
        assert sum(point.time_ms for point in points) == 60.0
        assert sequence_efficiency(points) == 45 / 60

    def test_nothing_takes_nothing(self):
        assert waterline([], SPEED) == ()
        assert sequence_efficiency([]) == 1.0

    def test_a_sequence_is_not_a_roofline_of_its_sums(self):
        """Arithmetic of one kernel cannot hide the traffic of another."""
        points = waterline([operator(4000, 10, 10), operator(0, 100, 100, kind="copy")], SPEED)
        total = waterline([operator(4000, 110, 110)], SPEED)[0]
        assert sum(point.time_ms for point in points) == 80.0 > total.time_ms == 44.0


class Residual(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, inner, 1, bias=False)
        self.act = nn.ReLU()
        self.second = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, x):
        return x + self.second(self.act(self.first(x)))


class TestFusion:
    def test_a_residual_block_by_hand(self):
        """Maps of 2 * 16 * 8 * 8 and 2 * 64 * 8 * 8 numbers of 4 bytes; two weights of 16 * 64."""
        small, wide, weight = 8192, 32768, 4096
        found = trace(nn.Sequential(Residual(16, 64)), (16, 8, 8), batch_size=2)
        apart = waterline(found.operators, SPEED)
        assert [point.bytes_moved for point in apart] == [
            small + weight + wide,
            wide + wide,
            wide + weight + small,
            small + small + small,
        ]
        (fused,) = waterline(found.operators, SPEED, block_of=lambda _: "block")
        assert fused.bytes_moved == small + small + 2 * weight
        assert fused.operators == 4
        assert fused.flops == sum(point.flops for point in apart)
        assert fused.compute_ms == pytest.approx(sum(point.compute_ms for point in apart))

    def test_a_chain_of_blocks_moves_each_border_twice(self):
        model = nn.Sequential(*(Residual(16, 64) for _ in range(3)))
        found = trace(model, (16, 8, 8))
        # "0" is a member of the model itself, which has no name of its own
        points = waterline(found.operators, SPEED, block_of=lambda path: path.partition(".")[0])
        assert [(point.module, point.operators) for point in points] == [("0", 4), ("1", 4), ("2", 4)]
        assert {point.bytes_moved for point in points} == {4096 + 4096 + 8192}

    def test_what_two_readers_outside_take_is_written_once_and_read_by_each(self):
        operators = [
            operator(10, 8, 6, module="a.0"),
            operator(10, 6, 4, module="a.1", sources=[(0, 6)]),
            operator(10, 10, 4, module="a.2", sources=[(0, 6), (1, 4)]),
        ]
        first, second, third = waterline(operators, SPEED, block_of=block_path)
        assert (first.bytes_moved, second.bytes_moved, third.bytes_moved) == (14, 10, 14)
        first, rest = waterline(operators, SPEED, block_of=lambda path: path if path == "a.0" else "rest")
        assert rest.bytes_moved == 6 + 4  # the map of a.0 once, though both members read it
        assert first.bytes_moved == 14

    def test_a_middle_that_someone_outside_reads_is_written(self):
        operators = [
            operator(10, 8, 6, module="a", sources=[(-1, 8)]),
            operator(10, 6, 4, module="a", sources=[(0, 6)]),
            operator(10, 10, 4, module="b", sources=[(0, 6), (1, 4)]),
        ]
        fused, _ = waterline(operators, SPEED, block_of=lambda path: path)
        assert fused.bytes_moved == 8 + 6 + 4

    def test_fusion_never_moves_more(self):
        model = nn.Sequential(*(Residual(16, 64) for _ in range(2)), nn.Flatten(), nn.Linear(1024, 10))
        found = trace(model, (16, 8, 8))
        apart = waterline(found.operators, SPEED)
        fused = waterline(found.operators, SPEED, block_of=lambda path: path.partition(".")[0])
        assert sum(p.bytes_moved for p in fused) < sum(p.bytes_moved for p in apart)
        assert sequence_efficiency(fused) > sequence_efficiency(apart)

    def test_a_fused_block_of_both_units_has_a_waterline_between_theirs(self):
        operators = [operator(1000, 8, 6, module="a"), operator(100, 6, 6, kind="norm", module="a")]
        (fused,) = waterline(operators, SPEED, block_of=lambda path: path)
        assert 2.0 < fused.waterline < SPEED.ridge
        assert fused.compute_ms == 20.0
        assert fused.kind == "conv"


@pytest.mark.parametrize(
    ("path", "block"),
    [
        ("", ""),
        ("conv1", "conv1"),
        ("head.fc", "head.fc"),
        ("layer1.0.conv2", "layer1.0"),
        ("layers.3_inverted_residual.project.conv", "layers.3_inverted_residual"),
        ("features.3.conv.0.0", "features.3"),
        ("features.3.0.block.1.fc1", "features.3.0"),
        ("blocks.0.1.conv_pw", "blocks.0.1"),
        ("stages.0.blocks.1.mlp.fc1", "stages.0.blocks.1"),
        ("transformer.h.11.attn.c_attn", "transformer.h.11"),
        ("encoder.layers.encoder_layer_3.mlp.0", "encoder.layers.encoder_layer_3"),
    ],
)
def test_the_block_of_a_path(path, block):
    assert block_path(path) == block


class TestSpeed:
    def test_figures_become_work_per_millisecond(self):
        speed = speed_of(device(fp16_tflops=100.0, fp32_tflops=20.0, memory_bandwidth_gbs=500.0))
        assert (speed.matrix, speed.vector, speed.bandwidth) == (1e11, 2e10, 5e8)
        assert speed.ridge == 200.0
        assert (speed.peak("conv"), speed.peak("conv_depthwise")) == (1e11, 2e10)

    def test_without_an_fp32_peak_all_units_have_that_of_the_precision(self):
        assert speed_of(device(fp16_tflops=4.0, memory_bandwidth_gbs=30.0)).vector == 4e9
