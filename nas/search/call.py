"""The settings of one `nas.search` call, checked, and its run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.costs.confidence import MEDIAN, check_confidence, split_quantile
from nas.errors import UsageError
from nas.search.checks import check_settings
from nas.search.contracts import Price, Runner
from nas.search.earlier import Earlier, Given
from nas.search.events import LoopEvent, Notice
from nas.search.feasibility import find_allowed
from nas.search.functions import FunctionEvaluator, make_evaluator
from nas.search.inprocess import run_in_process
from nas.search.journal import Journal
from nas.search.loop import StudyLoop
from nas.search.objective import Constraint, Objective
from nas.search.prices import FunctionPrice, Pricing
from nas.search.repeats import check_repeats
from nas.search.result import SearchResult, result_of
from nas.search.rungs import check_pacing
from nas.search.searcher import SearcherFactory, SearcherSetup
from nas.search.study import StudySpec
from nas.search.warm_start import WarmStart, join, warm_start
from nas.spaces.space import Space

if TYPE_CHECKING:
    from nas.plugins.registry import Registry
    from nas.store.store import Store

DEFAULT_STUDY = "search"


@dataclass(frozen=True)
class SearchCall:
    """A checked call; `run` may be called again, and each run begins afresh."""

    space: Space
    evaluator: FunctionEvaluator
    objectives: tuple[Objective, ...]
    known: Mapping[str, Price]
    constraints: tuple[Constraint, ...]
    searcher: SearcherFactory
    trials: int
    seed: int
    fidelity: int
    rungs: int = 1
    stop_below: float = 0.0
    repeats: int = 1
    earlier: Earlier = field(default_factory=Earlier)

    @classmethod
    def check(
        cls,
        *,
        space: Space | Mapping[str, Sequence[Any]] | str | Path,
        evaluate: Callable[[Any], Any],
        objectives: Mapping[str, str],
        known: Mapping[str, Callable[[Any], Any]],
        constraints: Sequence[str | Constraint],
        confidence: float = MEDIAN,
        searcher: str,
        trials: int,
        seed: int,
        fidelity: int,
        rungs: int = 1,
        stop_below: float = 0.0,
        repeats: int = 1,
        registry: Registry | None,
        given: Given = (),
    ) -> SearchCall:
        """The call of these settings; raises InputError where they cannot work."""
        from nas.plugins.registry import default_registry

        if not isinstance(objectives, Mapping):
            raise UsageError('objectives maps names to directions, e.g. {"error": "min"}')
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UsageError(f"seed must be a whole number of at least 0, not {seed!r}")
        goals = tuple(Objective(name, direction) for name, direction in objectives.items())
        check_settings(goals, trials=trials, fidelity=fidelity)
        check_pacing(fidelity, rungs, stop_below)
        check_repeats(repeats, rungs)
        registry = registry if registry is not None else default_registry()
        limits = tuple(Constraint.parse(c) if isinstance(c, str) else c for c in _listed(constraints))
        sure = check_confidence(confidence)
        limits = tuple(limit.at(sure) if limit.name in known else limit for limit in limits)
        known = {**known, **_quantiles(limits, known)}
        names = dict.fromkeys([*(o.name for o in goals), *(c.name for c in limits)])
        return cls(
            space=_space(space, registry),
            evaluator=make_evaluator(evaluate, tuple(name for name in names if name not in known)),
            objectives=goals,
            known={name: FunctionPrice(name, function) for name, function in known.items()},
            constraints=limits,
            searcher=registry.searchers[searcher],
            trials=trials,
            seed=seed,
            fidelity=fidelity,
            rungs=rungs,
            stop_below=stop_below,
            repeats=repeats,
            earlier=Earlier.of(given),
        )

    def run(
        self,
        *,
        runner: Runner | None = None,
        store: Store | str | Path | None = None,
        study: str | None = None,
        directory: str | Path | None = None,
        listener: Callable[[LoopEvent], None] | None = None,
    ) -> SearchResult:
        """Runs the trials that are left and returns everything."""
        folder = Path(directory).absolute() if directory is not None else None
        # Before anything is written; the loop looks again, since it may be resumed without this call.
        find_allowed(self.space, Pricing(self.known, self.constraints), self.seed)
        with self._journal(store, study, listener) as (journal, name, earlier):
            loop = self._loop(journal, name, folder, listener, earlier)
            loop.resume()
            if runner is None:
                run_in_process(loop, self.evaluator)
            else:
                runner.run(loop, self.evaluator)
        return result_of(loop, self.objectives)

    def _loop(
        self,
        journal: Journal | None,
        study: str | None,
        directory: Path | None,
        listener: Callable[[LoopEvent], None] | None,
        earlier: WarmStart,
    ) -> StudyLoop:
        setup = SearcherSetup(
            self.space, self.objectives, self.known, self.constraints, self.seed, self.trials
        )
        return StudyLoop(
            space=self.space,
            searcher=self.searcher.create(setup),
            objectives=self.objectives,
            known=self.known,
            constraints=self.constraints,
            trials=self.trials,
            fidelity=self.fidelity,
            seed=self.seed,
            rungs=self.rungs,
            stop_below=self.stop_below,
            repeats=self.repeats,
            store=journal,
            study=study,
            directory=directory,
            listener=listener,
            earlier=earlier.all,
        )

    def _warm_start(
        self,
        store: Store | None,
        named: tuple[tuple[str, str], ...],
        listener: Callable[[LoopEvent], None] | None,
    ) -> WarmStart:
        """What earlier results are worth here; UsageError where a source has none."""
        pricing = Pricing(self.known, self.constraints)
        wanted = [o.name for o in self.objectives] + [c.name for c in self.constraints]
        parts = []
        for source, results in self.earlier.sources(store, named, self.fidelity).items():
            found = warm_start(results, self.space, pricing, wanted, self.fidelity)
            if not found.all:
                raise UsageError(f"warm_start: {found.describe(source)}. {found.reason}".strip())
            if listener is not None:
                listener(Notice(found.describe(source)))
            parts.append(found)
        return join(parts)

    @contextmanager
    def _journal(
        self,
        store: Store | str | Path | None,
        study: str | None,
        listener: Callable[[LoopEvent], None] | None,
    ) -> Iterator[tuple[Journal | None, str | None, WarmStart]]:
        """The store, with the study in it and claimed; nothing where there is no store."""
        if store is None:
            yield None, study, self._warm_start(None, self.earlier.named(None, None), listener)
            return
        from nas.store.store import Store

        spec = self._spec(study or DEFAULT_STUDY)
        opened = store if isinstance(store, Store) else Store.open(store, create=not self.earlier.studies)
        try:
            with opened.claim_study(spec.name):
                stored = _stored_spec(opened, spec.name)
                spec = replace(spec, warm_start=self.earlier.named(opened, stored))
                earlier = self._warm_start(opened, spec.warm_start, listener)
                _keep_spec(opened, spec, stored)
                yield opened, spec.name, earlier
        finally:
            if opened is not store:
                opened.close()

    def _spec(self, name: str) -> StudySpec:
        text = self.space.text or json.dumps({d.name: list(d.options) for d in self.space.decisions})
        return StudySpec(
            name=name,
            space=self.space.name,
            space_text=text,
            targets=(),
            objectives=self.objectives,
            constraints=self.constraints,
            data="function",
            searcher=self.searcher.name,
            trials=self.trials,
            epochs=self.fidelity,
            seed=self.seed,
            rungs=self.rungs,
            stop_below=self.stop_below,
            repeats=self.repeats,
        )


def _stored_spec(store: Store, name: str) -> StudySpec | None:
    """The settings of a study; None where there is none of this name."""
    found = (record.spec for record in store.studies() if record.name == name)
    text = next(found, None)
    return None if text is None else StudySpec.from_json(text)


def _keep_spec(store: Store, spec: StudySpec, stored: StudySpec | None) -> None:
    """Creates the study, or goes on with one of equal settings; UsageError shows how they differ."""
    from nas.store.records import StudyRecord

    if stored is None:
        store.create_study(StudyRecord(spec.name, spec.to_json()))
        return
    differences = stored.differences(spec)
    if differences:
        raise UsageError(
            f"study {spec.name!r} exists with other settings ({'; '.join(differences)}).\n"
            "Give this search another `study` name, or the settings it began with."
        )
    store.update_study_spec(spec.name, replace(stored, trials=spec.trials).to_json())


def _space(space: Space | Mapping[str, Sequence[Any]] | str | Path, registry: Registry) -> Space:
    if isinstance(space, Space):
        return space
    if isinstance(space, Mapping):
        return Space.flat(space)
    if isinstance(space, str | Path):
        from nas.spaces.read import load_space

        return load_space(space, registry)
    raise UsageError(f"space must be a Space, a name, a path or a mapping, not {type(space).__name__}")


def _quantiles(
    limits: Sequence[Constraint], known: Mapping[str, Callable[[Any], Any]]
) -> dict[str, Callable[[Any], Any]]:
    """The prices behind the limits that are to be kept with some confidence, from those of the medians."""
    found = {}
    for name in (limit.name for limit in limits if limit.name not in known):
        median, confidence = split_quantile(name)
        if confidence == MEDIAN or median not in known:
            continue
        at = getattr(known[median], "at", None)
        if at is None:
            raise UsageError(
                f"a limit on {median!r} with a confidence needs its interval, and known[{median!r}] gives "
                f"one number.\nGive a price of a nas.costs.CostTable, or known[{name!r}] of your own."
            )
        found[name] = at(name)
    return found


def _listed(constraints: Sequence[str | Constraint]) -> Sequence[str | Constraint]:
    return [constraints] if isinstance(constraints, str | Constraint) else constraints
