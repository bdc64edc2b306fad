"""Target files: a device's datasheet figures in TOML, each with its source."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from nas.costs.calibration_file import CalibrationEntry, FigureEntry, Strict, Text
from nas.costs.target import LAYOUTS, PRECISIONS, RUNTIMES, Device, Target
from nas.errors import TargetError, nearest

SIZE_LIMIT = 2_000_000
LARGEST_BATCH = 1_000_000
PEAKS = {
    "fp32": "fp32_tflops",
    "tf32": "tf32_tflops",
    "fp16": "fp16_tflops",
    "bf16": "bf16_tflops",
    "amp-fp16": "fp16_tflops",
    "int8": "int8_tops",
}
"""The figure that holds the peak of a precision."""
FIGURES = frozenset(PEAKS.values()) | {
    "fp8_tflops",
    "memory_bandwidth_gbs",
    "cache_mb",
    "units",
    "lanes_per_unit",
    "clock_mhz",
    "base_clock_mhz",
    "tdp_w",
    "idle_w",
    "memory_gb",
    "launch_floor_us",
    "eager_operator_us",
    "eager_norm_channel_us",
}

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class ProfileEntry(Strict):
    """The profile a target's bare name stands for."""

    precision: str = "fp32"
    runtime: str = "compiled"
    batch_size: Annotated[int, Field(ge=1, le=LARGEST_BATCH)] = 1
    layout: str = "nchw"


class TargetEntry(Strict):
    """A whole target file."""

    name: Name
    aliases: list[Name] = Field(default_factory=list)
    device_class: Text = Field(default="other", alias="class")
    vendor: Text = "unknown"
    architecture: str = ""
    notes: str = ""
    profile: ProfileEntry = ProfileEntry()
    figures: dict[str, FigureEntry]
    calibration: CalibrationEntry | None = None


def read_target(path: str | Path) -> Target:
    """The target a TOML file describes; TargetError names the file and the key of every mistake."""
    path = Path(path)
    try:
        entry = TargetEntry.model_validate(_read_toml(path))
    except ValidationError as error:
        raise TargetError(f"{path}: {'; '.join(_explain(item) for item in error.errors()[:5])}") from None
    measured = entry.calibration.figures if entry.calibration else {}
    for name in (*entry.figures, *measured):
        if name not in FIGURES:
            match = nearest(name, FIGURES)
            raise TargetError(
                f"{path}: unknown figure {name!r}" + (f"; did you mean {match!r}?" if match else "")
            )
    figures = {name: figure.figure for name, figure in entry.figures.items()}
    aliases = tuple(entry.aliases)
    device = Device(entry.name, entry.device_class, entry.vendor, figures, aliases, entry.architecture)
    calibration = entry.calibration.calibration if entry.calibration else None
    target = Target(entry.name, device, **entry.profile.model_dump(), calibration=calibration)
    return check_target(target, str(path))


def check_target(target: Target, where: str | None = None) -> Target:
    """The target itself where its profile can be priced; else a TargetError that says what there is."""
    prefix = f"{where}: " if where else f"target {target.name!r}: "
    for value, known, what in (
        (target.precision, PRECISIONS, "precision"),
        (target.runtime, RUNTIMES, "runtime"),
        (target.layout, LAYOUTS, "layout"),
    ):
        if value not in known:
            raise TargetError(f"{prefix}unknown {what} {value!r}; known: {', '.join(known)}")
    if not isinstance(target.batch_size, int) or not 1 <= target.batch_size <= LARGEST_BATCH:
        raise TargetError(
            f"{prefix}the batch size must be an integer from 1 to {LARGEST_BATCH:,}, "
            f"not {target.batch_size!r}"
        )
    figures = target.figures
    if "memory_bandwidth_gbs" not in figures:
        raise TargetError(f"{prefix}the figure 'memory_bandwidth_gbs' is missing")
    if PEAKS[target.precision] not in figures:
        have = [name for name, figure in PEAKS.items() if figure in figures]
        choices = f"it has figures for {', '.join(have)}" if have else "no peak is given at all"
        raise TargetError(f"{prefix}no peak for {target.precision} ({PEAKS[target.precision]}); {choices}")
    return target


def _read_toml(path: Path) -> dict[str, Any]:
    if "\0" in str(path):
        raise TargetError(f"{str(path)!r:.200}: a file name holds no NUL")
    try:
        with path.open("rb") as file:  # a device or a pipe does not say how large it is
            content = file.read(SIZE_LIMIT + 1)
        if len(content) > SIZE_LIMIT:
            raise TargetError(
                f"{path}: larger than {SIZE_LIMIT:,} bytes; a target file is some pages of TOML"
            )
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror or error}") from None
    except RecursionError:
        raise TargetError(f"{path}: not a target file: nested too deeply") from None
    except ValueError as error:  # no UTF-8, no TOML, or a number of thousands of digits
        raise TargetError(f"{path}: not a TOML file: {error}") from None


def _explain(item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        match = nearest(key, [*TargetEntry.model_fields, "class"])
        return f"unknown key {key!r}" + (f" (did you mean {match!r}?)" if match else "")
    return f"{key}: {item['msg']}"
