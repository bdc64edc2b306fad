"""The shipped targets: every file is valid, sourced, sane, and found under one name."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import nas_hardware
from nas.costs import read_target, resolve_target
from nas.costs.target_file import PEAKS
from nas.plugins import default_registry
from nas_hardware.catalogue import FIGURES, FOLDER, read_shipped, shipped_targets

FILES = sorted(FOLDER.glob("*.toml"))
BOUNDS = {
    "fp32_tflops": (0.01, 200),
    "tf32_tflops": (0.5, 2500),
    "fp16_tflops": (0.1, 3000),
    "bf16_tflops": (0.5, 3000),
    "fp8_tflops": (50, 6000),
    "int8_tops": (0.05, 6000),
    "memory_bandwidth_gbs": (1, 10_000),
    "cache_mb": (0.1, 600),
    "units": (1, 400),
    "lanes_per_unit": (4, 500),
    "clock_mhz": (300, 5000),
    "base_clock_mhz": (300, 5000),
    "tdp_w": (1, 1500),
    "idle_w": (0.1, 200),
    "memory_gb": (0.001, 600),
    "launch_floor_us": (0.5, 500),
    "eager_operator_us": (1, 200),
    "eager_norm_channel_us": (0.1, 20),
}


def test_there_are_all_of_them():
    assert len(FILES) == 84
    assert [target.name for target in shipped_targets()] == [path.stem for path in FILES]
    assert len(default_registry().targets) >= 84


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_valid_and_sourced(path: Path):
    target = read_target(path)
    assert target.name == target.device.name == path.stem
    assert target == read_shipped(path)
    for name, figure in target.device.figures.items():
        low, high = BOUNDS[name]
        assert low <= figure.value <= high, name
        assert len(figure.source) > 5, name
        if figure.source.startswith(("assumption", "estimate")):
            assert figure.trust in ("assumed", "low"), name


@pytest.mark.parametrize("target", list(shipped_targets()), ids=lambda target: target.name)
def test_figures_fit_together(target):
    figures = {name: figure.value for name, figure in target.device.figures.items()}
    assert figures["idle_w"] < figures["tdp_w"]
    if "base_clock_mhz" in figures:
        assert figures["base_clock_mhz"] <= figures["clock_mhz"]
    assert {"memory_bandwidth_gbs", "launch_floor_us", PEAKS[target.precision]} <= set(figures)
    assert target.batch_size == 1
    if (
        {"fp16_tflops", "int8_tops"} <= set(figures)
        and target.device.vendor == "NVIDIA"
        and "tf32_tflops" in figures
    ):
        assert figures["tf32_tflops"] <= figures["fp16_tflops"] <= figures["int8_tops"]
    if "eager_operator_us" in figures:
        assert figures["eager_operator_us"] >= figures["launch_floor_us"] or target.device.name == "arc-b60"


def test_no_name_and_no_alias_is_taken_twice():
    names = Counter(name for target in shipped_targets() for name in (target.name, *target.device.aliases))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("alias", "label"),
    [
        ("a100", "a100-sxm4-80gb/compiled/fp16/b1/nchw"),
        ("h100", "h100-sxm/compiled/fp16/b1/nchw"),
        ("v100", "v100-sxm2-16gb/compiled/fp16/b1/nchw"),
        ("4090", "rtx4090/compiled/fp16/b1/nchw"),
        ("jetson", "jetson-agx-orin-64gb/compiled/fp16/b1/nchw"),
        ("pixel6", "google-tensor-g1-cpu/tflite/fp32/b1/nhwc"),
        ("cpu", "cpu-avx2/compiled/fp32/b1/nchw"),
        ("coral", "coral-edgetpu/tflite/int8/b1/nhwc"),
        ("phone-npu", "snapdragon8gen3-npu/tflite/int8/b1/nhwc"),
        ("p4", "p4/compiled/fp32/b1/nchw"),
        ("1080ti", "gtx1080ti/compiled/fp32/b1/nchw"),
        ("tpu-v4", "tpu-v4/compiled/bf16/b1/nchw"),
    ],
)
def test_default_profiles(alias, label):
    assert resolve_target(alias).label == label


def test_datasheet_figures_of_the_best_known_chip():
    figures = resolve_target("a100").device.figures
    expected = {
        "fp32_tflops": 19.5,
        "fp16_tflops": 312,
        "memory_bandwidth_gbs": 2039,
        "tdp_w": 400,
        "memory_gb": 80,
    }
    assert {name: figures[name].value for name in expected} == expected
    assert figures["fp16_tflops"].trust == "high"
    assert "datasheet" in figures["fp16_tflops"].source


def test_figures_are_read_when_they_are_asked_for(tmp_path):
    head = 'name = "x"\naliases = []\nclass = "c"\nvendor = "v"\n[profile]\nprecision = "fp32"\n'
    path = tmp_path / "x.toml"
    path.write_text(head + FIGURES + "this is no TOML", encoding="utf-8")
    target = read_shipped(path)
    assert target.name == "x"
    path.write_text(head + FIGURES + 'tdp_w = { value = 3, trust = "low", source = "s" }', encoding="utf-8")
    assert target.device.figures["tdp_w"].value == 3
    path.unlink()
    assert list(target.device.figures) == ["tdp_w"]


def test_targets_travel_to_other_processes():
    target = resolve_target("a100")
    assert pickle.loads(pickle.dumps(target)) == target
    assert "a100-sxm4-80gb.toml" in repr(target.device.figures)


def test_listing_imports_nothing_heavy():
    script = (
        "import sys\nfrom nas_hardware import nas_targets\n"
        "assert len(list(nas_targets())) == 84\n"
        "print([m for m in ('torch', 'pydantic', 'numpy', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_plugin_offers_two_models():
    models = {model.name: model for model in nas_hardware.nas_cost_models()}
    assert set(models) == {"utilisation", "roofline"}
    for name, model in models.items():
        assert model.description
        assert default_registry().cost_models[name] == model
