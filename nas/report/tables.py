"""The tables of the page: the front, all trials in pages, the failures by their error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.report.content import NETWORKS, StudyContent
from nas.report.describe import describe
from nas.report.text import clean, count, duration, first_line, milliseconds, three_digits
from nas.report.units import quantity

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.search.study import StudySpec
    from nas.store import TrialRecord

PAGE, MOST_FAILURES, NUMBERS_SHOWN = 100, 50, 12


@dataclass(frozen=True)
class Cell:
    """One cell; `detail` is the smaller print below it."""

    text: str
    detail: str = ""


@dataclass(frozen=True)
class FrontRow:
    """One member of the front; `has_card` says that its network is drawn below."""

    number: int
    cells: tuple[Cell, ...]
    summary: str
    has_card: bool


@dataclass(frozen=True)
class FrontTable:
    """The front: headings of the number columns, and the rows."""

    columns: tuple[str, ...]
    rows: tuple[FrontRow, ...]


@dataclass(frozen=True)
class TrialRow:
    """One trial of any state; `note` is the network, or what went wrong."""

    number: int
    state: str
    cells: tuple[str, ...]
    seconds: str
    note: str
    is_front: bool


@dataclass(frozen=True)
class TrialPage:
    """A page of the table of trials."""

    first: int
    last: int
    columns: tuple[str, ...]
    rows: tuple[TrialRow, ...]
    is_open: bool


@dataclass(frozen=True)
class Failure:
    """One error and the trials it ended."""

    error: str
    trials: int
    numbers: str


def front_table(content: StudyContent) -> FrontTable:
    """The members of the front: objectives, latency on each target with its interval, params and MACs."""
    spec = content.spec
    names = target_names(spec)
    plain = [
        o.name
        for o in spec.objectives
        if not o.name.startswith("latency") and o.name not in ("params", "macs")
    ]
    if "accuracy" not in plain and any("accuracy" in t.metrics for t in content.front_records(1)):
        plain = ["accuracy", *plain]
    columns = [content.quantity(name).heading for name in plain]
    columns += [f"latency on {clean(name, 40)}" for name in names.values()] + ["params", "MACs"]
    if content.fronts:
        columns = ["front of", *columns]
    cards = {trial.number for trial in content.front_records(NETWORKS)}
    rows = []
    for trial in content.front_records():
        costs = {cost.target: cost for cost in trial.costs}
        cells = [_fronts_of(content, trial.number)] if content.fronts else []
        cells += [_mean(trial, name) for name in plain]
        cells += [_latency(costs.get(label)) for label in names]
        any_cost = trial.costs[0] if trial.costs else None
        cells += (
            [Cell(count(any_cost.params)), Cell(count(any_cost.macs))] if any_cost else [Cell("–"), Cell("–")]
        )
        rows.append(FrontRow(trial.number, tuple(cells), describe(trial.architecture), trial.number in cards))
    return FrontTable(tuple(columns), tuple(rows))


def target_names(spec: StudySpec) -> Mapping[str, str]:
    """The label of each target of a study → its name, as costs are stored by label."""
    return dict(zip(spec.target_labels, spec.target_names, strict=False))


def _fronts_of(content: StudyContent, number: int) -> Cell:
    """The targets on whose front a trial stands; none where it is a compromise between them."""
    names = [target for target, own in content.fronts.items() if number in content.numbers[own]]
    return Cell(clean(", ".join(names), 120) or "–")


def _metric(metrics: Mapping[str, float], name: str) -> Cell:
    return Cell(quantity(name).shown(metrics[name])) if name in metrics else Cell("–")


def _mean(trial: TrialRecord, name: str) -> Cell:
    """A metric of a member of the front; with its standard error where it is a mean of several runs."""
    error = trial.standard_error.get(name)
    if error is None:
        return _metric(trial.metrics, name)
    return Cell(quantity(name).with_error(trial.metrics[name], error), f"mean of {trial.runs} runs")


def _latency(cost: Cost | None) -> Cell:
    if cost is None:
        return Cell("–")
    interval = f"{three_digits(cost.low_ms)}–{three_digits(cost.high_ms)} ms, {cost.kind} {cost.tier}"
    return Cell(milliseconds(cost.latency_ms), clean(interval, 80))


def trial_pages(content: StudyContent) -> tuple[TrialPage, ...]:
    """All trials that were read, `PAGE` to a page; the first page is open."""
    names = [o.name for o in content.spec.objectives]
    columns = tuple(content.quantity(name).heading for name in names)
    on_front = set(map(int, content.numbers[content.front]))
    trials = [content.records[number] for number in content.rows if number in content.records]
    pages = []
    for begin in range(0, len(trials), PAGE):
        part = trials[begin : begin + PAGE]
        rows = tuple(_trial_row(trial, names, trial.number in on_front) for trial in part)
        pages.append(TrialPage(part[0].number, part[-1].number, columns, rows, begin == 0))
    return tuple(pages)


def _trial_row(trial: TrialRecord, names: Sequence[str], is_front: bool) -> TrialRow:
    return TrialRow(
        number=trial.number,
        state=str(trial.state),
        cells=tuple(_metric(trial.metrics, name).text for name in names),
        seconds=duration(trial.seconds) if trial.seconds is not None else "–",
        note=first_line(trial.error) if trial.error else describe(trial.architecture),
        is_front=is_front,
    )


def failures(trials: Sequence[TrialRecord]) -> tuple[Failure, ...]:
    """The errors, the most frequent first, each with the trials it ended."""
    by_error: dict[str, list[int]] = {}
    for trial in trials:
        error = first_line(trial.error or "", 400) or f"{trial.state} without an error text"
        by_error.setdefault(error, []).append(trial.number)
    ordered = sorted(by_error.items(), key=lambda item: (-len(item[1]), item[1][0]))
    return tuple(
        Failure(error, len(numbers), _numbers(numbers)) for error, numbers in ordered[:MOST_FAILURES]
    )


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(f"#{number}" for number in numbers[:NUMBERS_SHOWN])
    return shown + (", …" if len(numbers) > NUMBERS_SHOWN else "")
