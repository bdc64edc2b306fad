"""The figures of GPUs that kernels depend on, and what stands in for those a datasheet leaves out."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from hardware_cases import STEP, device

from nas.costs import resolve_target
from nas.costs.calibration import Calibration
from nas.costs.target import Figure
from nas_hardware import assumptions
from nas_hardware.catalogue import shipped_targets
from nas_hardware.gpu_speed import (
    CHECKED_SHARE,
    CONSUMER_CLOCK,
    SINGLE_MATRIX_SHARE,
    SUSTAINED_EXPONENT,
    GpuSpeed,
    gpu_speed,
)
from nas_hardware.kernels import GPU_CLASSES


def test_figures_in_their_units():
    found = gpu_speed(device())
    assert found.matrix == 100e9
    assert found.vector == 10e9
    assert found.bandwidth == 1e9
    assert found.cache == 10e6
    assert (found.units, found.clock, found.launch, found.step) == (100, 1e6, 0.002, STEP)


@pytest.mark.parametrize(("floor", "step"), [(0.5, STEP), (2.0, STEP), (10.0, 0.01)])
def test_the_next_kernel_of_a_network_comes_no_sooner_than_a_step(floor, step):
    assert gpu_speed(device(launch_floor_us=floor)).step == pytest.approx(step)


def test_on_a_gpu_that_was_measured_it_comes_after_the_launch():
    measured = Calibration("T2", "utilisation", "x", figures={"launch_floor_us": Figure(1.5, "measured")})
    assert gpu_speed(device(calibration=measured)).step == pytest.approx(0.0015)
    assert gpu_speed(device(calibration=replace(measured, figures={}))).step == STEP


@pytest.mark.parametrize(
    ("precision", "matrix", "width", "tensor"),
    [
        ("fp32", 10e9, 4, False),
        ("tf32", 50e9, 4, True),
        ("fp16", 100e9, 2, True),
        ("bf16", 100e9, 2, True),
        ("amp-fp16", 100e9, 2, True),
        ("int8", 200e9, 1, True),
    ],
)
def test_the_precision_picks_peak_width_and_units(precision, matrix, width, tensor):
    found = gpu_speed(device(precision=precision))
    assert (found.matrix, found.width, found.tensor) == (matrix, width, tensor)
    assert found.vector == 10e9


@pytest.mark.parametrize(
    ("name", "precision", "tensor"),
    [
        ("p100", "fp16", False),
        ("p100", "fp32", False),
        ("1080ti", "fp16", False),
        ("p4", "int8", False),
        ("jetson-nano", "fp16", False),
        ("v100", "fp16", True),
        ("v100", "fp32", False),
        ("t4", "fp16", True),
        ("rtx3090", "amp-fp16", True),
        ("rtx3090", "tf32", True),
        ("rtx4090", "fp16", True),
        ("h100", "bf16", True),
        ("mi300x", "fp16", True),
    ],
)
def test_which_gpus_have_matrix_units(name, precision, tensor):
    """Consumer cards reach only twice their fp32 peak with theirs, as P100 does without."""
    assert gpu_speed(replace(resolve_target(name), precision=precision)).tensor == tensor


def test_a_higher_fp32_peak_does_not_take_matrix_units_away():
    for vector in (10.0, 20.0, 80.0, 300.0):
        assert gpu_speed(device(fp32_tflops=vector)).tensor


def test_consumer_cards_run_above_their_clock_whatever_their_base():
    for base in (250.0, 900.0):
        found = gpu_speed(device(device_class="consumer-gpu", base_clock_mhz=base))
        assert found.sustained == CONSUMER_CLOCK > 1
    assert gpu_speed(device(base_clock_mhz=250.0)).sustained == pytest.approx(0.25**SUSTAINED_EXPONENT)


def test_missing_figures_are_assumed():
    bare = device(
        units=0,
        cache_mb=0,
        clock_mhz=0,
        base_clock_mhz=0,
        launch_floor_us=0,
        fp32_tflops=0,
        device_class="ws-gpu",
    )
    found = gpu_speed(bare)
    assert found.units == assumptions.GPU_UNITS
    assert found.cache == assumptions.GPU_CACHE_MB * 1e6
    assert found.clock == assumptions.GPU_CLOCK_MHZ * 1e3
    assert found.launch == assumptions.LAUNCH_FLOOR_US / 1e3
    assert found.vector == pytest.approx(found.matrix * assumptions.VECTOR_SHARE)
    with_base = replace(bare.device, figures={**bare.figures, "base_clock_mhz": Figure(1200.0, "test")})
    assumed = assumptions.GPU_CLOCK_MHZ * assumptions.BASE_CLOCK_SHARE
    assert assumed == 1200
    assert gpu_speed(replace(bare, device=with_base)) == found


@pytest.mark.parametrize("device_class", ["dc-gpu", "ws-gpu", "edge-gpu"])
def test_the_clock_falls_under_load_where_the_base_clock_is_lower(device_class):
    shares = [
        gpu_speed(device(device_class=device_class, base_clock_mhz=base)).sustained
        for base in (250.0, 500.0, 900.0, 1000.0, 1200.0)
    ]
    assert all(less < more for less, more in pairwise(shares[:4]))
    assert shares[3] == shares[4] == 1
    assert shares[0] > 0.25


def test_vector_units_with_the_power_they_need_keep_their_clock():
    """10 Tflop/s need 160 W; where it is not known, as on matrix units, the clock lies between base and
    boost."""
    figures = {"base_clock_mhz": 250.0, "precision": "fp32", "architecture": "sm75"}
    shares = [
        gpu_speed(device(**figures, tdp_w=watts)).sustained for watts in (0.0, 32.0, 120.0, 160.0, 300.0)
    ]
    assert shares == pytest.approx([0.5, 0.2, 0.75, 1.0, 1.0])
    assert gpu_speed(device(**{**figures, "precision": "fp16"}, tdp_w=300.0)).sustained == 0.5
    for name in ("CDNA3", "sm90"):
        assert gpu_speed(device(**{**figures, "architecture": name}, tdp_w=300.0)).sustained == 0.5
    assert gpu_speed(device(**figures, tdp_w=300.0, device_class="consumer-gpu")).sustained > 1


@pytest.mark.parametrize(
    ("architecture", "watts"),
    [("sm61", 160.0), ("sm75", 160.0), ("sm80", 130.0), ("sm86", 90.0), ("sm89", 65.0), ("sm120", 70.0)],
)
def test_what_power_vector_units_need_is_that_of_their_chip(architecture, watts):
    figures = {"base_clock_mhz": 250.0, "precision": "fp32", "architecture": architecture}
    assert gpu_speed(device(**figures, tdp_w=watts)).sustained == pytest.approx(1)
    assert gpu_speed(device(**figures, tdp_w=watts / 2)).sustained == pytest.approx(0.5)


def test_kernels_that_stream_do_not_want_for_power():
    figures = {"base_clock_mhz": 250.0, "precision": "fp32", "architecture": "sm75"}
    starved = gpu_speed(device(**figures, tdp_w=80.0))
    assert (starved.sustained, starved.burst, starved.streaming) == pytest.approx((0.5, 0.5, 1.0))
    by_clock = gpu_speed(device(**{**figures, "precision": "fp16"}, tdp_w=80.0))
    assert by_clock.streaming == by_clock.sustained == 0.5
    consumer = gpu_speed(device(**figures, tdp_w=80.0, device_class="consumer-gpu"))
    assert consumer.streaming == consumer.sustained == CONSUMER_CLOCK


@pytest.mark.parametrize(
    ("name", "peak"),
    [("mi100", 46.1 * SINGLE_MATRIX_SHARE), ("mi210", 45.3 * SINGLE_MATRIX_SHARE), ("mi300x", 163.4)],
)
def test_matrix_units_that_multiply_single_precision_do(name, peak):
    """That peak stands where others have tf32; what streams has the vector units."""
    found = gpu_speed(resolve_target(name, precision="fp32"))
    assert found.matrix == pytest.approx(peak * 1e9)
    assert found.vector == pytest.approx(resolve_target(name).figures["fp32_tflops"].value * 1e9)
    assert not found.tensor


def test_the_peak_of_products_is_that_of_the_file_where_none_of_matrix_units_is_known():
    described = {"architecture": "CDNA2", "precision": "fp32"}
    assert gpu_speed(device(**described)).matrix == pytest.approx(50e9 * SINGLE_MATRIX_SHARE)
    assert gpu_speed(device(**described, tf32_tflops=0)).matrix == 10e9
    measured = Calibration("T2", "utilisation", "x", figures={"fp32_tflops": Figure(30.0, "measured")})
    assert gpu_speed(device(**described, calibration=measured)).matrix == 30e9


@pytest.mark.parametrize(("architecture", "capability"), [("sm61", 61), ("sm120", 120), ("CDNA2", 0)])
def test_a_compute_capability_is_a_number(architecture, capability):
    assert gpu_speed(device(architecture=architecture)).capability == capability


def test_figures_that_were_measured_take_the_place_of_the_datasheet():
    measured = Calibration(
        "T2", "utilisation", "test", figures={"memory_bandwidth_gbs": Figure(800.0, "test")}
    )
    assert gpu_speed(device(calibration=measured)).bandwidth == 0.8e9


@pytest.mark.parametrize(
    ("device_class", "cache", "share"),
    [("dc-gpu", 4.0, 0.8), ("dc-gpu", 5.0, 1.0), ("consumer-gpu", 2.75, 1.0), ("dc-gpu", 0, 1.0)],
)
def test_old_data_centre_cards_reach_less_of_their_bandwidth(device_class, cache, share):
    """Those with small caches; 0 stands for a cache of unknown size."""
    found = gpu_speed(device(device_class=device_class, cache_mb=cache))
    assert found.bandwidth == pytest.approx(share * 1e9)


@pytest.mark.parametrize(
    ("device_class", "architecture", "share"),
    [
        ("dc-gpu", "Ada AD102 sm89", CHECKED_SHARE),
        ("dc-gpu", "Ampere GA102 sm86", CHECKED_SHARE),
        ("dc-gpu", "Ampere GA100 sm80", 1.0),
        ("dc-gpu", "Hopper GH100 sm90", 1.0),
        ("dc-gpu", "CDNA3", 1.0),
        ("consumer-gpu", "Ada AD102 sm89", 1.0),
    ],
)
def test_check_codes_take_their_share_where_memory_has_no_room_for_them(device_class, architecture, share):
    found = gpu_speed(device(device_class=device_class, architecture=architecture, cache_mb=40.0))
    assert found.bandwidth == pytest.approx(share * 1e9)
    assert gpu_speed(device(device_class=device_class, architecture=architecture, cache_mb=0)).bandwidth == (
        found.bandwidth
    )


def test_networks_run_too_long_for_a_burst():
    for target in (device(base_clock_mhz=250.0), device(device_class="consumer-gpu")):
        found = gpu_speed(target)
        assert found.burst == found.sustained


@pytest.mark.parametrize(
    ("generation", "hides"), [("sm80", False), ("sm89", False), ("", False), ("sm90", True), ("sm120", True)]
)
def test_stores_are_hidden_since_hopper(generation, hides):
    assert gpu_speed(device(architecture=f"some {generation}")).stores_meanwhile == hides


def test_a_bandwidth_that_was_measured_is_reached():
    figures = {"memory_bandwidth_gbs": Figure(800.0, "test", "measured")}
    measured = Calibration("T2", "utilisation", "test", figures=figures)
    assert gpu_speed(device(cache_mb=4.0, calibration=measured)).bandwidth == 0.8e9


@pytest.mark.parametrize(
    ("architecture", "generation"),
    [("Ampere GA100 sm80", "sm80"), ("Blackwell sm110", "sm110"), ("CDNA2 gfx90a", ""), ("", ""), ("sm", "")],
)
def test_the_generation_is_the_last_word_of_the_architecture(architecture, generation):
    assert gpu_speed(device(architecture=architecture)).generation == generation


@pytest.mark.parametrize(
    "target",
    [target for target in shipped_targets() if target.device.device_class in GPU_CLASSES],
    ids=lambda target: target.name,
)
def test_every_shipped_gpu_has_a_speed(target):
    found = gpu_speed(target)
    numbers = [getattr(found, field.name) for field in fields(GpuSpeed)]
    assert all(number > 0 for number in numbers if isinstance(number, float))
    assert bool(found.generation) == (target.device.vendor == "NVIDIA")
    assert 0.5 < found.sustained < 1.5
