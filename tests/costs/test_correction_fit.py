"""Fitting corrections: known answers from made-up measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up_measurements import sample

from nas.costs.calibration import sizes_of
from nas.costs.measuring import fit
from nas.costs.measuring.fit import (
    LEAST_KERNELS,
    LEAST_LEFT,
    NAMED,
    TELLING_KERNELS,
    Sample,
    fit_corrections,
    fit_kind,
)


def test_nothing_measured_changes_nothing():
    assert fit_corrections([]) == (1.0, {})


def test_few_kernels_give_one_scale():
    scale, corrections = fit_corrections([sample(2.0), sample(2.0, "norm")])
    assert scale == pytest.approx(2.0)
    assert corrections == {}


def test_a_kind_of_a_few_is_drawn_towards_all():
    others = [sample(1.0, "norm", flops=10**n) for n in range(5)]
    _, corrections = fit_corrections([*others, *(sample(4.0) for _ in range(3))])
    assert 1.0 < corrections["conv"].scale < 4.0
    _, corrections = fit_corrections([*others, *(sample(4.0) for _ in range(LEAST_KERNELS - 1))])
    assert set(corrections) == {"norm"}


def test_a_power_of_a_size_is_found():
    samples = [sample((flops / 1e5) ** 0.5, flops=int(flops)) for flops in np.geomspace(1e3, 1e7, 40)]
    correction = fit_kind(samples, 0.0)
    inner = [sample(1.0, flops=int(flops)).operator for flops in np.geomspace(3e3, 3e6, 7)]
    expected = [(operator.flops / 1e5) ** 0.5 for operator in inner]
    assert correction.factors(inner)[0] == pytest.approx(expected, rel=0.1)
    far = sample(1.0, flops=10**12).operator
    assert correction.factors([far]).item() <= max(math.exp(s.log_factor()) for s in samples)


def test_operators_of_a_kind_have_their_own_factor():
    fast = [sample(0.5, name="relu", flops=10**n) for n in range(3, 8)]
    slow = [sample(2.0, name="gelu", flops=10**n) for n in range(3, 8)]
    correction = fit_kind([*fast, *slow], 0.0)
    relu, gelu = correction.factors([fast[2].operator, slow[2].operator])[0]
    assert relu == pytest.approx(0.5, rel=0.1) and gelu == pytest.approx(2.0, rel=0.1)


def test_equal_kernels_are_a_scale():
    correction = fit_kind([sample(3.0)] * LEAST_KERNELS, math.log(3.0))
    assert correction.factors([sample(1.0).operator]).item() == pytest.approx(3.0)


@pytest.mark.parametrize("added", [0.0, 0.05])
def test_what_every_kernel_takes_is_told_apart_from_what_grows_with_it(added):
    """Kernels of 0.01 to 10 ms that take twice the prediction, and so much more."""
    times = np.geomspace(0.01, 10.0, 12)
    samples = [
        Sample(sample(1.0, flops=int(1e6 * time)).operator, time, 0.002, 0.002 + 2 * time + added)
        for time in times
    ]
    correction = fit_kind(samples, math.log(2.0))
    assert correction.added_ms == pytest.approx(added, rel=0.25, abs=0.002)
    unseen = sample(1.0, flops=int(1e6 * 0.3)).operator
    found = 0.3 * correction.factors([unseen]).item() + correction.added_ms
    assert found == pytest.approx(0.6 + added, rel=0.05)


def test_what_is_known_to_be_added_is_not_looked_for():
    samples = [sample(2.0, flops=int(flops)) for flops in np.geomspace(1e3, 1e6, 12)]
    assert fit_kind(samples, 0.0, 0.5).added_ms == 0.5
    assert fit_corrections(samples, {"conv": 0.25})[1]["conv"].added_ms == 0.25
    assert fit_corrections(samples)[1]["conv"] == fit_corrections(samples, {"rnn": 0.25})[1]["conv"]


def test_few_kernels_do_not_tell_what_is_added():
    """The same kernels: one fewer than it takes are a factor alone."""
    times = np.geomspace(0.01, 10.0, TELLING_KERNELS)
    samples = [
        Sample(sample(1.0, flops=int(1e6 * time)).operator, time, 0.002, 0.052 + 2 * time) for time in times
    ]
    assert fit_kind(samples, math.log(2.0)).added_ms > 0
    assert fit_kind(samples[1:], math.log(2.0)).added_ms == 0


def test_what_is_added_leaves_something_to_the_kernel():
    one = Sample(sample(1.0).operator, 1.0, 0.2, 1.0)
    assert math.exp(one.log_factor(0.3)) == pytest.approx(0.5)
    assert math.exp(one.log_factor(5.0)) == pytest.approx(LEAST_LEFT)


def test_the_share_that_factors_multiply_is_what_is_left_of_the_launch():
    one = Sample(sample(1.0).operator, 1.0, 0.2, 1.0)
    assert one.own_share() == pytest.approx(0.8)
    assert one.own_share(0.3) == pytest.approx(0.5)
    assert one.own_share(5.0) == LEAST_LEFT


def test_an_operator_of_which_many_were_measured_has_a_correction_of_its_own():
    """What it takes beside is its own too, which one correction of the kind cannot say."""
    slow = [sample(2.0, "pointwise", "gelu", 10**n) for n in range(3, 3 + NAMED)]
    quick = [sample(0.5, "pointwise", "relu", 10**n) for n in range(3, 2 + NAMED)]
    _, corrections = fit_corrections([*slow, *quick])
    assert set(corrections) == {"pointwise", "pointwise/gelu"}, "one relu too few"
    assert corrections["pointwise/gelu"].kernels == NAMED
    assert corrections["pointwise/gelu"].scale == pytest.approx(2.0, rel=0.2)
    _, corrections = fit_corrections(slow)
    assert set(corrections) == {"pointwise"}, "the kind is that operator"


def test_points_are_spread_over_all_kernels(monkeypatch):
    """As many as there may be, and still the factors between them."""
    monkeypatch.setattr(fit, "POINTS", 20)
    samples = [sample((flops / 1e5) ** 0.5, flops=int(flops)) for flops in np.geomspace(1e3, 1e7, 300)]
    correction = fit_kind(samples, 0.0)
    assert len(correction.points) == 20 and correction.kernels == 300
    ends = sorted(point.place[0] for point in correction.points)
    sizes = next(iter(correction.sizes.values()))
    assert ends[0] == pytest.approx(sizes.low, abs=0.1) and ends[-1] == pytest.approx(sizes.high, abs=0.1)
    inner = [sample(1.0, flops=int(flops)).operator for flops in np.geomspace(3e3, 3e6, 7)]
    expected = [(operator.flops / 1e5) ** 0.5 for operator in inner]
    assert correction.factors(inner)[0] == pytest.approx(expected, rel=0.1)


def test_left_out_is_as_if_it_had_not_been_measured():
    """In closed form, and by fitting all others: one kernel that is three times off moves its own forecast
    little."""
    flops = np.geomspace(1e3, 1e7, 40)
    samples = [sample(3.0 if place == 20 else 1.0, flops=int(size)) for place, size in enumerate(flops)]
    process = fit._Process(samples, 0.0)
    assert math.exp(process.left_out(0.0)[20]) == pytest.approx(1.0, abs=0.1)
    others = fit_kind([one for place, one in enumerate(samples) if place != 20], 0.0)
    alone = others.factors([samples[20].operator]).item()
    assert math.exp(process.left_out(0.0)[20]) == pytest.approx(alone, rel=0.05)


def test_a_size_that_few_have_is_not_told_apart_sharply():
    """Of 40 kernels two have another order: they are not islands."""
    operators = [sample(1.0, flops=int(size)).operator for size in np.geomspace(1e3, 1e7, 40)]
    operators[:2] = [replace(one, order="innermost") for one in operators[:2]]
    sizes = fit._standard(sizes_of(operators))
    assert sizes["innermost"].width == fit.LEAST_WIDTH
    assert "scattered" not in sizes, "all are alike there"


def test_what_a_network_moves_is_a_size_of_its_operators():
    """The same kernel takes twice as long within networks that move 32 MB, and is told so in between."""
    traffics = [2.0e6, 32e6]
    samples = [
        replace(sample(1.0 if traffic < 8e6 else 2.0, flops=int(flops)), traffic=traffic)
        for traffic in traffics
        for flops in np.geomspace(1e4, 1e6, 12)
    ]
    correction = fit_kind(samples, 0.0)
    operators = [samples[5].operator]
    small, middle, large, larger = correction.factors(operators, (2e6, 8e6, 32e6, 1e12))[:, 0].tolist()
    assert (small, large) == (pytest.approx(1.0, rel=0.1), pytest.approx(2.0, rel=0.1))
    assert small < middle < large
    assert larger == pytest.approx(large), "nothing is extrapolated"
    assert "traffic" not in fit_kind([replace(one, traffic=1.0) for one in samples], 0.0).sizes
