"""The target `this`: which shipped target a machine is like, and its calibrations."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from nas.costs import machine as machine_room
from nas.costs import resolve_target
from nas.costs.calibration import Calibration
from nas.costs.machine import Machine, this_machine
from nas.costs.this import (
    calibration_note,
    device_name,
    keep_calibration,
    nearest_target,
    uncalibrated,
)
from nas.errors import TargetError
from nas.plugins import default_registry

INTEL = """processor : 0
model name : Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz
flags : fpu avx2 avx512f

processor : 1
model name : another
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_CALIBRATIONS", str(tmp_path / "calibrations"))
    return tmp_path / "calibrations"


def test_the_processor_is_read(tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text(INTEL, encoding="utf-8")
    monkeypatch.setattr(machine_room, "CPUINFO", path)
    found = this_machine("cpu")
    assert (found.kind, found.vectors) == ("cpu", "avx512")
    assert found.slug == "intel-core-i9-10940x"
    assert found.cores == len(os.sched_getaffinity(0))


def test_a_machine_that_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_room, "CPUINFO", tmp_path / "missing")
    assert this_machine("cpu").slug


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (Machine("cpu", "Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz", "avx512", 14), "i9-10940x"),
        (Machine("cpu", "AMD EPYC 7742 64-Core Processor", "avx2", 64), "epyc-7742"),
        (Machine("cpu", "AMD EPYC", "avx512", 2), "cpu-avx512"),
        (Machine("cpu", "something", "avx2", 2), "cpu-avx2"),
        (Machine("cuda", "NVIDIA H200"), "h200-sxm"),
        (Machine("cuda", "NVIDIA A100-SXM4-80GB"), "a100-sxm4-80gb"),
        (Machine("cuda", "Tesla T4"), "t4"),
    ],
)
def test_the_nearest_target(found, name):
    assert nearest_target(found, default_registry()).device.name == name


def test_an_unknown_machine_is_refused():
    with pytest.raises(TargetError, match="write a target file"):
        nearest_target(Machine("cpu", "riscv thing", "", 4), default_registry())


def test_only_the_cores_that_are_used_count():
    registry = default_registry()
    one = uncalibrated(Machine("cpu", "AMD EPYC", "avx512", 4), registry, threads=1)
    four = uncalibrated(Machine("cpu", "AMD EPYC", "avx512", 4), registry)
    assert four.figures["fp32_tflops"].value == pytest.approx(4 * one.figures["fp32_tflops"].value)
    assert (one.figures["units"].value, four.figures["units"].value) == (1, 4)
    assert one.figures["fp32_tflops"].trust == "low"
    assert (one.label, four.runtime) == ("amd-epyc-1-thread/eager/fp32/b1/nchw", "eager")


def test_this_finds_its_newest_calibration(folder):
    registry = default_registry()
    machine = this_machine("cpu")
    plain = resolve_target("this-cpu")
    assert plain.calibration is None
    note = calibration_note(plain)
    assert note is not None and "nas calibrate --target this-cpu" in note
    for number, threads in enumerate((1, 2)):
        target = uncalibrated(machine, registry, threads)
        calibrated = replace(target, calibration=Calibration("T2", "roofline", f"number {number}"))
        path = keep_calibration(calibrated, machine)
        os.utime(path, (number + 1, number + 1))
    found = resolve_target("this-cpu")
    assert (found.name, found.device.name) == ("this-cpu", device_name(machine, 2))
    assert found.calibration is not None and found.calibration.source == "number 1"
    assert calibration_note(found) is None
    assert resolve_target("this-cpu", runtime="compiled").calibration is None


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAS_CALIBRATIONS", str(tmp_path / "file" / "below"))
    machine = this_machine("cpu")
    with pytest.raises(TargetError, match="NAS_CALIBRATIONS"):
        keep_calibration(uncalibrated(machine, default_registry()), machine)
