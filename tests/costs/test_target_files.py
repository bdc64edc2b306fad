"""Target files: what they hold, and what is wrong with bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.costs import Device, Figure, Target, read_target, resolve_target
from nas.costs.target import PRECISIONS
from nas.errors import TargetError, UnknownNameError, UsageError

GOOD = """
name = "my-board"
aliases = ["board"]
class = "edge-gpu"
vendor = "Somebody"
notes = "made for this test"
[profile]
precision = "fp16"
runtime = "tensorrt"
batch_size = 4
layout = "nhwc"
[figures]
fp32_tflops = { value = 1.5, source = "page 3", trust = "low" }
fp16_tflops = { value = 3, source = "page 3" }
memory_bandwidth_gbs = { value = 60.5, source = "measured by me", trust = "measured" }
launch_floor_us = { value = 8, source = "guess", trust = "assumed" }
eager_operator_us = { value = 30, source = "guess", trust = "assumed" }
tdp_w = { value = 15, source = "page 1", trust = "high" }
"""


def write(folder: Path, text: str, name: str = "board.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file(tmp_path):
    target = read_target(write(tmp_path, GOOD))
    assert target.label == "my-board/tensorrt/fp16/b4/nhwc"
    assert target.device.aliases == ("board",)
    assert (target.device.device_class, target.device.vendor) == ("edge-gpu", "Somebody")
    assert target.device.figures["fp32_tflops"] == Figure(1.5, "page 3", "low")
    assert target.device.figures["fp16_tflops"] == Figure(3.0, "page 3", "medium")
    assert len(target.device.figures) == 6


def test_a_short_file(tmp_path):
    figures = (f'{name} = {{ value = 1, source = "s" }}' for name in ("fp32_tflops", "memory_bandwidth_gbs"))
    text = "\n".join(['name = "x"', "[figures]", *figures])
    target = read_target(write(tmp_path, text))
    assert target.label == "x/compiled/fp32/b1/nchw"


@pytest.mark.parametrize("reference", [str, Path])
def test_a_file_is_a_target_reference(tmp_path, reference):
    path = write(tmp_path, GOOD)
    target = resolve_target(reference(path), precision="fp32", batch_size=2, runtime="eager", layout="nchw")
    assert target.label == "my-board/eager/fp32/b2/nchw"
    assert resolve_target(target) == target
    assert resolve_target(target, batch_size=1).batch_size == 1


WRONG = {
    "an unknown key": ('vendor = "Somebody"', 'vender = "x"', ["vender", "vendor"]),
    "an unknown figure": ("fp32_tflops =", "fp32_tflop =", ["fp32_tflop", "fp32_tflops"]),
    "an unknown key of a figure": (
        'source = "page 3", trust',
        'sauce = "page 3", trust',
        ["figures.fp32_tflops"],
    ),
    "a figure without source": (
        '{ value = 15, source = "page 1", trust = "high" }',
        "{ value = 15 }",
        ["tdp_w", "source"],
    ),
    "an empty source": ('"page 1"', '""', ["figures.tdp_w.source"]),
    "a bare figure": ('{ value = 15, source = "page 1", trust = "high" }', "15", ["figures.tdp_w"]),
    "an unknown trust": ('trust = "measured"', 'trust = "sure"', ["memory_bandwidth_gbs.trust"]),
    "a negative figure": ("value = 60.5", "value = -60.5", ["memory_bandwidth_gbs.value"]),
    "a figure of zero": ("value = 60.5", "value = 0", ["memory_bandwidth_gbs.value"]),
    "an infinite figure": ("value = 60.5", "value = inf", ["memory_bandwidth_gbs.value"]),
    "no number": ("value = 60.5", "value = nan", ["memory_bandwidth_gbs.value"]),
    "a figure as text": ("value = 60.5", 'value = "60.5"', ["memory_bandwidth_gbs.value"]),
    "no bandwidth": ("memory_bandwidth_gbs =", "cache_mb =", ["memory_bandwidth_gbs", "missing"]),
    "no peak of its precision": ("fp16_tflops =", "bf16_tflops =", ["fp16_tflops", "fp32, bf16"]),
    "an unknown precision": ('precision = "fp16"', 'precision = "fp12"', ["precision", "fp12"]),
    "an unknown runtime": ('"tensorrt"', '"tensor-rt"', ["runtime", "tensor-rt"]),
    "an unknown layout": ('"nhwc"', '"chwn"', ["layout", "chwn"]),
    "an empty batch": ("batch_size = 4", "batch_size = 0", ["profile.batch_size"]),
    "a name with a separator": ('"my-board"', '"../my"', ["name"]),
    "no name": ('name = "my-board"', "", ["name"]),
    "no TOML": ("[figures]", "[figures", ["board.toml", "not a TOML file"]),
    "a key twice": ('vendor = "Somebody"', 'vendor = "a"\nvendor = "b"', ["not a TOML file"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_file(tmp_path, case):
    before, after, fragments = WRONG[case]
    assert before in GOOD
    path = write(tmp_path, GOOD.replace(before, after))
    with pytest.raises(TargetError) as caught:
        read_target(path)
    message = str(caught.value)
    assert str(path) in message
    assert len(message) < 600
    for fragment in fragments:
        assert fragment in message


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary\x00", b"x" * 300_000])
def test_files_that_are_no_targets(tmp_path, content):
    path = tmp_path / "odd.toml"
    path.write_bytes(content)
    with pytest.raises(TargetError, match=r"odd\.toml"):
        read_target(path)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(TargetError, match=r"missing\.toml.*No such file"):
        read_target(tmp_path / "missing.toml")
    with pytest.raises(TargetError, match="folder"):
        resolve_target(str(tmp_path / "folder.toml"))
    (tmp_path / "is_a_folder.toml").mkdir()
    with pytest.raises(TargetError, match="is_a_folder"):
        read_target(tmp_path / "is_a_folder.toml")


def test_names_and_aliases():
    by_alias = resolve_target("a100")
    assert (by_alias.name, by_alias.device.name) == ("a100", "a100-sxm4-80gb")
    assert resolve_target("a100-sxm4-80gb").name == "a100-sxm4-80gb"
    assert resolve_target("hardware/a100-sxm4-80gb").device == by_alias.device
    assert by_alias.label == "a100-sxm4-80gb/compiled/fp16/b1/nchw"


@pytest.mark.parametrize(
    ("name", "nearest"), [("a1000", "a100"), ("pixel7", "pixel6"), ("h1000", "h100"), ("", "There are")]
)
def test_an_unknown_name_offers_the_nearest(name, nearest):
    with pytest.raises(UnknownNameError, match=nearest):
        resolve_target(name)


def test_profiles_a_device_cannot_have():
    with pytest.raises(TargetError, match=r"bf16.*bf16_tflops.*fp32, fp16, amp-fp16, int8"):
        resolve_target("t4", precision="bf16")
    with pytest.raises(TargetError, match="precision 'fp5'"):
        resolve_target("t4", precision="fp5")
    with pytest.raises(TargetError, match="runtime 'fast'"):
        resolve_target("t4", runtime="fast")
    with pytest.raises(TargetError, match="layout 'hwc'"):
        resolve_target("t4", layout="hwc")
    with pytest.raises(UsageError, match="batch size"):
        resolve_target("t4", batch_size=0)


def test_a_target_made_in_python_is_checked_too():
    device = Device("d", "cpu", "v", {"fp32_tflops": Figure(1, "s")})
    with pytest.raises(TargetError, match="memory_bandwidth_gbs"):
        resolve_target(Target("d", device, precision="fp32"))


def test_every_precision_names_a_figure():
    from nas.costs.target_file import FIGURES, PEAKS

    assert set(PEAKS) == set(PRECISIONS)
    assert set(PEAKS.values()) <= FIGURES
