"""What a study knows of its trials: results, those on their way, and the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nas.search.objective import Constraint, Objective
from nas.search.trial import TrialRequest, TrialResult, TrialState
from nas.spaces.architecture import Architecture

COUNTED = frozenset({TrialState.FINISHED, TrialState.FAILED, TrialState.STOPPED})
"""The states of ended trials that a study's budget is spent on."""


@dataclass
class OpenTrial:
    """A trial that has not ended: its request, what is known of it, and its last step."""

    request: TrialRequest
    known: Mapping[str, float]
    last: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    losses: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """The known values overlaid with the last step's, as the store has them."""
        return {**self.known, **self.last}

    def lose(self, attempt: int) -> TrialRequest:
        """Makes the trial ready for another attempt."""
        self.losses += 1
        self.request = replace(self.request, attempt=attempt)
        return self.request


class Ledger:
    """Trials of one study by number and by architecture."""

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> None:
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        names = [objective.name for objective in objectives] + [limit.name for limit in constraints]
        self.wanted = tuple(dict.fromkeys(names))
        self.results: dict[int, TrialResult] = {}
        self.errors: dict[int, str] = {}
        self.open: dict[int, OpenTrial] = {}
        self._by_hash: dict[str, int] = {}
        self._counted = 0

    def __len__(self) -> int:
        return len(self.results) + len(self.open)

    @property
    def counted(self) -> int:
        """The ended trials that count against the budget."""
        return self._counted

    def has(self, architecture: Architecture) -> bool:
        """Whether the study met the architecture, its trial ended or not."""
        return architecture.hash in self._by_hash

    def result_of(self, architecture: Architecture) -> TrialResult | None:
        """The result of the architecture's trial; None while it has none."""
        number = self._by_hash.get(architecture.hash)
        return None if number is None else self.results.get(number)

    def begin(self, trial: OpenTrial) -> None:
        """Takes a trial on its way."""
        self.open[trial.request.number] = trial
        self._by_hash[trial.request.architecture.hash] = trial.request.number

    def end(self, result: TrialResult, error: str | None = None) -> None:
        """Takes the result of a trial."""
        self.open.pop(result.number, None)
        self.results[result.number] = result
        self._by_hash.setdefault(result.architecture.hash, result.number)
        self._counted += result.state in COUNTED
        if error is not None:
            self.errors[result.number] = error

    def make_result(self, trial: OpenTrial, state: TrialState) -> TrialResult:
        """The result of an open trial that ended in a state."""
        request = trial.request
        values = self.values_of(trial.metrics) if state in (TrialState.FINISHED, TrialState.STOPPED) else {}
        return TrialResult(request.architecture, state, values, request.fidelity, request.number)

    def values_of(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The objectives among some metrics, then the constrained ones."""
        return {name: metrics[name] for name in self.wanted if name in metrics}
