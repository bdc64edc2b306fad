"""The pictures of efficiency: the waterline, and the gap between ideal and actual latency."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from nas.costs.efficiency_gap import EfficiencyGap
from nas.costs.waterline import WaterlinePoint
from nas.report.waterline import (
    efficiency_gap_picture,
    efficiency_gap_svg,
    waterline_picture,
    waterline_svg,
)

SVG = "{http://www.w3.org/2000/svg}"
ABOVE = WaterlinePoint("stages.0", "conv", 50, 100, 10, 4.0, 2.0, 5.0)
BELOW = WaterlinePoint("stages.1", "norm", 0, 10, 40, 1.0, 8.0, 2.0)
COPY = WaterlinePoint("copy", "copy", 0, 0, 40, 0.0, 8.0, 20.0)
GAPS = (
    EfficiencyGap("resnet50", 0.5, 2.0, "measured", 80.4),
    EfficiencyGap("convnext <tiny>", 0.6, 6.0, "predicted", 82.1),
)


class TestWaterline:
    def test_what_is_above_stands_on_the_water_and_what_is_below_hangs_from_it(self):
        picture = waterline_picture([ABOVE, BELOW])
        above, below = picture.bars
        assert above.y + above.height == pytest.approx(picture.water)
        assert below.y == picture.water
        assert (above.bound, below.bound) == ("compute", "memory")

    def test_widths_are_times(self):
        above, below = waterline_picture([ABOVE, BELOW]).bars
        assert below.width == pytest.approx(2 * above.width, abs=0.02)
        assert below.x == pytest.approx(above.x + above.width, abs=0.02)

    def test_heights_are_the_ratio_of_both_times_on_a_log_axis(self):
        above, below = waterline_picture([ABOVE, BELOW]).bars
        assert below.height == pytest.approx(3 * above.height, abs=0.1)  # 1/8 against 2

    @pytest.mark.parametrize("points", [[], [COPY], [replace(ABOVE, memory_ms=0.0, bytes_moved=0)]])
    def test_it_draws_what_has_no_ratio(self, points):
        picture = waterline_picture(points)
        for bar in picture.bars:
            assert 0 <= bar.y <= bar.y + bar.height <= picture.height
        ElementTree.fromstring(waterline_svg(points))

    def test_it_is_a_file_of_its_own_that_names_every_kernel(self):
        root = ElementTree.fromstring(waterline_svg([ABOVE, replace(BELOW, module="<b>")], title="a & b"))
        assert root.get("aria-label") == "a & b"
        bars = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class")]
        assert [bar.get("class") for bar in bars] == ["compute", "memory"]
        text = " ".join(root.itertext())
        assert "<b> (norm): 8.00 ms at least, bound by memory" in text
        assert "least time (ms)" in text

    def test_its_own_title_sums_up(self):
        title = waterline_picture([ABOVE, BELOW]).title
        assert title == "Waterline of 2 kernels: 12.0 ms at least, 42 % of the peak"


class TestEfficiencyGap:
    def test_ideal_is_left_of_actual_at_the_height_of_the_score(self):
        low, high = efficiency_gap_picture(GAPS).marks
        assert low.ideal_x < low.actual_x
        assert high.y < low.y  # a better score is higher up
        assert efficiency_gap_picture(GAPS).y_axis.title == "accuracy (%)"

    def test_without_scores_the_height_is_the_efficiency(self):
        picture = efficiency_gap_picture([replace(GAPS[0], score=None), GAPS[1]])
        better, worse = picture.marks
        assert picture.y_axis.title == "efficiency (% of the peak)"
        assert better.y < worse.y

    def test_it_is_a_file_of_its_own_that_names_every_network(self):
        root = ElementTree.fromstring(efficiency_gap_svg(GAPS, score="top-1 (%)"))
        circles = [circle.get("class") for circle in root.iter(f"{SVG}circle")]
        assert circles == ["ideal", "front", "ideal", "front"]
        text = " ".join(root.itertext())
        assert "resnet50: ideal 0.500 ms, measured 2.00 ms, efficiency 25 %, score 80.4" in text
        assert "convnext <tiny>: ideal 0.600 ms, predicted 6.00 ms" in text
        assert "top-1 (%)" in text

    def test_no_networks_are_an_empty_picture(self):
        assert efficiency_gap_picture([]).marks == ()
        ElementTree.fromstring(efficiency_gap_svg([]))
