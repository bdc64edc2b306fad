"""The quantities a study knows: their units, and how one value of each is written."""

from __future__ import annotations

from dataclasses import dataclass

from nas.costs.confidence import MEDIAN, split_quantile
from nas.report.text import clean, count, milliseconds, size, three_digits


@dataclass(frozen=True)
class Quantity:
    """An objective as people read it: `scale` times the stored number is in `unit`."""

    name: str
    label: str
    unit: str = ""
    scale: float = 1.0
    tier: str = ""

    @property
    def title(self) -> str:
        """Label, unit and tier: ``latency on a100 (ms, T0)``."""
        details = ", ".join(part for part in (self.unit, self.tier) if part)
        return f"{self.label} ({details})" if details else self.label

    @property
    def heading(self) -> str:
        """Label and tier, where the unit stands beside the number: ``latency on a100 (T0)``."""
        return f"{self.label} ({self.tier})" if self.tier else self.label

    def shown(self, value: float) -> str:
        """One stored value with its unit: ``98.14 %``, ``0.142 ms``, ``3.50 M``."""
        if self.unit == "%":
            return f"{value * self.scale:.2f} %"
        if self.unit == "ms":
            return milliseconds(value)
        if self.unit == "MB":
            return size(value)
        if self.unit.startswith("M"):
            return count(value)
        return f"{three_digits(value * self.scale)} {self.unit}".rstrip()

    def with_error(self, value: float, error: float | None) -> str:
        """A value, and its standard error where it is the mean of several runs: ``98.14 ± 0.30 %``."""
        if error is None:
            return self.shown(value)
        if self.unit == "%":
            return f"{value * self.scale:.2f} ± {error * self.scale:.2f} %"
        return f"{self.shown(value)} ± {self.shown(error)}"


_UNITS = {
    "accuracy": ("%", 100.0),
    "top5_accuracy": ("%", 100.0),
    "latency": ("ms", 1.0),
    "energy": ("mJ", 1.0),
    "peak_memory": ("MB", 1e-6),
    "bytes_moved": ("MB", 1e-6),
    "activation_bytes": ("MB", 1e-6),
    "params": ("M", 1e-6),
    "macs": ("M", 1e-6),
}


def quantity(name: str, tier: str = "") -> Quantity:
    """The quantity an objective names; one that is not known is shown as it is stored.

    `tier` says what predicted values of it rest on.

    >>> quantity("latency@a100").title
    'latency on a100 (ms)'
    """
    median, confidence = split_quantile(name)
    base, _, target = median.partition("@")
    unit, scale = _UNITS.get(base, ("", 1.0))
    words = {"macs": "MACs", "top5_accuracy": "top-5 accuracy"}.get(base, base.replace("_", " "))
    words += "" if confidence == MEDIAN else f" kept with {100 * confidence:g} %"
    label = f"{words} on {target}" if target else words
    return Quantity(name, clean(label, 60), unit, scale, tier)
