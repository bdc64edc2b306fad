"""A roofline: the operators of a network under what a target's datasheet allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.report.axis import Axis, Tick
from nas.report.text import clean, milliseconds, three_digits

if TYPE_CHECKING:
    from nas.costs.cost import Cost, OperatorCost
    from nas.costs.speed import Speed
    from nas.costs.target import Target
    from nas.report.breakdown import Breakdown

LEFT, RIGHT, TOP, BOTTOM = 62, 20, 18, 48
NUMBERED, MOST_DOTS = 5, 400
LEAST_INTENSITY, MOST_INTENSITY = 1e-2, 1e5
DEPTH = 1e-6
"""Operators slower than this share of the peak stand on the lower edge of the picture."""
LEAST_SHARE = 0.005
"""What holds less of the time is not worth a word."""
LEAST_RADIUS, LARGEST_RADIUS = 2.5, 44.0


@dataclass(frozen=True)
class Kernel:
    """Operators that are alike: how many, their milliseconds together, and where the slowest stands.

    `intensity` is in operations per byte, `speed` in operations per millisecond.
    """

    name: str
    module: str
    bound: str
    intensity: float
    speed: float
    latency_ms: float
    number: int


@dataclass(frozen=True)
class Dot:
    """Alike operators placed in pixels; `mark` is the number of the slowest ones, empty for the others."""

    x: float
    y: float
    radius: float
    bound: str
    text: str
    mark: str = ""


@dataclass(frozen=True)
class Roof:
    """One bound of the target: its line, and its name at the right end or on the slope."""

    path: str
    label: str
    x: float
    y: float
    anchor: str
    is_dashed: bool = False
    turn: float = 0.0


@dataclass(frozen=True)
class RooflinePicture:
    """All that the template draws."""

    width: int
    height: int
    x_axis: Axis
    y_axis: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    roofs: tuple[Roof, ...]
    dots: tuple[Dot, ...]
    whole: Dot | None
    title: str


@dataclass(frozen=True)
class Roofline:
    """A network on one target: the picture for wide and narrow screens, and what to read from it.

    `shares` says what part of the time each bound holds, `slowest` names the numbered dots; `note` says what
    is not drawn.
    """

    target: str
    cost: Cost
    wide: RooflinePicture
    narrow: RooflinePicture
    shares: tuple[tuple[str, float], ...]
    slowest: tuple[tuple[str, str, str], ...]
    summary: str
    note: str = ""


def study_rooflines(
    targets: Sequence[Target | Breakdown], breakdowns: Sequence[Breakdown]
) -> tuple[Roofline, ...]:
    """The rooflines of one network on the targets of its study; one that has no cost any more has none."""
    from nas.costs.target import Target

    return tuple(
        roofline(target, part.cost)
        for target, part in zip(targets, breakdowns, strict=False)
        if isinstance(target, Target) and part.cost is not None and part.cost.operators
    )


def roofline(target: Target, cost: Cost) -> Roofline:
    """The roofline of a cost that has its operators, on its target."""
    from nas.costs.speed import speed_of
    from nas.report.breakdown import summarise

    speed = speed_of(target)
    kernels = kernels_of(cost.operators)
    total = sum(operator.latency_ms for operator in cost.operators)
    pictures = [
        roofline_picture(target, speed, cost, kernels, width=width, height=height)
        for width, height in ((760, 440), (360, 360))
    ]
    return Roofline(
        target=clean(cost.target, 120),
        cost=cost,
        wide=pictures[0],
        narrow=pictures[1],
        shares=summarise(target.name, cost).shares,
        slowest=tuple(_slowest(kernel, total) for kernel in kernels[:NUMBERED]),
        summary=_summary(target, speed, cost),
        note=_note(cost, kernels, total),
    )


def kernels_of(operators: Sequence[OperatorCost]) -> list[Kernel]:
    """The operators that compute and move data, those at one place as one, the slowest first."""
    places: dict[tuple[object, ...], list[OperatorCost]] = {}
    for op in operators:
        if op.flops > 0 and op.bytes_moved > 0 and op.latency_ms > 0:
            place = (_step(op.flops / op.bytes_moved), _step(op.flops / op.latency_ms))
            places.setdefault((*place, op.bound), []).append(op)
    return sorted(map(_kernel, places.values()), key=lambda kernel: -kernel.latency_ms)


def _step(value: float) -> int:
    """Steps of the logarithm that a dot cannot be told from its neighbours within."""
    return round(20 * math.log10(value))


def _kernel(alike: Sequence[OperatorCost]) -> Kernel:
    """Operators that stand at one place, named by the slowest."""
    slowest = max(alike, key=lambda op: op.latency_ms)
    names = dict.fromkeys(op.name for op in sorted(alike, key=lambda op: -op.latency_ms))
    return Kernel(
        " and ".join(list(names)[:2]),
        slowest.module,
        slowest.bound,
        slowest.flops / slowest.bytes_moved,
        slowest.flops / slowest.latency_ms,
        sum(op.latency_ms for op in alike),
        len(alike),
    )


def roofline_picture(
    target: Target, speed: Speed, cost: Cost, kernels: Sequence[Kernel], *, width: int, height: int
) -> RooflinePicture:
    """Places roofs and dots; both axes are logarithmic, a dot's area is its share of the time."""
    unit, size = _unit(target, speed)
    x_axis, y_axis = _axes(speed, kernels, unit, size, width, height)
    total = sum(operator.latency_ms for operator in cost.operators) or 1.0
    largest = LARGEST_RADIUS * width / 760
    dots = [
        _dot(kernel, x_axis, y_axis, size, total, largest, str(index + 1) if index < NUMBERED else "")
        for index, kernel in enumerate(kernels[:MOST_DOTS])
    ]
    return RooflinePicture(
        width,
        height,
        x_axis,
        y_axis,
        x_axis.ticks(),
        y_axis.ticks(45),
        tuple(_roofs(target, speed, x_axis, y_axis, unit, size)),
        tuple(sorted(dots, key=lambda dot: -dot.radius)),
        _whole(cost, x_axis, y_axis, unit, size),
        clean(f"Roofline of {len(cost.operators)} operators on {cost.target}", 200),
    )


