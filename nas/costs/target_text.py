"""Targets as the text of a target file, with their calibration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nas.costs.calibration import Bounds, Calibration, Correction, Size, Warmth
from nas.costs.reading import Reading
from nas.costs.target import Figure

if TYPE_CHECKING:
    from nas.costs.target import Target


def target_text(target: Target) -> str:
    """The target as the text of a target file, which `nas.costs.read_target` reads back."""
    lines = [*_target(target)]
    if target.calibration is not None:
        lines += _calibration(target.calibration)
    return "\n".join(lines) + "\n"


def _target(target: Target) -> Iterator[str]:
    device = target.device
    yield f"name = {quoted(device.name)}"
    yield f"aliases = [{', '.join(map(quoted, device.aliases))}]"
    yield f"class = {quoted(device.device_class)}"
    yield f"vendor = {quoted(device.vendor)}"
    if device.architecture:
        yield f"architecture = {quoted(device.architecture)}"
    yield "\n[profile]"
    yield f"precision = {quoted(target.precision)}"
    yield f"runtime = {quoted(target.runtime)}"
    yield f"batch_size = {target.batch_size}"
    yield f"layout = {quoted(target.layout)}"
    yield "\n[figures]"
    yield from _figures(device.figures)


def _figures(figures: Mapping[str, Figure]) -> Iterator[str]:
    for name, figure in figures.items():
        content = f"value = {float(figure.value)!r}, source = {quoted(figure.source)}"
        yield f"{name} = {{ {content}, trust = {quoted(figure.trust)} }}"


def _calibration(calibration: Calibration) -> Iterator[str]:
    yield "\n[calibration]"
    for name in ("tier", "model", "source"):
        yield f"{name} = {quoted(getattr(calibration, name))}"
    for name in ("scale", "low", "high"):
        yield f"{name} = {float(getattr(calibration, name))!r}"
    for name in ("reference", "warmth"):
        if (numbers := getattr(calibration, name)) is not None:
            yield f"{name} = {_numbers(numbers)}"
    yield from (f"bounds.{kind} = {_numbers(bounds)}" for kind, bounds in calibration.bounds.items())
    if calibration.conditions:
        yield "\n[calibration.conditions]"
        yield from (f"{name} = {quoted(value)}" for name, value in calibration.conditions.items())
    if calibration.figures:
        yield "\n[calibration.figures]"
        yield from _figures(calibration.figures)
    for kind, correction in calibration.corrections.items():
        yield f"\n[calibration.corrections.{kind if kind.isidentifier() else quoted(kind)}]"
        yield from _correction(correction)


def _correction(correction: Correction) -> Iterator[str]:
    yield f"kernels = {correction.kernels}"
    for name in ("scale", "smallest", "largest", "reach", "added_ms"):
        yield f"{name} = {number(getattr(correction, name))}"
    for name, factor in correction.names.items():
        yield f"names.{quoted(name)} = {number(factor)}"
    for name, size in correction.sizes.items():
        yield f"sizes.{name} = {_numbers(size)}"
    if correction.points:
        yield "points = ["
        yield from (f"  [{', '.join(map(number, (*p.place, p.pull)))}]," for p in correction.points)
        yield "]"


def _numbers(entry: Size | Reading | Warmth | Bounds) -> str:
    """What holds nothing but numbers, in one line."""
    fields = (f"{field.name} = {number(getattr(entry, field.name))}" for field in dataclasses.fields(entry))
    return f"{{ {', '.join(fields)} }}"


def number(value: float) -> str:
    """A number as a TOML float, to the digit."""
    return repr(float(value))


def quoted(text: str) -> str:
    """A text as a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
