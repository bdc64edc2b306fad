"""Intervals: bounds are sums over operators, each with the factors of what its time rests on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hardware_cases import device, operator

from nas.costs import resolve_target
from nas.costs.calibration import Calibration
from nas.costs.operators import KINDS
from nas_hardware import assumptions
from nas_hardware.intervals import (
    CPU,
    DISPATCH,
    GROUPED,
    LAUNCH,
    MEASURED_KINDS,
    MEASURED_PROFILES,
    NVIDIA,
    OTHER_DEVICE,
    OTHER_KIND,
    START,
    bounds,
)

CALIBRATION = Calibration("T2", "utilisation", "test", low=0.9, high=1.1)
UNKNOWN = (assumptions.UNKNOWN_LOW_FACTOR, assumptions.UNKNOWN_HIGH_FACTOR)


def of(*operators, on=None, times=None, kernels=None, launches=None, calibration=None):
    times = np.ones(len(operators)) if times is None else np.array(times, dtype=float)
    kernels = times if kernels is None else np.array(kernels, dtype=float)
    launches = np.zeros(len(operators)) if launches is None else np.array(launches, dtype=float)
    return bounds(operators, times, kernels, launches, on or device(), calibration)


def widened(*factors):
    return (min(low for low, _ in factors), max(high for _, high in factors))


@pytest.mark.parametrize(
    ("target", "factors"),
    [
        (device(), NVIDIA),
        (device(vendor="AMD"), OTHER_DEVICE),
        (device(device_class="arm-cpu", vendor="Arm"), CPU),
        (device(device_class="x86-cpu", vendor="Intel"), CPU),
        (device(device_class="arm-cpu", vendor="NVIDIA"), CPU),
        (device(device_class="npu", vendor="Google"), OTHER_DEVICE),
    ],
)
def test_what_was_measured_on_has_narrower_bounds(target, factors):
    assert of(operator("conv"), on=target) == pytest.approx(factors)
    assert of(operator("conv"), on=target, times=[3.0]) == pytest.approx([3 * factor for factor in factors])


def test_the_profiles_that_networks_were_measured_in_are_the_surest():
    for (name, runtime, precision), factors in MEASURED_PROFILES.items():
        target = replace(resolve_target(name), runtime=runtime, precision=precision)
        assert of(operator("conv"), on=target) == factors
        assert NVIDIA[0] <= factors[0] < 1 < factors[1] <= NVIDIA[1]
        assert of(operator("conv"), on=replace(target, precision="fp32")) == NVIDIA


def test_kinds_that_were_not_measured_are_less_sure():
    assert of(operator("fft")) == pytest.approx(widened(NVIDIA, OTHER_KIND))
    low, high = of(operator("fft"), on=device(device_class="npu", vendor="x"))
    assert low <= OTHER_DEVICE[0]
    assert high >= OTHER_DEVICE[1]
    assert set(KINDS) > MEASURED_KINDS


def test_bounds_add_up_over_operators():
    parts = [operator("conv"), operator("fft"), operator("custom", known=False)]
    times = [1.0, 2.0, 3.0]
    singles = [of(part, times=[time]) for part, time in zip(parts, times, strict=True)]
    assert of(*parts, times=times) == pytest.approx(tuple(map(sum, zip(*singles, strict=True))))


def test_time_that_the_host_spends_has_bounds_of_its_own():
    eager = device("eager")
    assert of(operator("conv"), on=eager, times=[2.0], kernels=[1.0]) == pytest.approx(
        tuple(2 * factor for factor in widened(NVIDIA, DISPATCH))
    )
    assert of(operator("conv"), on=eager, times=[2.0], kernels=[2.0]) == pytest.approx(
        tuple(2 * factor for factor in NVIDIA)
    )
    processor = device("eager", "arm-cpu", vendor="Arm")
    assert of(operator("conv"), on=processor, times=[2.0], kernels=[1.0]) == pytest.approx(
        tuple(2 * factor for factor in CPU)
    )


def test_launches_have_bounds_of_their_own():
    (low, high), work = of(operator("conv"), times=[3.0], launches=[1.0]), np.array(NVIDIA)
    assert (low, high) == pytest.approx(tuple(2 * work + LAUNCH))
    assert LAUNCH[0] <= NVIDIA[0]
    assert LAUNCH[1] >= NVIDIA[1]


def test_a_launch_that_dispatch_hides_widens_nothing():
    eager, parts = device("eager"), {"times": [2.0], "kernels": [1.0]}
    assert of(operator("conv"), on=eager, launches=[0.5], **parts) == of(operator("conv"), on=eager, **parts)


@pytest.mark.parametrize("on", [device(device_class="x86-cpu", vendor="Intel"), None])
def test_neither_processors_nor_measured_devices_tell_launches_apart(on):
    calibration = None if on else CALIBRATION
    expected = of(operator("conv"), on=on, calibration=calibration)
    assert of(operator("conv"), on=on, launches=[0.5], calibration=calibration) == expected


def test_grouped_convolutions_are_less_sure_in_one_runtime():
    for runtime, factors in (("tensorrt", widened(NVIDIA, GROUPED)), ("compiled", NVIDIA), ("eager", NVIDIA)):
        assert of(operator("conv_grouped"), on=device(runtime)) == pytest.approx(factors)
        assert of(operator("conv"), on=device(runtime)) == pytest.approx(NVIDIA)


def test_a_calibration_sets_the_bounds_of_what_rules_describe():
    for part in (operator("conv"), operator("fft")):
        assert of(part, calibration=CALIBRATION) == pytest.approx((0.9, 1.1))
    dispatched = of(operator("conv"), on=device("eager"), kernels=[0.5], calibration=CALIBRATION)
    assert dispatched == pytest.approx((0.9, 1.1))
    assert of(operator("custom", known=False), calibration=CALIBRATION) == UNKNOWN


def test_operators_that_no_rule_describes_are_least_sure():
    for on in (
        device(),
        device(device_class="arm-cpu", vendor="Arm"),
        device(device_class="npu", vendor="x"),
    ):
        low, high = of(operator("custom"), on=on)
        unknown_low, unknown_high = of(operator("custom", known=False), on=on)
        assert unknown_low <= low
        assert unknown_high >= high
        assert (unknown_low, unknown_high) == UNKNOWN
    assert of(operator("custom", known=False), launches=[0.9]) == UNKNOWN


def test_no_operators_have_no_bounds():
    assert of() == (0.0, 0.0)


@pytest.mark.parametrize(
    "factors", [NVIDIA, CPU, OTHER_DEVICE, OTHER_KIND, DISPATCH, GROUPED, LAUNCH, START, UNKNOWN]
)
def test_every_interval_holds_the_estimate(factors):
    low, high = factors
    assert 0 < low < 1 < high
