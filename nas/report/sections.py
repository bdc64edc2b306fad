"""The sections of the page, ready for the template: every number written, nothing left to compute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.report.breakdown import Breakdown, breakdowns, study_targets
from nas.report.charts import Chart, front_charts, main_objective
from nas.report.content import NETWORKS, StudyContent
from nas.report.describe import describe
from nas.report.drawing import Stage, block_colours, draw
from nas.report.gaps import GapChart, study_gaps
from nas.report.progress import CoverageChart, coverage, coverage_chart
from nas.report.provenance import Fact, Installed, facts, installed
from nas.report.roofline import Roofline, study_rooflines
from nas.report.tables import Failure, FrontTable, TrialPage, failures, front_table, trial_pages
from nas.report.text import clean, duration

if TYPE_CHECKING:
    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.store import TrialRecord


@dataclass(frozen=True)
class Tile:
    """One figure at the head of the page."""

    value: str
    label: str


@dataclass(frozen=True)
class NetworkCard:
    """One network of the front: its drawing and its costs."""

    number: int
    figures: str
    summary: str
    hash: str
    stages: tuple[Stage, ...]
    choices: tuple[tuple[str, str], ...]
    breakdowns: tuple[Breakdown, ...]


@dataclass(frozen=True)
class Page:
    """Everything the template shows."""

    study: str
    space: str
    targets: tuple[str, ...]
    message: str
    tiles: tuple[Tile, ...]
    charts: tuple[Chart, ...]
    has_fronts: bool
    front: FrontTable
    front_total: int
    progress: tuple[CoverageChart, ...]
    networks: tuple[NetworkCard, ...]
    rooflines: tuple[Roofline, ...]
    roofline_of: int
    gaps: tuple[GapChart, ...]
    legend: tuple[tuple[str, int], ...]
    trials: tuple[TrialPage, ...]
    trials_shown: int
    total: int
    failures: tuple[Failure, ...]
    facts: tuple[Fact, ...]
    plugins: tuple[Installed, ...]


def build_page(content: StudyContent, registry: Registry) -> Page:
    """The page of a study; what cannot be computed any more is said where it would stand."""
    spec = content.spec
    members = content.front_records(NETWORKS)
    colours = block_colours(t.architecture.network for t in members if t.architecture.network is not None)
    steps = coverage(content.minimised)
    targets = study_targets(spec, registry) if members else []
    cards = _cards(content, members, colours, registry, targets)
    best = best_member(content, members)
    return Page(
        study=clean(spec.name),
        space=clean(spec.space, 200),
        targets=tuple(clean(label, 200) for label in spec.target_labels or spec.targets),
        message=_message(content),
        tiles=_tiles(content),
        charts=front_charts(content),
        has_fronts=bool(content.fronts),
        front=front_table(content),
        front_total=len(content.front),
        progress=_progress(steps),
        networks=cards,
        rooflines=study_rooflines(targets, cards[best].breakdowns) if cards else (),
        roofline_of=members[best].number if members else 0,
        gaps=study_gaps(content, targets),
        legend=tuple((clean(name, 40), colour) for name, colour in colours.items()),
        trials=trial_pages(content),
        trials_shown=len(content.rows),
        total=content.total,
        failures=failures(content.failures),
        facts=facts(content),
        plugins=installed(content.plugins),
    )


def _progress(steps: list[tuple[int, float]]) -> tuple[CoverageChart, ...]:
    """The step line for wide and for narrow screens; nothing where there is no line to draw."""
    if not steps:
        return ()
    return coverage_chart(steps), coverage_chart(steps, width=360, height=220)


def _message(content: StudyContent) -> str:
    """What to know where there is no front."""
    if content.total == 0:
        return f"This study has no trials yet. Run it with: nas resume {content.spec.name}"
    if len(content.numbers) == 0 and content.excluded:
        return f"None of the {content.excluded:,} finished trials keeps the constraints."
    if len(content.numbers) == 0:
        return "No trial has finished, so there is no front; the failures below say why."
    return ""


def _tiles(content: StudyContent) -> tuple[Tile, ...]:
    states, spec = content.states, content.spec
    tiles = [Tile(f"{states.get('finished', 0):,} of {spec.trials:,}", "trials finished")]
    tiles += [
        Tile(f"{states[s]:,}", s)
        for s in ("running", "queued", "stopped", "failed", "infeasible")
        if states.get(s)
    ]
    if content.excluded:
        tiles.append(Tile(f"{content.excluded:,}", "break a constraint"))
    if len(content.numbers):
        tiles.append(Tile(f"{len(content.front):,}", "on the front"))
        tiles += [
            Tile(f"{len(own):,}", f"on the front of {clean(target, 40)}")
            for target, own in content.fronts.items()
        ]
        for column, objective in enumerate(spec.objectives):
            shown = content.quantity(objective.name)
            best = float(content.minimised[:, column].min()) * objective.sign
            tiles.append(Tile(shown.shown(best), f"best {shown.heading}"))
    seconds = [trial.seconds for trial in content.records.values() if trial.seconds is not None]
    if seconds:
        tiles.append(Tile(duration(sum(seconds) / len(seconds)), "per trial"))
    return tuple(tiles)


def best_member(content: StudyContent, members: Sequence[TrialRecord]) -> int:
    """The place of the network with the best main objective among some members of the front."""
    objective = content.spec.objectives[main_objective(content.spec.objectives)]
    values = [objective.sign * trial.metrics.get(objective.name, math.inf) for trial in members]
    return values.index(min(values)) if values else 0


def _cards(
    content: StudyContent,
    members: list[TrialRecord],
    colours: Mapping[str, int],
    registry: Registry,
    targets: Sequence[Target | Breakdown],
) -> tuple[NetworkCard, ...]:
    cards = []
    for trial in members:
        network = trial.architecture.network
        names = [o.name for o in content.spec.objectives if o.name in trial.metrics]
        shown = [(content.quantity(n), trial.metrics[n], trial.standard_error.get(n)) for n in names]
        cards.append(
            NetworkCard(
                number=trial.number,
                figures=", ".join(f"{q.heading} {q.with_error(v, error)}" for q, v, error in shown),
                summary=describe(trial.architecture),
                hash=trial.architecture.hash,
                stages=() if network is None else draw(network, registry.blocks, colours),
                choices=tuple(
                    (clean(name, 80), clean(str(value), 80)) for name, value in trial.architecture.choices
                ),
                breakdowns=breakdowns(trial.architecture, targets, registry, content.spec.cost_model),
            )
        )
    return tuple(cards)
