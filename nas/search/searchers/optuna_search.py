"""Optuna's samplers as searchers: every decision is a categorical parameter, asked for and told.

Optuna's study lives in memory and is rebuilt from the results; the store stays the only truth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas.errors import UsageError
from nas.search.prices import Pricing
from nas.search.searcher import SearcherSetup
from nas.search.searchers.quiet import quiet_optuna
from nas.search.searchers.random_search import new_sample
from nas.search.searchers.turns import Turns
from nas.search.seeding import derived_seed, generator
from nas.search.trial import TrialResult, TrialState
from nas.spaces.architecture import Architecture

if TYPE_CHECKING:
    import optuna

GENERATION = 20
"""Trials in a generation of NSGA-II; it does not depend on the budget, which a resumed study may change."""

GENERATION_KEY = "NSGAIISampler:generation"
ATTEMPTS = 8
"""So often a sampler may suggest what is not valid, not new or not allowed before a random one is taken."""


def build_nsga2(setup: SearcherSetup) -> OptunaSearch:
    """NSGA-II in generations of 20."""
    return OptunaSearch(setup, "nsga2")


def build_tpe(setup: SearcherSetup) -> OptunaSearch:
    """The tree-structured Parzen estimator, each decision by itself; random for 10 trials."""
    return OptunaSearch(setup, "tpe")


def build_gp(setup: SearcherSetup) -> OptunaSearch:
    """A Gaussian process; random for 10 trials. Raises UsageError where scipy or torch is missing."""
    try:
        import scipy  # noqa: F401

        return OptunaSearch(setup, "gp")
    except ImportError as error:
        raise UsageError(f"searcher 'optuna-gp' needs scipy and torch: {error}. Try 'optuna-tpe'.") from None


class OptunaSearch:
    """One of Optuna's samplers, a fresh one for each suggestion.

    What it proposes depends on the results alone: a fresh sampler takes its seed from their number. Failed
    trials are told as failed, which every sampler leaves out; a stopped one counts with what it had reached.
    """

    def __init__(self, setup: SearcherSetup, kind: str) -> None:
        with quiet_optuna():
            import optuna

            ways = optuna.study.StudyDirection
            self._directions = [
                ways.MINIMIZE if o.direction == "min" else ways.MAXIMIZE for o in setup.objectives
            ]
            self._study = optuna.create_study(directions=self._directions, sampler=_sampler(kind, 0))
        self._optuna = optuna
        self._results: dict[str, TrialResult] = {}
        self._kind = kind
        self._space = setup.space
        self._seed = setup.seed
        self._names = [objective.name for objective in setup.objectives]
        self._distributions: dict[str, Any] = {
            decision.name: optuna.distributions.CategoricalDistribution(range(len(decision.options)))
            for decision in setup.space.decisions
        }
        self._pricing = Pricing(setup.known, setup.constraints)
        self._turns = Turns()
        self._pending: defaultdict[str, list[optuna.Trial]] = defaultdict(list)
        self._complete = 0

    def ask(self, n: int) -> list[Architecture]:
        """Up to `n` new suggestions that keep the known constraints; fewer where nothing new is found."""
        with quiet_optuna():
            suggestions = [self._one() for _ in range(n)]
        return [architecture for architecture in suggestions if architecture is not None]

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Takes results, those of architectures that it did not propose too."""
        with quiet_optuna():
            for result in results:
                for trial in self._pending.pop(result.architecture.hash, ()):
                    self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            news = self._turns.new(results)
            met = len(self._results)
            self._results.update({result.architecture.hash: result for result in news})
            is_better = len(self._results) < met + len(news)
            if is_better:
                self._begin_again()
                news = sorted(self._results.values(), key=lambda result: result.number)
            for result in news:
                self._study.add_trial(self._frozen(result))

    def _begin_again(self) -> None:
        """A fresh study, after a trial went on or was repeated: Optuna's own cannot change a result."""
        self._pending.clear()
        self._complete = 0
        self._study = self._optuna.create_study(directions=self._directions, sampler=_sampler(self._kind, 0))

    def _one(self) -> Architecture | None:
        key = self._turns.next()
        found = self._suggested(key)
        if found is None:
            rng = generator(self._seed, self._kind, "invalid", *key)
            found = new_sample(self._space, self._pricing, self._turns, rng)
        if found is not None:
            self._turns.suggest(found.hash)
        return found

    def _suggested(self, key: tuple[int, int]) -> Architecture | None:
        """The sampler's own suggestion; None where none of a few is wanted."""
        for attempt in range(ATTEMPTS):
            sampler = _sampler(self._kind, derived_seed(self._seed, self._kind, *key, attempt))
            if self._kind == "nsga2":
                # Its first look at a generation's parents sees them in another order than later ones do.
                sampler.get_parent_population(self._study, self._complete // GENERATION)
            self._study.sampler = sampler
            trial = self._study.ask(self._distributions)
            vector = [trial.params[decision.name] for decision in self._space.decisions]
            if self._space.is_valid(vector):
                architecture = self._space.decode(self._space.canonical(vector))
                if self._turns.is_new(architecture.hash) and self._pricing.allowed([architecture]):
                    self._pending[architecture.hash].append(trial)
                    return architecture
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return None

    def _frozen(self, result: TrialResult) -> optuna.trial.FrozenTrial:
        """The result as Optuna stores it, with the generation that NSGA-II would have given it."""
        states = self._optuna.trial.TrialState
        vector = self._space.encode(result.architecture).tolist()
        params = {d.name: index for d, index in zip(self._space.decisions, vector, strict=True)}
        has_result = result.state in (TrialState.FINISHED, TrialState.STOPPED) and not result.is_hint
        if not has_result or not all(name in result.values for name in self._names):
            return self._optuna.trial.create_trial(
                state=states.FAIL, params=params, distributions=self._distributions
            )
        attributes = {GENERATION_KEY: self._complete // GENERATION}
        self._complete += 1
        return self._optuna.trial.create_trial(
            values=[result.values[name] for name in self._names],
            params=params,
            distributions=self._distributions,
            system_attrs=attributes,
        )


def _sampler(kind: str, seed: int) -> Any:
    import optuna

    if kind == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=GENERATION)
    if kind == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.GPSampler(seed=seed)
