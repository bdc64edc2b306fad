"""The kit finds what is wrong with a target, and nothing where all is right."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit_failures import complaint, run_file

from nas.costs import Device, Figure, Target, read_target, resolve_target
from nas.testing import TargetConformance
from nas.testing.pricing import example_targets
from nas.testing.target import found_target, plain, target_text

KIT = TargetConformance()
GOOD = example_targets()[0]


def with_figures(**values: Any) -> Target:
    figures = dict(GOOD.device.figures)
    for name, value in values.items():
        figures[name] = value if isinstance(value, Figure) else Figure(value, "a datasheet")
    return with_device(figures=figures)


def with_device(**changes: Any) -> Target:
    return replace(GOOD, device=replace(GOOD.device, **changes))


ONE = Figure(1.0, "a datasheet")
FIGURES = "test_every_figure_is_sourced"
LABEL = "test_its_label_names_the_whole_profile"
FIT = "test_figures_fit_together"
BROKEN: list[tuple[Target, str, str]] = [
    (with_figures(fp16_tflops=0.0), FIGURES, "it is 0: leave out"),
    (with_figures(fp16_tflops=-3.0), FIGURES, "it is -3"),
    (with_figures(tdp_w=math.nan), FIGURES, "it is nan"),
    (with_figures(tdp_w="400"), FIGURES, "it is '400'"),
    (with_figures(tdp_w=Figure(400.0, "")), FIGURES, "it has no source"),
    (with_figures(tdp_w=Figure(400.0, "a datasheet", "sure")), FIGURES, "trust 'sure' is not one of"),
    (with_figures(fp16_tflop=3.0), FIGURES, "nobody reads it"),
    (with_device(figures={}), FIGURES, "has no figures"),
    (with_figures(idle_w=500.0), FIT, "idle_w is above tdp_w"),
    (with_device(figures={"fp16_tflops": ONE}), FIT, "'memory_bandwidth_gbs' is missing"),
    (with_device(figures={"memory_bandwidth_gbs": ONE}), FIT, "'fp16_tflops' is missing"),
    (replace(GOOD, runtime="magic"), LABEL, "runtime 'magic' is not one of"),
    (replace(GOOD, precision="fp12"), LABEL, "precision 'fp12'"),
    (replace(GOOD, layout="chwn"), LABEL, "layout 'chwn'"),
    (replace(GOOD, batch_size=0), LABEL, "the batch size is 0"),
    (with_device(name="a/b"), LABEL, "no part of a label holds a '/'"),
    (with_device(vendor=" "), "test_is_described", "has no vendor"),
    (with_device(aliases=("x", "x")), "test_its_names_are_its_own", "twice"),
    (with_device(aliases=(GOOD.device.name,)), "test_its_names_are_its_own", "its own name"),
    (with_device(aliases=("a100",)), "test_its_names_are_its_own", "leads to target 'a100-sxm4-80gb'"),
    (with_device(name="A Board"), "test_its_file_says_all_of_it", "no target file can describe it"),
]


@pytest.mark.parametrize(
    ("target", "check", "message"), BROKEN, ids=[message.replace(" ", "-") for _, _, message in BROKEN]
)
def test_what_is_broken_is_found(target: Target, check: str, message: str, tmp_path: Path) -> None:
    arguments = (target, tmp_path) if check == "test_its_file_says_all_of_it" else (target,)
    assert message in complaint(getattr(KIT, check), *arguments)


def test_one_that_no_model_can_price_is_found() -> None:
    endless = with_figures(memory_bandwidth_gbs=1e-320, fp16_tflops=1e-320)
    assert "latency_ms = inf" in complaint(KIT.test_networks_are_priced_on_it, endless)


def test_one_that_does_not_resolve_is_found(tmp_path: Path) -> None:
    assert "does not resolve: unknown target 'a1000'" in complaint(found_target, "a1000")
    path = tmp_path / "board.toml"
    path.write_text('name = "board"\n[figures]\n', encoding="utf-8")
    assert "'memory_bandwidth_gbs' is missing" in complaint(found_target, path)


class Changed(dict[str, Figure]):
    """Figures that do not survive pickling."""

    def __reduce__(self) -> tuple[type[dict[str, Figure]], tuple[()]]:
        return dict, ()


def test_one_that_does_not_pickle_is_found() -> None:
    target = with_device(figures=Changed(GOOD.device.figures))
    assert "another target after pickling" in complaint(KIT.test_travels_to_workers, target)


def test_a_target_file_says_what_the_target_says(tmp_path: Path) -> None:
    shipped = resolve_target("a100")
    odd = with_device(vendor='quoted "name" \\ \t ü', aliases=("one", "two"))
    for target in (shipped, odd):
        path = tmp_path / "target.toml"
        path.write_text(target_text(target), encoding="utf-8")
        assert replace(read_target(path), name=target.name) == plain(target)


USE = """
import pytest
from nas.testing import TargetConformance

class TestIt(TargetConformance):
    @pytest.fixture
    def target(self):
        return {target}
"""


@pytest.mark.parametrize(
    "source", ["'a100'", "'hardware/a100-sxm4-80gb'", "__import__('test_kit_target').GOOD"]
)
def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, source: str) -> None:
    outcome = run_file(tmp_path, USE.format(target=source))
    assert (outcome.failed, outcome.skipped) == ({}, set())
    assert len(outcome.passed) == 9


def test_a_target_file_is_tested_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(target_text(with_device(name="board")), encoding="utf-8")
    assert run_file(tmp_path, USE.format(target=repr(str(path)))).failed == {}


def test_a_device_without_a_name_is_found() -> None:
    target = Target("x", Device("", "gpu", "Example", GOOD.device.figures))
    assert "has no name" in complaint(KIT.test_is_described, target)
