"""Whether a search beats its baseline, said plainly."""

from __future__ import annotations

from dataclasses import dataclass

from nas.search.comparison import Comparison, Spread


@dataclass(frozen=True)
class Verdict:
    """A group against its baseline at the number of trials that both have spent; gaps are shares.

    `seeds` is how many runs the group and its baseline have.
    """

    group: str
    baseline: str
    trials: int
    gap: Spread
    baseline_gap: Spread
    seeds: tuple[int, int]

    @property
    def beats(self) -> bool:
        """Whether the median gap is the smaller one; an equal gap beats nothing."""
        return self.gap.median < self.baseline_gap.median - 1e-12

    @property
    def overlaps(self) -> bool:
        """Whether the ranges over the seeds meet."""
        return self.gap.low <= self.baseline_gap.high and self.baseline_gap.low <= self.gap.high

    @property
    def text(self) -> str:
        """One sentence: who beats whom, when, by how much, and how sure that is."""
        verb = "beats" if self.beats else "does not beat"
        return (
            f"{self.group} {verb} {self.baseline} at {_trials(self.trials)}: gap {percent(self.gap.median)}"
            f" against {percent(self.baseline_gap.median)} ({self._certainty})"
        )

    @property
    def _certainty(self) -> str:
        if min(self.seeds) == 1:
            return "one seed: may be chance"
        seeds = (
            f"{self.seeds[0]} seeds"
            if len(set(self.seeds)) == 1
            else f"{self.seeds[0]} and {self.seeds[1]} seeds"
        )
        return f"medians of {seeds}" + ("; their spreads overlap" if self.overlaps else "")


def judge(comparison: Comparison, group: str, baseline: str) -> Verdict | None:
    """The verdict about two groups; None where one of them has spent no trial."""
    mine, other = comparison.group(group), comparison.group(baseline)
    trials = min(mine.trials, other.trials)
    gap, baseline_gap = mine.gap(trials), other.gap(trials)
    if trials == 0 or gap is None or baseline_gap is None:
        return None
    return Verdict(group, baseline, trials, gap, baseline_gap, (len(mine.runs), len(other.runs)))


def _trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number:,} trials"


def percent(share: float) -> str:
    """A share in percent; more digits where it is small.

    >>> percent(0.1234), percent(0.00123), percent(0.0)
    ('12.3 %', '0.12 %', '0 %')
    """
    if abs(share) < 1e-9:
        return "0 %"
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{100 * share:.2f} %"
