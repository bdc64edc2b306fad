"""Studies of a store side by side: which of them, by what, and where the picture goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UsageError
from nas.report.compare_page import FORMATS
from nas.report.comparison import StudyComparison, read_comparison
from nas.search.comparison import LEVELS, Comparison, Group, Spread
from nas.search.study import StudySpec

if TYPE_CHECKING:
    from nas.search.verdict import Verdict
    from nas.store import Store


def compare_studies(store: Store, names: Sequence[str], objectives: Sequence[str] = ()) -> StudyComparison:
    """Compares studies by their hypervolume; a single one is compared with its baseline.

    Raises UnknownNameError for a study the store does not hold, UsageError where they cannot be compared.
    """
    specs = [StudySpec.from_json(store.study(name).spec) for name in names]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"study {name!r} is given twice")
    if len(specs) == 1 and specs[0].baseline:
        specs.append(StudySpec.from_json(store.study(specs[0].baseline_name).spec))
    if len(specs) < 2:
        raise UsageError(
            f"{' '.join(names) or 'nothing'}: a comparison takes two studies or more, or one that was"
            " searched with --baseline"
        )
    return read_comparison(store, specs, objectives)


def check_output(path: Path | None) -> None:
    """Raises UsageError, before any work, for a file that is neither a picture nor a page."""
    if path is not None and path.suffix not in FORMATS:
        raise UsageError(f"--output {path}: the name ends in {' or '.join(FORMATS)}")


def comparison_json(compared: StudyComparison, counts: Sequence[int]) -> dict[str, Any]:
    """The comparison as the documented JSON object; gaps and shares are between 0 and 1."""
    comparison = compared.comparison
    names = [objective.name for objective in comparison.objectives]
    return {
        "objectives": {o.name: o.direction for o in comparison.objectives},
        "reference": dict(zip(names, comparison.reference, strict=True)),
        "ideal": dict(zip(names, comparison.ideal, strict=True)),
        "best_hypervolume": comparison.best,
        "groups": [_group_json(comparison, group, counts) for group in comparison.groups],
        "verdicts": [_verdict_json(verdict) for verdict in compared.verdicts],
        "notes": list(compared.notes),
    }


def _group_json(comparison: Comparison, group: Group, counts: Sequence[int]) -> dict[str, Any]:
    reached = [group.reach(level) for level in LEVELS]
    return {
        "label": group.label,
        "studies": [{"study": run.study, "seed": run.seed, "trials": run.trials} for run in group.runs],
        "trials": group.trials,
        "gaps": [{"trials": count, "gap": _spread_json(group.gap(count))} for count in counts],
        "trials_to": [
            {"share": r.level, "reached": r.reached, "of": r.of, "trials": _spread_json(r.trials)}
            for r in reached
        ],
        "curve": [_spread_json(group.share(count)) for count in range(group.trials + 1)],
    }


def _spread_json(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else {"median": spread.median, "min": spread.low, "max": spread.high}


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "group": verdict.group,
        "baseline": verdict.baseline,
        "trials": verdict.trials,
        "beats": verdict.beats,
        "gap": _spread_json(verdict.gap),
        "baseline_gap": _spread_json(verdict.baseline_gap),
        "text": verdict.text,
    }
