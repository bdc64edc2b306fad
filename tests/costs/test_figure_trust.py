"""What the figures behind a prediction are worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas.costs import Device, Figure, Target
from nas.costs.calibration import Calibration
from nas.costs.figure_trust import (
    profile_figures,
    tier_of,
    trust_counts,
    trust_text,
    unsure_figures,
)

TRUSTS = {
    "fp32_tflops": "high",
    "tf32_tflops": "low",
    "fp16_tflops": "high",
    "int8_tops": "medium",
    "memory_bandwidth_gbs": "medium",
    "idle_w": "low",
    "eager_operator_us": "assumed",
}
FIGURES = {name: Figure(1.0, "datasheet", trust) for name, trust in TRUSTS.items()}
TARGET = Target("board", Device("board", "dc-gpu", "me", FIGURES), "fp16")


def test_peaks_of_other_precisions_do_not_count() -> None:
    assert set(profile_figures(TARGET)) == {"fp32_tflops", "fp16_tflops", "memory_bandwidth_gbs", "idle_w"}
    assert "int8_tops" in profile_figures(replace(TARGET, precision="int8"))
    assert "fp16_tflops" in profile_figures(replace(TARGET, precision="amp-fp16"))


def test_the_dispatch_of_operators_counts_in_eager_mode() -> None:
    assert "eager_operator_us" not in profile_figures(TARGET)
    eager = profile_figures(replace(TARGET, runtime="eager"))
    assert unsure_figures(eager) == ("idle_w", "eager_operator_us")


def test_trust_is_counted_from_the_best_down() -> None:
    assert list(trust_counts(FIGURES).items()) == [("high", 2), ("medium", 2), ("low", 2), ("assumed", 1)]
    assert trust_counts({}) == {}


def test_the_line_names_what_is_unsure() -> None:
    assert trust_text(TARGET) == "2 high, 1 medium, 1 low trust; unsure: idle_w"
    sure = {name: figure for name, figure in FIGURES.items() if figure.trust == "high"}
    assert trust_text(replace(TARGET, device=replace(TARGET.device, figures=sure))) == "2 high trust"
    low = {name: replace(figure, trust="low") for name, figure in sure.items()}
    shown = trust_text(replace(TARGET, device=replace(TARGET.device, figures=low)))
    assert shown == "2 low trust; unsure: all of them"


@pytest.mark.parametrize("tier", ["T1", "T2", "T3"])
def test_a_calibration_is_the_tier_and_its_figures_are_measured(tier: str) -> None:
    measured = {"idle_w": Figure(7.0, "measured here", "measured")}
    calibrated = replace(TARGET, calibration=Calibration(tier, "roofline", "me, today", figures=measured))
    assert (tier_of(TARGET), tier_of(calibrated)) == ("T0", tier)
    assert trust_text(calibrated) == "1 measured, 2 high, 1 medium trust"
