"""What a study knows of its trials: results, those on their way, and the front."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nas.search.objective import Constraint, Objective
from nas.search.runs import mean_result
from nas.search.trial import TrialRequest, TrialResult, TrialState
from nas.spaces.architecture import Architecture

COUNTED = frozenset({TrialState.FINISHED, TrialState.FAILED, TrialState.STOPPED})
"""The states of ended trials that a study's budget is spent on."""


@dataclass
class OpenTrial:
    """A trial that has not ended: its request, what is known of it, and its last step.

    `curve` holds its steps; `began` is when it started, in seconds of the monotonic clock; `base` is the step
    at which it last paused at a rung, `paused` whether it does so now.
    """

    request: TrialRequest
    known: Mapping[str, float]
    last: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    losses: int = 0
    base: int = 0
    paused: bool = False
    began: float = 0.0
    curve: dict[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The known values overlaid with the last step's, as the store has them."""
        return {**self.known, **self.last}

    def take(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes a step; later ones of an attempt before go."""
        self.step, self.last = step, dict(metrics)
        self.curve = {**{s: m for s, m in self.curve.items() if s < step}, step: self.last}

    def lose(self, attempt: int) -> TrialRequest:
        """Makes the trial ready for another attempt."""
        self.losses += 1
        return self.again(attempt)

    def again(self, attempt: int) -> TrialRequest:
        """The request of a further attempt."""
        self.request = replace(self.request, attempt=attempt)
        return self.request


class Ledger:
    """Trials of one study by number and by architecture; of what is `known` a repeat measures nothing new."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        known: Collection[str] = (),
    ) -> None:
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        names = [objective.name for objective in objectives] + [limit.name for limit in constraints]
        self.wanted = tuple(dict.fromkeys(names))
        self._measured = tuple(name for name in self.wanted if name not in known)
        self.results: dict[int, TrialResult] = {}
        self.errors: dict[int, str] = {}
        self.open: dict[int, OpenTrial] = {}
        self.earlier: dict[str, TrialResult] = {}
        self._runs: dict[str, list[int]] = {}
        self._repeats: set[int] = set()
        self._counted = 0

    def __len__(self) -> int:
        return len(self.results) + len(self.open)

    @property
    def counted(self) -> int:
        """The ended trials that count against the budget."""
        return self._counted

    def has(self, architecture: Architecture) -> bool:
        """Whether the study met the architecture, its trial ended or not, or knows it from an earlier one."""
        return architecture.hash in self._runs or architecture.hash in self.earlier

    def result_of(self, architecture: Architecture) -> TrialResult | None:
        """The result of the architecture's trial, the mean of its finished ones; None while it has none."""
        runs = self._runs.get(architecture.hash)
        return self.earlier.get(architecture.hash) if runs is None else self._mean(runs)

    def _mean(self, runs: Sequence[int]) -> TrialResult | None:
        first = self.results.get(runs[0])
        if first is None or len(runs) == 1:
            return first
        ended = [self.results[number] for number in runs if number in self.results]
        finished = [result for result in ended if result.state is TrialState.FINISHED]
        return mean_result(finished, self._measured) if len(finished) > 1 else first

    def runs_of(self, architecture_hash: str) -> Sequence[int]:
        """The numbers of an architecture's trials, ended or not."""
        return tuple(self._runs.get(architecture_hash, ()))

    def is_repeat(self, number: int) -> bool:
        """Whether a trial is of an architecture that had one before."""
        return number in self._repeats

    def know(self, earlier: Iterable[TrialResult]) -> None:
        """Takes results of earlier studies: known, but no trials of this one. Hints are left out."""
        self.earlier.update({r.architecture.hash: r for r in earlier if not r.is_hint})

    @property
    def everything(self) -> list[TrialResult]:
        """One result for each architecture: those of ended trials, then earlier studies' of no trial here."""
        firsts = [result for number, result in self.results.items() if number not in self._repeats]
        own = (self._mean(self._runs[result.architecture.hash]) for result in firsts)
        reused = (result for key, result in self.earlier.items() if key not in self._runs)
        return [*(result for result in own if result is not None), *reused]

    def begin(self, trial: OpenTrial) -> None:
        """Takes a trial on its way."""
        self.open[trial.request.number] = trial
        self._note(trial.request.architecture, trial.request.number)

    def end(self, result: TrialResult, error: str | None = None) -> None:
        """Takes the result of a trial."""
        self.open.pop(result.number, None)
        self.results[result.number] = result
        self._note(result.architecture, result.number)
        self._counted += result.state in COUNTED
        if error is not None:
            self.errors[result.number] = error

    def _note(self, architecture: Architecture, number: int) -> None:
        runs = self._runs.setdefault(architecture.hash, [])
        if number in runs:
            return
        if runs:
            self._repeats.add(number)
        runs.append(number)

    def reopen(self, trial: OpenTrial) -> None:
        """Takes a stopped trial that goes on: it is no result until it ends again."""
        result = self.results.pop(trial.request.number)
        self._counted -= result.state in COUNTED
        self.begin(trial)

    def make_result(self, trial: OpenTrial, state: TrialState) -> TrialResult:
        """The result of an open trial that ended in a state."""
        request = trial.request
        values = self.values_of(trial.metrics) if state in (TrialState.FINISHED, TrialState.STOPPED) else {}
        fidelity = trial.step if state is TrialState.STOPPED else request.fidelity
        return TrialResult(request.architecture, state, values, fidelity, request.number)

    def values_of(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The objectives among some metrics, then the constrained ones."""
        return {name: metrics[name] for name in self.wanted if name in metrics}