def _unit(target: Target, speed: Speed) -> tuple[str, float]:
    """The unit of speeds, and its size in operations per millisecond."""
    name = "OP/s" if target.precision == "int8" else "FLOP/s"
    return (f"T{name}", 1e9) if speed.matrix >= 1e9 else (f"G{name}", 1e6)


def _axes(
    speed: Speed, kernels: Sequence[Kernel], unit: str, size: float, width: int, height: int
) -> tuple[Axis, Axis]:
    """Axes that hold the bend of the roof and every dot, within reason."""
    intensities = [min(max(k.intensity, LEAST_INTENSITY), MOST_INTENSITY) for k in kernels]
    left, right = min([speed.ridge / 100, *intensities]), max([speed.ridge * 8, *intensities])
    lowest = min([speed.matrix / 1000, *(max(k.speed, speed.matrix * DEPTH) for k in kernels)])
    x_axis = Axis("operations per byte", left / 1.6, right * 1.6, LEFT, width - RIGHT, is_log=True)
    y_axis = Axis(
        f"speed ({unit})", lowest / size / 2, speed.matrix / size * 2.5, height - BOTTOM, TOP, is_log=True
    )
    return x_axis, y_axis


def _roofs(target: Target, speed: Speed, x_axis: Axis, y_axis: Axis, unit: str, size: float) -> list[Roof]:
    """The slope of the memory, the peak of matrix work, and below it that of everything else."""
    foot = max(x_axis.low, y_axis.low * size / speed.bandwidth)
    peaks = [(speed.matrix, target.precision, False)]
    if speed.vector < 0.95 * speed.matrix:
        peaks.append((speed.vector, "vector units", True))
    start = (x_axis.at(foot), y_axis.at(foot * speed.bandwidth / size))
    bend = (x_axis.at(speed.ridge), y_axis.at(speed.matrix / size))
    roofs = [_slope(speed, start, bend)]
    for peak, name, is_dashed in peaks:
        x, y = x_axis.at(peak / speed.bandwidth), y_axis.at(peak / size)
        label = f"{name}: {three_digits(peak / size)} {unit}"
        beside = y + 15 if is_dashed else y - 6
        roofs.append(Roof(f"M{x} {y}H{x_axis.end}", label, x_axis.end - 4, beside, "end", is_dashed))
    return roofs


