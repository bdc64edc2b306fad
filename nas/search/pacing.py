"""How far trials go: when one pauses at a rung, goes on, or is stopped for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.search.front import front_of
from nas.search.journal import StoredTrial
from nas.search.ledger import Ledger, OpenTrial
from nas.search.rungs import History, Rungs, check_pacing, rung_steps
from nas.search.stopping import Curve, chance_of_front
from nas.search.trial import TrialResult, TrialState


class Pacing:
    """The rungs of a study and its paused trials, and the judgement whether a trial is worth its steps.

    Everything here follows from the stored trials and their steps: `recall` takes them up in any order.
    """

    def __init__(self, ledger: Ledger, *, fidelity: int, rungs: int = 1, stop_below: float = 0.0) -> None:
        check_pacing(fidelity, rungs, stop_below)
        self._ledger = ledger
        self._fidelity = fidelity
        self._stop_below = stop_below
        self._rungs = Rungs(rung_steps(fidelity, rungs), ledger.objectives, ledger.constraints)
        self._paused: dict[int, OpenTrial] = {}
        self._finished: dict[int, Curve] = {}
        self._chances: dict[tuple[int, int, int], float] = {}

    @property
    def needs_history(self) -> bool:
        """Whether the steps of stored trials matter."""
        return len(self._rungs.steps) > 1 or self._stop_below > 0

    def next_pause(self, step: int) -> int:
        """The step to which a trial goes on from `step`."""
        return self._rungs.steps[self._rungs.level(step)]

    def pauses(self, trial: OpenTrial) -> bool:
        """Whether a trial pauses at the step it has just done."""
        return self._rungs.pauses(trial.base, trial.step)

    def is_hopeless(self, trial: OpenTrial) -> bool:
        """Whether a trial is too unlikely to join the front to be worth its remaining steps.

        A repeat never is: a mean of those alone that began well would be too good.
        """
        if not self._stop_below or trial.step >= self._fidelity:
            return False
        if self._ledger.is_repeat(trial.request.number):
            return False
        key = (trial.request.number, trial.step, len(self._finished))
        if key not in self._chances:
            self._chances[key] = self._chance(trial)
        return self._chances[key] < self._stop_below

    def _chance(self, trial: OpenTrial) -> float:
        ledger = self._ledger
        front = front_of(ledger.everything, ledger.objectives, ledger.constraints)
        curves = list(self._finished.values())
        return chance_of_front(
            trial.curve,
            trial.known,
            curves,
            [member.values for member in front],
            ledger.objectives,
            ledger.constraints,
        )

    def end(self, trial: OpenTrial, state: TrialState) -> None:
        """Takes a trial that ended; a paused one waits."""
        number = trial.request.number
        if trial.paused:
            self._rungs.pause(number, trial.step, self._ledger.values_of(trial.metrics))
            self._paused[number] = trial
        elif state is TrialState.FINISHED and self._stop_below:
            self._finished[number] = trial.curve

    def candidate(self) -> int | None:
        """The number of the paused trial that should go on next; None where none should."""
        return self._rungs.candidate(lambda number: not self.is_hopeless(self._paused[number]))

    def promote(self, number: int) -> OpenTrial:
        """Takes a paused trial out, to go on."""
        self._rungs.go_on(number)
        trial = self._paused.pop(number)
        trial.paused, trial.base = False, trial.step
        return trial

    def recall(self, record: StoredTrial, history: History) -> TrialResult | None:
        """Takes up a stored trial; its result at the last rung where it paused, if it ever did."""
        waits = record.state is TrialState.STOPPED
        base = self._rungs.recall(record.number, record.metrics, history, waits=waits)
        if record.state is TrialState.FINISHED and self._stop_below:
            self._finished[record.number] = dict(history)
        if not base:
            return None
        values = self._ledger.values_of({**record.metrics, **dict(history)[base]})
        return TrialResult(record.architecture, TrialState.STOPPED, values, base, record.number)

    def waits(self, number: int) -> bool:
        """Whether a trial that was recalled waits at a rung."""
        return number in self._rungs.waiting

    def shelve(self, trial: OpenTrial) -> None:
        """Takes the trial that waits, as it will go on."""
        self._paused[trial.request.number] = trial


NO_HISTORY: Mapping[int, Sequence[tuple[int, Mapping[str, float]]]] = {}
