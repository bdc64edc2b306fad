"""The table ``[calibration]`` of a target file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nas.costs.calibration import SIZES, Bounds, Calibration, Correction, Point, Size, Warmth, kind_of
from nas.costs.operators import KINDS
from nas.costs.reading import Reading
from nas.costs.target import Figure
from nas.errors import nearest

Text = Annotated[str, Field(min_length=1, max_length=500)]
Positive = Annotated[float, Field(gt=0, lt=1e30, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=1e-6, lt=1e6, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=-1e3, le=1e3, allow_inf_nan=False)]
MOST_POINTS = 1000
Number = Annotated[float, Field(gt=0, lt=1e9, allow_inf_nan=False)]


class Strict(BaseModel):
    """A table in which every key is known and of its type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FigureEntry(Strict):
    """One figure: its value in the unit its key names, where it comes from, how far to trust it."""

    value: Number
    source: Text
    trust: Literal["measured", "high", "medium", "low", "assumed"] = "medium"

    @property
    def figure(self) -> Figure:
        """The figure itself."""
        return Figure(self.value, self.source, self.trust)


class SizeEntry(Strict):
    """How a factor depends on one size of a kernel."""

    centre: Weight
    width: Positive
    weight: Weight
    low: Weight
    high: Weight


class CorrectionEntry(Strict):
    """The correction of one kind of kernels."""

    kernels: Annotated[int, Field(ge=0)]
    scale: Factor
    smallest: Factor
    largest: Factor
    names: dict[str, Factor] = {}
    sizes: dict[str, SizeEntry] = {}
    points: Annotated[list[list[Weight]], Field(max_length=MOST_POINTS)] = []
    reach: Positive = 1.0
    added_ms: Annotated[float, Field(ge=0, lt=1e6, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _possible(self) -> CorrectionEntry:
        _known(self.sizes, SIZES, "size")
        if any(len(point) != len(self.sizes) + 1 for point in self.points):
            raise ValueError("a point is a number for each size, and one more")
        if not self.smallest <= self.scale <= self.largest:
            raise ValueError("scale must lie between smallest and largest")
        return self

    @property
    def correction(self) -> Correction:
        """The correction itself."""
        sizes = {name: Size(**size.model_dump()) for name, size in self.sizes.items()}
        points = tuple(Point(tuple(place), pull) for *place, pull in self.points)
        bounds = (self.smallest, self.largest)
        found = Correction(self.scale, self.kernels, *bounds, dict(self.names), sizes, points)
        return replace(found, reach=self.reach, added_ms=self.added_ms)


class ReadingEntry(Strict):
    """What the reference took."""

    product_ms: Positive
    convolution_ms: Positive


class WarmthEntry(Strict):
    """How much quicker short networks are."""

    below_ms: Positive
    power: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


Low = Annotated[float, Field(gt=0, le=1)]
High = Annotated[float, Field(ge=1, lt=1e6)]


class BoundsEntry(Strict):
    """Between which factors latencies lie."""

    low: Low
    high: High


class CalibrationEntry(Strict):
    """A whole calibration."""

    tier: Literal["T1", "T2", "T3"]
    model: Text
    source: Text
    scale: Factor = 1.0
    low: Low
    high: High
    bounds: dict[str, BoundsEntry] = {}
    corrections: dict[str, CorrectionEntry] = {}
    figures: dict[str, FigureEntry] = {}
    conditions: dict[str, str] = {}
    reference: ReadingEntry | None = None
    reference_ms: Positive | None = None  # of a reference that was replaced: it is no longer used
    warmth: WarmthEntry | None = None

    @model_validator(mode="after")
    def _possible(self) -> CalibrationEntry:
        _known(map(kind_of, (*self.corrections, *self.bounds)), KINDS, "kind of operators")
        return self

    @property
    def calibration(self) -> Calibration:
        """The calibration itself."""
        given: dict[str, Any] = {name: getattr(self, name) for name in ("tier", "model", "source")}
        return Calibration(
            **given,
            scale=self.scale,
            low=self.low,
            high=self.high,
            bounds={kind: Bounds(entry.low, entry.high) for kind, entry in self.bounds.items()},
            corrections={kind: entry.correction for kind, entry in self.corrections.items()},
            figures={name: entry.figure for name, entry in self.figures.items()},
            conditions=dict(self.conditions),
            reference=None if self.reference is None else Reading(**self.reference.model_dump()),
            warmth=None if self.warmth is None else Warmth(**self.warmth.model_dump()),
        )


def _known(names: Iterable[str], known: tuple[str, ...], what: str) -> None:
    """Raises ValueError for the first name that is none of the known ones."""
    for name in names:
        if name not in known:
            match = nearest(name, known)
            raise ValueError(f"unknown {what} {name!r}" + (f"; did you mean {match!r}?" if match else ""))
