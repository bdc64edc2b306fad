"""What is read to compare studies, and how a comparison is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.report.units import quantity
from nas.search.comparable import baseline_pairs, check_comparable, common_objectives, group_studies
from nas.search.comparison import LEVELS, Comparison, Group, Reached, Run, Spread, compare_runs
from nas.search.ledger import COUNTED
from nas.search.runs import study_means
from nas.search.study import StudySpec
from nas.search.trial import TrialState
from nas.search.verdict import Verdict, judge, percent

if TYPE_CHECKING:
    from nas.search.objective import Objective
    from nas.store import Store

COUNTS_SHOWN = 6
SPARKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class StudyComparison:
    """A comparison with what one must know to read it: warnings, and who beats a random search."""

    comparison: Comparison
    notes: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


def read_comparison(
    store: Store, specs: Sequence[StudySpec], objectives: Sequence[str] = ()
) -> StudyComparison:
    """Compares stored studies by the objectives they share, or by the named ones of those.

    A study of which no trial has ended is left out, with a note. Raises UsageError where they cannot be
    compared, or hold too little for it.
    """
    goals = common_objectives(specs, objectives)
    runs = {spec.name: read_run(store, spec, goals) for spec in specs}
    empty = [name for name, run in runs.items() if not run.trials]
    begun = [spec for spec in specs if spec.name not in empty]
    if len(begun) < 2:
        raise UsageError(f"no trial of {', '.join(empty)} has ended: nothing to compare")
    notes = (*(f"{name}: no trial has ended, left out" for name in empty), *check_comparable(begun, goals))
    groups = group_studies(begun)
    labelled = [(label, [runs[spec.name] for spec in members]) for label, members in groups]
    comparison = compare_runs(labelled, goals)
    verdicts = (judge(comparison, label, other) for label, other in baseline_pairs(groups))
    return StudyComparison(comparison, notes, tuple(verdict for verdict in verdicts if verdict))


def read_run(store: Store, spec: StudySpec, objectives: Sequence[Objective]) -> Run:
    """What the ended trials of a study gave; those that keep its constraints give values."""
    import numpy as np

    names = list(dict.fromkeys([o.name for o in objectives] + [c.name for c in spec.constraints]))
    numbers, values, runs = study_means(store, spec, names)
    finished = np.sort(np.concatenate([*runs.values()])) if runs else numbers
    allowed = np.ones(len(numbers), dtype=bool)
    for limit in spec.constraints:
        column = values[:, names.index(limit.name)]
        allowed &= np.array([limit.allows(float(value)) for value in column], dtype=bool)
    others = store.iterate_trials(spec.name, states=COUNTED - {TrialState.FINISHED})
    without = np.array([trial.number for trial in others], dtype=np.int64)
    spent = np.searchsorted(finished, numbers) + 1 + np.searchsorted(without, numbers)
    signs = np.array([objective.sign for objective in objectives])
    minimised = values[allowed][:, : len(objectives)] * signs
    return Run(spec.name, spec.seed, len(finished) + len(without), spent[allowed], minimised)


def counts_shown(comparison: Comparison) -> tuple[int, ...]:
    """A few round numbers of trials, then the one that all groups and the one that the longest has spent.

    >>> from nas.search.comparison import Group, Run
    >>> import numpy as np
    >>> run = Run("one", 0, 24, np.array([24]), np.zeros((1, 1)))
    >>> counts_shown(Comparison((), (), (), 1.0, (Group("one", (run,), ()),)))
    (5, 10, 20, 24)
    """
    ends = {comparison.common, comparison.trials} - {0}
    inside = [count for count in _round_counts() if count < max(ends, default=0) and count not in ends]
    kept = inside[-(COUNTS_SHOWN - len(ends)) :]
    return tuple(sorted({*kept, *ends}))


def _round_counts() -> list[int]:
    return [digit * 10**power for power in range(7) for digit in (1, 2, 5) if digit * 10**power >= 5]


@dataclass(frozen=True)
class Table:
    """Columns (a name that begins with ``>`` is one of numbers) and rows of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def gap_table(comparison: Comparison, counts: Sequence[int]) -> Table:
    """One row for each group: what is missing to the best front after some trials."""
    columns = ("group", ">studies", ">trials", *(f">gap at {count:,}" for count in counts))
    rows = tuple(
        (
            group.label,
            str(len(group.runs)),
            f"{group.trials:,}",
            *(gap_text(group.gap(count)) for count in counts),
        )
        for group in comparison.groups
    )
    return Table(columns, rows)


def reach_table(comparison: Comparison) -> Table:
    """One row for each group: how many trials it took to come to 90, 95 and 99 % of the best."""
    columns = ("group", *(f">trials to {100 * level:.0f} %" for level in LEVELS))
    rows = tuple(
        (group.label, *(reach_text(group.reach(level)) for level in LEVELS)) for group in comparison.groups
    )
    return Table(columns, rows)


def gap_text(gap: Spread | None) -> str:
    """``12.3 % (10.1 % to 14.0 %)``: median, smallest and largest over the seeds."""
    if gap is None:
        return "–"
    if gap.low == gap.high:
        return percent(gap.median)
    return f"{percent(gap.median)} ({percent(gap.low)} to {percent(gap.high)})"


def reach_text(reached: Reached) -> str:
    """``12 (9 to 15)``; how many of the runs came there where not all did."""
    spread = reached.trials
    if spread is None:
        return f"{reached.reached} of {reached.of} did" if reached.of > 1 else "–"
    if spread.low == spread.high:
        return f"{spread.median:,.0f}"
    return f"{spread.median:,.10g} ({spread.low:,.0f} to {spread.high:,.0f})"


def spark(group: Group, width: int = 24) -> str:
    """The share of the best hypervolume over the trials of a group, as bars from 0 to 1."""
    if not group.trials:
        return ""
    stops = [round(1 + index * (group.trials - 1) / (width - 1)) for index in range(width)]
    shares = [share.median for share in map(group.share, stops) if share is not None]
    return "".join(SPARKS[min(len(SPARKS) - 1, int(share * len(SPARKS)))] for share in shares)


def reference_text(comparison: Comparison) -> str:
    """What the hypervolume is measured by, in one sentence."""
    shown = [
        f"{quantity(objective.name).label} {quantity(objective.name).shown(value)}"
        for objective, value in zip(comparison.objectives, comparison.reference, strict=True)
    ]
    return (
        "gap: the hypervolume missing to the best front of all studies together;"
        f" reference point, the worst of all compared trials: {', '.join(shown)}"
    )
