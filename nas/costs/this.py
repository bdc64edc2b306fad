"""The target ``this``: the machine that nas runs on, as it was calibrated, or like the nearest known one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.costs.machine import Machine, cache_mb, this_machine
from nas.costs.target import Device, Figure, Target
from nas.costs.target_file import PEAKS, read_target
from nas.costs.target_text import target_text
from nas.errors import TargetError, UsageError
from nas.files import whole_file

if TYPE_CHECKING:
    from nas.plugins import Registry

NAMES: Mapping[str, str | None] = {"this": None, "this-cpu": "cpu"}
"""What a user writes → the kind of device it stands for; None for the GPU where there is one."""
FOLDER = "NAS_CALIBRATIONS"
"""The environment variable that names the folder of calibrations."""


def this_target(
    reference: str, registry: Registry, runtime: str | None = None, precision: str | None = None
) -> Target:
    """The target of this machine: its newest calibration for the runtime and precision, else the nearest
    shipped target, of which only as much counts as this machine has cores.

    Runtime and precision are eager and, on a processor, fp32, where they are None. Raises TargetError where
    nothing shipped is like it.
    """
    machine = this_machine(NAMES[reference])
    plain = uncalibrated(machine, registry)
    profile = replace(plain, runtime=runtime or plain.runtime, precision=precision or plain.precision)
    for path in calibration_files(machine):
        found = read_target(path)
        if (found.runtime, found.precision) == (profile.runtime, profile.precision):
            return replace(found, name=reference)
    return replace(plain, name=reference)


def uncalibrated(machine: Machine, registry: Registry, threads: int | None = None) -> Target:
    """The target of a machine as far as it is known without measuring: like the nearest shipped one."""
    like = nearest_target(machine, registry)
    if machine.kind == "cuda":
        return replace(like, runtime="eager")
    count = threads or machine.cores
    device = Device(
        device_name(machine, count),
        like.device.device_class,
        like.device.vendor,
        _share(like.device, count),
    )
    return Target(device.name, device, precision="fp32", runtime="eager")


def device_name(machine: Machine, threads: int) -> str:
    """The name of a processor that runs so many threads: ``amd-epyc-2-threads``."""
    return f"{machine.slug}-{threads}-thread{'s' if threads > 1 else ''}"


def nearest_target(machine: Machine, registry: Registry) -> Target:
    """The shipped target that is this machine by name, else the one with the same vector instructions."""
    targets = [registry.targets[name] for name in registry.targets]
    named = [target for target in targets if _is_named(machine, target.device)]
    if named:
        return max(named, key=lambda target: len(target.device.name))
    for target in targets:
        if machine.vectors and f"cpu-{machine.vectors}" in _names(target.device):
            return target
    for target in targets:
        if machine.kind == "cpu" and machine.vectors == "neon" and target.device.device_class == "arm-cpu":
            return target
    raise TargetError(
        f"no target is like this machine ({machine.name}): write a target file, docs/targets.md tells how"
    )


def _names(device: Device) -> tuple[str, ...]:
    return (device.name, *device.aliases)


def _is_named(machine: Machine, device: Device) -> bool:
    """Whether a word of the machine's name is a name of the device: ``NVIDIA H200`` and ``h200``."""
    if ("cpu" in device.device_class) != (machine.kind == "cpu"):
        return False
    return any(f"-{name}-" in f"-{machine.slug}-" for name in _names(device))


def _share(device: Device, threads: int) -> dict[str, Figure]:
    """The figures of a processor of which only so many cores are used."""
    figures = dict(device.figures)
    units = figures["units"].value if "units" in figures else float(threads)
    share = min(1.0, threads / units)
    for name in {*PEAKS.values(), "tdp_w", "idle_w"} & figures.keys():
        figure = figures[name]
        source = f"like {device.name}, {threads} of {units:g} cores: {figure.source}"
        figures[name] = Figure(figure.value * share, source[:500], "low")
    figures["units"] = Figure(threads, "threads that are used", "measured")
    size = cache_mb()
    if size is not None:
        figures["cache_mb"] = Figure(size, "the operating system", "high")
    return figures


def machine_of(target: Target) -> Machine:
    """The device of this machine that a target stands for; UsageError where it is another one."""
    machine = this_machine(NAMES.get(target.name))
    names = {device_name(machine, threads) for threads in range(1, machine.cores + 1)}
    if target.name in NAMES or target.device.name in names:
        return machine
    if machine.kind == "cuda" and _is_named(machine, target.device):
        return machine
    raise UsageError(
        f"target {target.name!r} cannot be measured here: this machine is {machine.name}. Measure 'this'"
    )


def calibration_folder() -> Path:
    """Where calibrations of this user are kept: $NAS_CALIBRATIONS, else the user's data folder."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "nas" / "calibrations"


def calibration_files(machine: Machine) -> Iterator[Path]:
    """The calibrations of this machine, the newest first."""
    prefix = machine.slug if machine.kind == "cpu" else f"cuda-{machine.slug}"
    found = calibration_folder().glob(f"{prefix}-*.toml")
    yield from sorted(found, key=lambda path: -path.stat().st_mtime_ns)


def keep_calibration(target: Target, machine: Machine) -> Path:
    """Writes a calibrated target where ``--target this`` finds it, and returns its path."""
    folder = calibration_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(
            f"cannot make {folder}: {error.strerror}. Name another folder by {FOLDER}, or a file by -o"
        ) from None
    prefix = "" if machine.kind == "cpu" else f"cuda-{machine.slug}-"
    path = folder / f"{prefix}{target.device.name}-{target.runtime}-{target.precision}.toml"
    write_target(target, path)
    return path


def write_target(target: Target, path: Path) -> None:
    """Writes a target file, whole or not at all."""
    with whole_file(path, TargetError) as temporary:
        temporary.write_text(target_text(target), encoding="utf-8")


def calibration_note(target: Target) -> str | None:
    """What a user is told of a target that stands for this machine and was not calibrated; else None."""
    if target.name not in NAMES or target.calibration is not None:
        return None
    return (
        f"target {target.name} is not calibrated for {target.runtime} {target.precision}: its figures are "
        f"those of the nearest shipped target; 'nas calibrate --target {target.name}' measures them"
    )
