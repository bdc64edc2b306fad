"""What a user sees while a search runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import click

from nas.cli.output import duration, milliseconds
from nas.costs.confidence import cost_of

if TYPE_CHECKING:
    from nas.search.events import LoopEvent
    from nas.search.study import StudySpec
    from nas.search.trial import TrialResult


class Progress(Protocol):
    """Shows events; entered and left round a run."""

    def hear(self, event: LoopEvent) -> None:
        """Takes one event of the study loop."""
        ...

    def __enter__(self) -> Progress: ...

    def __exit__(self, *details: Any) -> None: ...


def make_progress(
    spec: StudySpec, *, slots: int, quiet: bool, tiers: Mapping[str, str] | None = None
) -> Progress:
    """A live display on a terminal, one line per trial elsewhere, only warnings where `quiet`.

    `tiers` says what the costs on each target rest on, by its name.
    """
    tiers = tiers or {}
    if not quiet:
        budget = f"{spec.trials} trials of {_epochs(spec)} on {spec.data}"
        click.echo(f"study {spec.name}: {budget}, {slots} at a time")
        for name, label in zip(spec.target_names, spec.target_labels, strict=True):
            click.echo(f"target {name}: {label}" + (f", predicted {tiers[name]}" if name in tiers else ""))
    if quiet:
        return Lines(spec, tiers, quiet=True)
    return Live(spec, tiers) if sys.stdout.isatty() else Lines(spec, tiers)


def _epochs(spec: StudySpec) -> str:
    """``27 epochs``, or ``27 epochs with rungs after 3 and 9``."""
    from nas.search.rungs import rung_steps

    pauses = [str(step) for step in rung_steps(spec.epochs, spec.rungs)[:-1]]
    *first, last = pauses or [""]
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"{spec.epochs} epochs" + (f" with rungs after {listed}" if pauses else "")


class Tally:
    """Counts ended trials and knows how long the rest will take."""

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self.ended = 0
        self.begun_with = 0
        self.by_number: dict[int, TrialResult] = {}
        self._begin = time.monotonic()

    def add(self, result: TrialResult) -> None:
        """Takes one more ended trial."""
        self.ended += 1
        self.by_number[result.number] = result

    def go_on(self, number: int) -> None:
        """Takes a stopped trial that goes on, and will end again."""
        if self.by_number.pop(number, None) is None:
            self.begun_with -= 1
        else:
            self.ended -= 1

    @property
    def results(self) -> list[TrialResult]:
        """The architectures whose trials ended in this run, each with the means of its runs."""
        from nas.search.runs import mean_results

        return mean_results(self.by_number.values(), ())

    @property
    def done(self) -> int:
        """Ended trials, those of earlier runs included."""
        return self.begun_with + self.ended

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begin

    def pace(self) -> str:
        """Trials a minute, and the time that is left at that pace."""
        if not self.ended:
            return "first trials running"
        left = (self.spec.trials - self.done) * self.seconds / self.ended
        return f"{60 * self.ended / self.seconds:.1f} trials/min, {duration(left)} left"


class Lines(AbstractContextManager["Lines"]):
    """One line per ended trial: for logs, pipes and dumb terminals."""

    def __init__(self, spec: StudySpec, tiers: Mapping[str, str], *, quiet: bool = False) -> None:
        self._tally = Tally(spec)
        self._tiers = tiers
        self._quiet = quiet

    def hear(self, event: LoopEvent) -> None:
        """Prints a line for an ended trial and for a warning."""
        from nas.search.events import Notice, Resumed, TrialEnded, TrialPromoted

        if isinstance(event, Resumed):
            self._tally.begun_with = event.finished
            if event.finished and not self._quiet:
                click.echo(
                    f"{event.finished} trials are done already; {event.requeued} go on where they stopped"
                )
        elif isinstance(event, TrialEnded):
            self._tally.add(event.result)
            if not self._quiet:
                tally = self._tally
                shown = self._line(event.result, event.error, tally.spec.epochs)
                click.echo(f"[{tally.done}/{tally.spec.trials}] {shown}; {tally.pace()}")
        elif isinstance(event, TrialPromoted):
            self._tally.go_on(event.number)
        elif isinstance(event, Notice):
            click.echo(f"note: {event.text}", err=True)

    def _line(self, result: TrialResult, error: str | None = None, epochs: int = 0) -> str:
        from nas.report.tiers import tier_of

        targets = self._tally.spec.target_names
        tiers = {name: tier_of(name, targets, self._tiers) for name in result.values}
        return line(result, error, epochs, tiers)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Live(Lines):
    """A bar with the running trials and the current front, redrawn in place."""

    def __init__(self, spec: StudySpec, tiers: Mapping[str, str]) -> None:
        super().__init__(spec, tiers)
        from rich.live import Live as RichLive

        self._running: dict[int, str] = {}
        self._live = RichLive(get_renderable=self._picture, refresh_per_second=4, transient=True)

    def hear(self, event: LoopEvent) -> None:
        """Keeps what the picture shows up to date."""
        from nas.search.events import Notice, Resumed, StepDone, TrialEnded, TrialPromoted, TrialStarted

        if isinstance(event, Resumed):
            self._tally.begun_with = event.finished
        elif isinstance(event, TrialStarted):
            self._running[event.number] = "starting"
        elif isinstance(event, StepDone):
            shown = ", ".join(f"{k} {v:.3f}" for k, v in event.metrics.items() if k in ("accuracy", "loss"))
            self._running[event.number] = f"epoch {event.step} of {self._tally.spec.epochs}, {shown}"
        elif isinstance(event, TrialEnded):
            self._running.pop(event.result.number, None)
            self._tally.add(event.result)
            if event.error:
                self._live.console.print(
                    f"#{event.result.number} failed: {event.error.splitlines()[0]}", markup=False
                )
        elif isinstance(event, TrialPromoted):
            self._tally.go_on(event.number)
        elif isinstance(event, Notice):
            self._live.console.print(f"note: {event.text}", markup=False)

    def __enter__(self) -> Live:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _picture(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        tally = self._tally
        head = Text(f"{tally.done} of {tally.spec.trials} trials, {duration(tally.seconds)}, {tally.pace()}")
        running = [
            Text(f"  #{number}: {what}", style="dim") for number, what in sorted(self._running.items())
        ]
        return Group(
            head,
            ProgressBar(total=tally.spec.trials, completed=tally.done, width=60),
            *running,
            self._front(),
        )

    def _front(self) -> Any:
        from rich.text import Text

        from nas.search.front import front_of

        front = front_of(self._tally.results, self._tally.spec.objectives)
        rows = [f"  {self._line(result)}" for result in front[:8]]
        return Text("\n".join(["front so far:", *rows]) if rows else "")


def line(
    result: TrialResult, error: str | None, epochs: int = 0, tiers: Mapping[str, str] | None = None
) -> str:
    """One trial in one line: ``#7 finished: accuracy 98.1 %, latency 0.142 ms T0``.

    A stopped one says how far it came: ``#8 stopped at epoch 3/27: ...``.
    """
    if error:
        return f"#{result.number} {result.state}: {error.splitlines()[0]}"
    marks = {name: f" {tier}" for name, tier in (tiers or {}).items() if tier}
    values = result.values.items()
    shown = ", ".join(f"{name} {value_text(name, value)}{marks.get(name, '')}" for name, value in values)
    where = f" at epoch {result.fidelity}/{epochs}" if epochs and result.state == "stopped" else ""
    return f"#{result.number} {result.state}{where}: {shown}"


def value_text(name: str, value: float) -> str:
    """A metric or cost with its unit."""
    if name == "accuracy":
        return f"{100 * value:.2f} %"
    if cost_of(name) == "latency":
        return milliseconds(value)
    return f"{value:.4g}"