def _slope(speed: Speed, start: tuple[float, float], bend: tuple[float, float]) -> Roof:
    """The line of the memory's bandwidth, its name written along it."""
    turn = math.degrees(math.atan2(bend[1] - start[1], bend[0] - start[0]))
    middle = (0.5 * (start[0] + bend[0]), 0.5 * (start[1] + bend[1]))
    label = f"memory: {three_digits(speed.bandwidth / 1e6)} GB/s"
    path = f"M{start[0]} {start[1]}L{bend[0]} {bend[1]}"
    return Roof(path, label, round(middle[0], 1), round(middle[1] - 7, 1), "middle", turn=round(turn, 1))


def _dot(
    kernel: Kernel, x_axis: Axis, y_axis: Axis, size: float, total: float, largest: float, mark: str
) -> Dot:
    share = kernel.latency_ms / total
    radius = max(LEAST_RADIUS, largest * math.sqrt(share))
    times = f" ×{kernel.number}" if kernel.number > 1 else ""
    text = (
        f"{kernel.module or 'the network'} · {kernel.name}{times}: {milliseconds(kernel.latency_ms)} "
        f"({100 * share:.1f} %), bound by {kernel.bound}, "
        f"{three_digits(kernel.intensity)} operations per byte"
    )
    at_y = y_axis.at(kernel.speed / size)
    return Dot(
        x_axis.at(kernel.intensity), at_y, round(radius, 1), _bound(kernel.bound), clean(text, 300), mark
    )


def _whole(cost: Cost, x_axis: Axis, y_axis: Axis, unit: str, size: float) -> Dot | None:
    """The network as if it were one operator; None where it has no arithmetic."""
    flops = sum(operator.flops for operator in cost.operators)
    moved = sum(operator.bytes_moved for operator in cost.operators)
    if not (flops and moved and cost.latency_ms):
        return None
    reached = flops / cost.latency_ms / size
    intensity = three_digits(flops / moved)
    text = f"the whole network: {three_digits(reached)} {unit}, {intensity} operations per byte"
    return Dot(x_axis.at(flops / moved), y_axis.at(reached), 7.0, "whole", text)


def _bound(bound: str) -> str:
    return bound if bound in ("compute", "memory", "launch") else "other"


def _slowest(kernel: Kernel, total: float) -> tuple[str, str, str]:
    """What a numbered dot is: the operator and how often, its module, the time with its share."""
    name = f"{kernel.name} ×{kernel.number}" if kernel.number > 1 else kernel.name
    time = f"{milliseconds(kernel.latency_ms)}, {100 * kernel.latency_ms / total:.1f} % of the time"
    others = "and others alike: " if kernel.number > 1 else ""
    return clean(name, 60), clean(kernel.module or "the network", 160), f"{others}{time}, {kernel.bound}"


def _summary(target: Target, speed: Speed, cost: Cost) -> str:
    """How much of the peak is in use, in a sentence."""
    unit, size = _unit(target, speed)
    flops = sum(operator.flops for operator in cost.operators)
    if not cost.latency_ms:
        return ""
    reached = flops / cost.latency_ms
    return (
        f"The network runs at {three_digits(reached / size)} {unit}, {100 * reached / speed.matrix:.1f} % of "
        f"the peak of {three_digits(speed.matrix / size)} {unit}."
    )


def _note(cost: Cost, kernels: Sequence[Kernel], total: float) -> str:
    """What the picture leaves out: operators without arithmetic or traffic have no place in it."""
    number = len(cost.operators) - sum(kernel.number for kernel in kernels)
    share = 1 - sum(kernel.latency_ms for kernel in kernels) / total if total else 0.0
    if share < LEAST_SHARE:
        return ""
    what = "operator that only moves data holds" if number == 1 else "operators that only move data hold"
    return f"{number} {what} {100 * share:.0f} % of the time, not drawn."
