"""What the figures of a target are worth: whether they were measured, checked or guessed."""

from __future__ import annotations

from collections.abc import Mapping

from nas.costs.target import Figure, Target

TRUSTS = ("measured", "high", "medium", "low", "assumed")
"""From a figure measured on the device itself to one that is only assumed."""
UNSURE = frozenset({"low", "assumed"})
DATASHEET = "T0"


def tier_of(target: Target) -> str:
    """What predictions for a target rest on: the tier of its calibration, or T0, its datasheet alone."""
    return DATASHEET if target.calibration is None else target.calibration.tier


def profile_figures(target: Target) -> Mapping[str, Figure]:
    """The figures that a prediction for this profile can rest on: without the peaks of other precisions.

    The dispatch of an operator on the host counts in eager mode only, the peak of fp32 always: whatever is no
    matrix product runs at it.
    """
    from nas.costs.target_file import FIGURES, PEAKS

    peaks = {name for name in FIGURES if name.endswith(("_tflops", "_tops"))}
    left_out = peaks - {PEAKS[target.precision], PEAKS["fp32"]}
    if target.runtime != "eager":
        left_out.add("eager_operator_us")
    return {name: figure for name, figure in target.figures.items() if name not in left_out}


def trust_counts(figures: Mapping[str, Figure]) -> dict[str, int]:
    """How many figures deserve which trust, the best first; levels that none has are left out.

    >>> trust_counts({"tdp_w": Figure(400, "datasheet", "high"), "idle_w": Figure(50, "guess", "low")})
    {'high': 1, 'low': 1}
    """
    trusts = [figure.trust for figure in figures.values()]
    return {trust: trusts.count(trust) for trust in TRUSTS if trust in trusts}


def unsure_figures(figures: Mapping[str, Figure]) -> tuple[str, ...]:
    """The names of the figures that deserve little trust."""
    return tuple(name for name, figure in figures.items() if figure.trust in UNSURE)


def trust_text(target: Target) -> str:
    """The trust of a profile's figures in one line: ``12 high, 1 low trust; unsure: idle_w``."""
    figures = profile_figures(target)
    counts = ", ".join(f"{number} {trust}" for trust, number in trust_counts(figures).items())
    unsure = unsure_figures(figures)
    shown = "all of them" if len(unsure) == len(figures) else ", ".join(unsure)
    return f"{counts} trust" + (f"; unsure: {shown}" if unsure else "")
