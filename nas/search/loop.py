"""The study loop: between searcher, runner and store, one trial at a time."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.costs.cost import Cost
from nas.errors import MissingPluginError, suggestion
from nas.search.checks import check_settings, metric_problem, step_problem
from nas.search.contracts import Price, Searcher
from nas.search.events import (
    LoopEvent,
    Notice,
    Resumed,
    StepDone,
    TrialEnded,
    TrialPromoted,
    TrialStarted,
)
from nas.search.front import Front, front_of
from nas.search.journal import MEMORY, Journal, MemoryJournal, StoredTrial
from nas.search.ledger import Ledger, OpenTrial
from nas.search.objective import Constraint, Objective
from nas.search.pacing import NO_HISTORY, Pacing
from nas.search.prices import Pricing
from nas.search.proposals import Candidate, Proposer
from nas.search.repeats import Repeats
from nas.search.rungs import History
from nas.search.seeding import trial_seed
from nas.search.trial import (
    Decision,
    Failed,
    Finished,
    Lost,
    Progress,
    Refused,
    Report,
    Started,
    TrialRequest,
    TrialResult,
    TrialState,
)

if TYPE_CHECKING:
    from nas.spaces.architecture import Architecture
    from nas.spaces.space import Space

Costs = Callable[[Sequence["Architecture"]], Sequence[tuple[Cost, ...]]]
Listener = Callable[[LoopEvent], None]
HAS_RESULT = (TrialState.FINISHED, TrialState.STOPPED)


class StudyLoop:
    """One study as a source of trials: what a runner asks for the next one and tells what happened.

    No architecture is evaluated more than `repeats` times (see `Repeats`), none that breaks a constraint on
    something `known`; every report is in the store (or in memory, without one) before the answer. `trials`
    limits the trials begun, failed and stopped ones included. With several `rungs` a trial pauses at the step
    of each and goes on where it is among the best (see `Rungs`); when all trials are begun, those go on that
    still qualify. With `stop_below` a trial is stopped whose chance to join the front falls below it. A trial
    whose worker is lost runs again
    up to `max_lost` times. `directory` holds one folder for each trial, named by its number. `force` goes on
    where a look beforehand found nothing that keeps the constraints. Raises UsageError for settings that
    cannot work.

    With one trial at a time the sequence of architectures depends on the settings and the results alone: a
    study that was killed and resumed goes on as it would have done.

    `earlier` are results of earlier studies (see `warm_start`): the searcher is told them first, what they
    are of is not evaluated again, and they stand on the front beside the trials.
    """

    def __init__(
        self,
        *,
        space: Space,
        searcher: Searcher,
        objectives: Sequence[Objective],
        known: Mapping[str, Price] | None = None,
        constraints: Sequence[Constraint] = (),
        trials: int = 100,
        fidelity: int = 1,
        seed: int = 0,
        store: Journal | None = None,
        study: str | None = None,
        directory: Path | None = None,
        costs: Costs | None = None,
        listener: Listener | None = None,
        max_lost: int = 2,
        force: bool = False,
        rungs: int = 1,
        stop_below: float = 0.0,
        repeats: int = 1,
        earlier: Sequence[TrialResult] = (),
    ) -> None:
        check_settings(objectives, trials=trials, fidelity=fidelity, max_lost=max_lost)
        self._searcher = searcher
        self._trials = trials
        self._fidelity = fidelity
        self._seed = seed
        self._journal = store if store is not None else MemoryJournal()
        self._study = study if study is not None else MEMORY
        self._directory = directory
        self._costs = costs
        self._tell_listener = listener if listener is not None else _ignore
        self._max_lost = max_lost
        known = known or {}
        self._ledger = Ledger(objectives, constraints, tuple(known))
        policy = Repeats(self._ledger, repeats, rungs=rungs)
        pricing = Pricing(known, constraints)
        self._proposer = Proposer(space, searcher, pricing, self._ledger, seed, force=force, repeats=policy)
        self._pacing = Pacing(self._ledger, fidelity=fidelity, rungs=rungs, stop_below=stop_below)
        self._again: deque[TrialRequest] = deque()
        self._ledger.know(earlier)
        if earlier:
            searcher.tell(earlier)

    # -- what a user sees --------------------------------------------------------------------------------

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """The ended trials by number."""
        return tuple(result for _, result in sorted(self._ledger.results.items()))

    @property
    def errors(self) -> Mapping[int, str]:
        """Why trials failed, by number."""
        return dict(sorted(self._ledger.errors.items()))

    @property
    def dropped(self) -> int:
        """How many different architectures were suggested and broke a known constraint."""
        return self._proposer.dropped

    @property
    def message(self) -> str | None:
        """Why the study ended before its budget was spent, such as ``space exhausted: 729 of 729``."""
        return self._proposer.message

    def front(self) -> Front:
        """The finished trials and earlier results that keep every constraint and that none dominates."""
        return front_of(self._ledger.everything, self._ledger.objectives, self._ledger.constraints)

    def resume(self) -> None:
        """Takes up what is stored: results go to the searcher, trials on their way are queued again.

        Raises UsageError where no architecture can keep the constraints, unless forced.
        """
        told = []
        histories = self._journal.histories(self._study) if self._pacing.needs_history else NO_HISTORY
        for record in self._journal.trials(self._study):
            history = histories.get(record.number, ())
            paused = self._pacing.recall(record, history)
            if paused is not None and record.state not in HAS_RESULT:
                told.append(paused)
            if record.state.is_final:
                told.append(self._recall(record, history))
            else:
                self._requeue_stored(record, history, paused.fidelity if paused else 0)
        if told:
            self._searcher.tell(told)
        self._tell_listener(Resumed(len(self._ledger.results), len(self._again)))
        if self._wants_more:
            self._proposer.prepare()

    # -- what a runner calls -----------------------------------------------------------------------------

    def next(self) -> TrialRequest | None:
        """The next trial to start, or None when nothing can start now."""
        if self._again:
            return self._again.popleft()
        number = self._pacing.candidate()
        if number is not None:
            return self._promote(number)
        while self._wants_more:
            candidate = self._proposer.propose()
            if candidate is None:
                return None
            request = self._admit(candidate)
            if request is not None:
                return request
        return None

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will ever start: the budget is spent or nothing new is left."""
        is_busy = self._wants_more or self._again or self._ledger.open
        return not is_busy and self._pacing.candidate() is None

    def report(self, report: Report) -> Decision:
        """Stores what happened to a trial; a report of an ended trial or an older attempt changes nothing.

        Raises MissingPluginError where a host refused a trial: it stays queued.
        """
        trial = self._ledger.open.get(report.number)
        if trial is None or trial.request.attempt != report.attempt:
            return Decision.STOP if isinstance(report, Progress) else Decision.CONTINUE
        if isinstance(report, Progress):
            return self._progress(trial, report)
        if trial.paused:  # its worker has let go of it, in whatever way
            self._end(trial, TrialState.STOPPED)
        elif isinstance(report, Started):
            self._started(trial, report)
        elif isinstance(report, Finished):
            self._finished(trial, report)
        elif isinstance(report, Failed):
            self._fail(trial, report.error, report.traceback)
        elif isinstance(report, Refused):
            self._refused(report)
        else:
            self._lost(trial, report)
        return Decision.CONTINUE

    # -- the life of a trial -----------------------------------------------------------------------------

    @property
    def _wants_more(self) -> bool:
        spent = self._ledger.counted + len(self._ledger.open)
        return spent < self._trials and not self._proposer.is_done

    def _admit(self, candidate: Candidate) -> TrialRequest | None:
        """Queues a candidate in the journal; None where what is known of it is no number."""
        architecture, known = candidate.architecture, candidate.known
        seed = trial_seed(self._seed, architecture.hash, len(self._ledger.runs_of(architecture.hash)))
        finite = {name: value for name, value in known.items() if math.isfinite(value)}
        costs = self._costs([architecture])[0] if self._costs is not None else ()
        number = self._journal.add_trial(
            self._study, architecture, fidelity=self._fidelity, seed=seed, known=finite, costs=costs
        )
        request = TrialRequest(number, architecture, self._fidelity, seed, directory=self._folder(number))
        trial = OpenTrial(request, finite)
        self._ledger.begin(trial)
        problem = metric_problem(known)
        if problem is None:
            return request
        self._fail(trial, f"known {problem}")
        return None

    def _folder(self, number: int) -> str | None:
        if self._directory is None:
            return None
        folder = self._directory / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _promote(self, number: int) -> TrialRequest:
        """Queues a paused trial again, to go on to the next rung."""
        attempt = self._journal.promote_trial(self._study, number)
        trial = self._pacing.promote(number)
        self._ledger.reopen(trial)
        self._tell_listener(TrialPromoted(number, trial.step, self._pacing.next_pause(trial.step)))
        return trial.again(attempt)

    def _started(self, trial: OpenTrial, report: Started) -> None:
        trial.began = time.monotonic()
        self._journal.start_trial(self._study, report.number, attempt=report.attempt, host=report.host)
        self._tell_listener(
            TrialStarted(report.number, trial.request.architecture, report.host, report.attempt)
        )

    def _progress(self, trial: OpenTrial, report: Progress) -> Decision:
        problem = step_problem(report)
        if problem is not None:
            self._fail(trial, problem)
            return Decision.STOP
        if trial.paused:
            return Decision.STOP
        if report.step <= trial.base:  # told again from the checkpoint of a promoted trial
            return Decision.CONTINUE
        trial.take(report.step, report.metrics)
        if self._pacing.pauses(trial):
            return self._pause(trial)
        self._journal.record_step(
            self._study, report.number, attempt=report.attempt, step=report.step, metrics=report.metrics
        )
        self._tell_listener(StepDone(report.number, report.step, trial.last))
        return Decision.STOP if self._pacing.is_hopeless(trial) else Decision.CONTINUE

    def _pause(self, trial: OpenTrial) -> Decision:
        """Ends a trial at its rung, for now; it may go on when its worker has let go of it."""
        missing = self._missing(trial)
        if missing is not None:
            self._fail(trial, missing)
            return Decision.STOP
        self._journal.pause_trial(
            self._study,
            trial.request.number,
            attempt=trial.request.attempt,
            step=trial.step,
            metrics=trial.last,
            seconds=time.monotonic() - trial.began,
        )
        trial.paused = True
        self._tell_listener(StepDone(trial.request.number, trial.step, trial.last))
        return Decision.STOP

    def _finished(self, trial: OpenTrial, report: Finished) -> None:
        missing = self._missing(trial)
        if missing is not None:
            self._fail(trial, missing)
            return
        seconds = report.seconds if math.isfinite(report.seconds) else 0.0
        self._journal.finish_trial(
            self._study, report.number, attempt=report.attempt, seconds=seconds, stopped=report.stopped
        )
        self._end(trial, TrialState.STOPPED if report.stopped else TrialState.FINISHED)

    def _missing(self, trial: OpenTrial) -> str | None:
        """Which metric a trial lacks to have a result; None where it has all."""
        missing = [name for name in self._ledger.wanted if name not in trial.metrics]
        if not missing:
            return None
        where = f"after step {trial.step}" if trial.step else "and no step was reported"
        hint = suggestion(missing[0], trial.last, "metric") if trial.last else ""
        return f"metric {missing[0]!r} is missing {where}. {hint}".strip()

    def _lost(self, trial: OpenTrial, report: Lost) -> None:
        if trial.losses >= self._max_lost:
            self._fail(trial, f"lost {trial.losses + 1} times; last: {report.reason}")
            return
        attempt = self._journal.requeue_trial(self._study, report.number)
        self._again.append(trial.lose(attempt))
        self._tell_listener(Notice(f"trial {report.number} was lost and runs again: {report.reason}"))

    def _refused(self, report: Refused) -> None:
        """Queues the trial for the day the host has what it lacks, and ends the run with the reason."""
        self._journal.requeue_trial(self._study, report.number)
        raise MissingPluginError(f"trial {report.number} stays queued: {report.reason}")

    def _fail(self, trial: OpenTrial, error: str, traceback: str = "") -> None:
        request = trial.request
        self._journal.fail_trial(
            self._study, request.number, attempt=request.attempt, error=error, traceback=traceback
        )
        self._end(trial, TrialState.FAILED, error)

    def _end(self, trial: OpenTrial, state: TrialState, error: str | None = None) -> None:
        result = self._ledger.make_result(trial, state)
        self._ledger.end(result, error)
        self._pacing.end(trial, state)
        self._searcher.tell([self._ledger.result_of(result.architecture) or result])
        self._tell_listener(TrialEnded(result, error))

    # -- resuming ----------------------------------------------------------------------------------------

    def _recall(self, record: StoredTrial, history: History) -> TrialResult:
        values = self._ledger.values_of(record.metrics) if record.state in HAS_RESULT else {}
        fidelity = record.last_step if record.state is TrialState.STOPPED else record.fidelity
        result = TrialResult(record.architecture, record.state, values, fidelity, record.number)
        self._ledger.end(result, record.error)
        if self._pacing.waits(record.number):
            self._pacing.shelve(self._taken_up(record, history, record.attempt))
        return self._ledger.result_of(record.architecture) or result

    def _requeue_stored(self, record: StoredTrial, history: History, base: int) -> None:
        attempt = self._journal.requeue_trial(self._study, record.number)
        trial = self._taken_up(record, history, attempt)
        trial.base = base
        self._ledger.begin(trial)
        self._again.append(trial.request)

    def _taken_up(self, record: StoredTrial, history: History, attempt: int) -> OpenTrial:
        folder = self._folder(record.number)
        request = TrialRequest(
            record.number, record.architecture, record.fidelity, record.seed, attempt, folder
        )
        known = self._proposer.price(record.architecture)
        # The steps of the attempt before stay stored: a worker may have done them all and only lack the end.
        return OpenTrial(
            request,
            known,
            dict(record.metrics),
            step=record.last_step,
            curve={s: dict(m) for s, m in history},
        )


def _ignore(event: LoopEvent) -> None:
    """What a loop without a listener tells it."""
