"""The default searcher: learns what must be learnt, and prices what is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np

from nas.search.prices import Pricing
from nas.search.searcher import SearcherSetup
from nas.search.searchers.evaluated import Evaluated
from nas.search.searchers.judged import Judged
from nas.search.searchers.model import Model
from nas.search.searchers.plan import SHORTLIST, Plan
from nas.search.searchers.pool import Candidates, Pool
from nas.search.searchers.proxies import Proxies, TrustedProxies
from nas.search.searchers.random_search import new_sample
from nas.search.searchers.start import spread_start
from nas.search.searchers.threads import one_thread
from nas.search.searchers.turns import Turns
from nas.search.seeding import generator
from nas.search.trial import TrialResult
from nas.spaces.architecture import Architecture

INITIAL = 4
PARENTS = 16
ROUNDS = 2
KNOWN_ROUNDS = 12
"""Rounds of changes of the best candidates, in a space that is not listed: more where plans are rare."""

SCORED = 32
"""So many of the best candidates are shown to the proxies that may be trusted."""

COVARIANCES = 1_500_000
LEAST_CANDIDATES = 1_000
"""One plan looks at so many candidates times results, but never at fewer candidates than this."""


class Pareto:
    """Picks the architectures that are expected to raise the hypervolume of the front most.

    It begins with architectures spread over the first known objective and as different as can be. Then an
    ensemble of Gaussian processes over choices, shares of options and known costs predicts each unknown
    metric, thousands of candidates are priced, and the one with the largest expected hypervolume improvement
    is taken: known objectives enter exactly, uncertain ones with their distribution, metrics that a
    constraint limits by the chance to keep it. Trials on their way count as they are expected to end.
    Zero-cost proxies are asked about the best candidates, and followed as far as they were right so far.
    Where nothing needs to be learnt, one plan serves 256 trials.

    For one to four objectives, any of which may be known. Asked for 16 it takes about half a second after
    500 results.
    """

    def __init__(self, setup: SearcherSetup) -> None:
        self._space = setup.space
        self._seed = setup.seed
        self._objectives = setup.objectives
        self._pricing = Pricing(setup.known, setup.constraints)
        self._limits = [c for c in setup.constraints if c.name not in setup.known]
        self._pool = Pool(setup.space, self._pricing, setup.seed)
        self._evaluated = Evaluated(setup.objectives, setup.constraints)
        self._turns = Turns()
        self._pending: dict[str, Architecture] = {}
        self._proxies = Proxies(setup.proxies)
        self._unknown = [o for o in setup.objectives if o.name not in setup.known]
        self._plans: list[Plan] | None = None
        self._is_learning = bool(self._unknown or self._limits)
        self._start: Iterator[Architecture] | None = None

    def ask(self, n: int) -> list[Architecture]:
        """Up to `n` new architectures that keep the known constraints; fewer where none are left."""
        found: list[Architecture] = []
        with one_thread():
            while len(found) < n and (architecture := self._one()) is not None:
                self._turns.suggest(architecture.hash)
                self._pending[architecture.hash] = architecture
                found.append(architecture)
        return found

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Takes results, of architectures that it never proposed too."""
        for result in results:
            self._pending.pop(result.architecture.hash, None)
        block = self._block
        for result in self._turns.new(results):
            self._evaluated.add(result)
            if self._is_learning or block != self._block:
                self._plans = None

    def _one(self) -> Architecture | None:
        key = self._turns.next()
        is_start = self._is_learning and self._turns.told + len(self._pending) < INITIAL
        found = None if is_start else self._planned(key)
        found = found or self._first()
        return found or new_sample(
            self._space, self._pricing, self._turns, generator(self._seed, "pareto", *key)
        )

    def _is_new(self, architecture_hash: str) -> bool:
        return self._turns.is_new(architecture_hash) and architecture_hash not in self._pending

    def _first(self) -> Architecture | None:
        """The next new one of the start."""
        if self._start is None:
            base = self._pool.base
            known = [o.name for o in self._objectives if o.name in self._pool.names]
            axis = self._pool.names.index(known[0]) if known else None
            rows = spread_start(base, axis, generator(self._seed, "start")) if len(base) else iter(())
            self._start = (base.architectures[row] for row in rows)
        return next((a for a in self._start if self._is_new(a.hash)), None)

    def _planned(self, key: tuple[int, int]) -> Architecture | None:
        if self._plans is None:
            keys = key if self._is_learning else (self._block,)
            self._plans = self._make_plans(generator(self._seed, "plan", *keys))
        picks = chain.from_iterable(iter(plan.pick, None) for plan in self._plans)
        return next((found for found in picks if self._is_new(found.hash)), None)

    def _make_plans(self, rng: np.random.Generator) -> list[Plan]:
        """The plan to follow, and another one for when it is used up."""
        model = self._learn(None)
        if model is None:
            return []
        pending = list(self._pending.values()) if self._is_learning else []
        on_their_way = self._pool.candidates(pending, self._pool.known_of(pending))
        plan = model.plan(self._judged(model, on_their_way, rng), len(pending))
        informed = self._learn(self._trusted()) if self._proxies else None
        if informed is None or informed.proxies is None:
            return [plan]
        judged = informed.judge(on_their_way).with_new(informed.judge(plan.best(SCORED)))
        return [informed.plan(judged, len(pending)), plan]

    def _learn(self, proxies: TrustedProxies | None) -> Model | None:
        return Model.learn(self._basis, self._pool, self._objectives, self._limits, proxies)

    def _trusted(self) -> TrustedProxies | None:
        """The proxies that were right so far about the first unknown objective."""
        if not self._unknown:
            return None
        return self._proxies.trusted(self._evaluated.lessons(self._unknown[0].name, self._unknown[0].sign))

    def _judged(self, model: Model, on_their_way: Candidates, rng: np.random.Generator) -> Judged:
        """All that a plan looks at; the rounds around the best do not know of what is on its way."""
        is_new = self._is_new if self._is_learning else self._basis.lacks
        judged = model.judge(self._base(rng, is_new))
        if not self._pool.is_listed:
            judged = judged.with_new(model.judge(self._pool.fresh(model.parents, rng, is_new)))
            for _ in range(ROUNDS if self._is_learning else KNOWN_ROUNDS):
                best = model.plan(judged, 0).best(PARENTS).architectures
                judged = judged.with_new(model.judge(self._pool.around(best, rng, is_new)))
        return model.judge(on_their_way).with_new(judged) if len(on_their_way) else judged

    @property
    def _block(self) -> int:
        """How many plans were used up where one serves many trials."""
        return self._turns.told // SHORTLIST

    @property
    def _basis(self) -> Evaluated:
        """The results that a plan is made from: those before it, however late it is made again."""
        return self._evaluated if self._is_learning else self._evaluated.first(self._block * SHORTLIST)

    def _base(self, rng: np.random.Generator, is_new: Callable[[str], bool]) -> Candidates:
        """What is left of the base; a random part where there would be too many covariances."""
        base = self._pool.base
        new = [row for row, architecture in enumerate(base.architectures) if is_new(architecture.hash)]
        rows = np.array(new, dtype=np.int64)
        most = max(LEAST_CANDIDATES, COVARIANCES // max(1, self._turns.told))
        return base.take(rows if len(rows) <= most else np.sort(rng.choice(rows, size=most, replace=False)))
