"""The settings of one `nas.search` call, checked, and its run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UsageError
from nas.search.contracts import Price, Runner
from nas.search.events import LoopEvent
from nas.search.feasibility import find_allowed
from nas.search.functions import FunctionEvaluator, make_evaluator
from nas.search.inprocess import run_in_process
from nas.search.journal import Journal
from nas.search.loop import StudyLoop, check_settings
from nas.search.objective import Constraint, Objective
from nas.search.prices import FunctionPrice, Pricing
from nas.search.result import SearchResult, result_of
from nas.search.searcher import SearcherFactory, SearcherSetup
from nas.search.study import StudySpec
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

    @classmethod
    def check(
        cls,
        *,
        space: Space | Mapping[str, Sequence[Any]] | str | Path,
        evaluate: Callable[[Any], Any],
        objectives: Mapping[str, str],
        known: Mapping[str, Callable[[Any], Any]],
        constraints: Sequence[str | Constraint],
        searcher: str,
        trials: int,
        seed: int,
        fidelity: int,
        registry: Registry | None,
    ) -> SearchCall:
        """The call of these settings; raises InputError where they cannot work."""
        from nas.plugins.registry import default_registry

        if not isinstance(objectives, Mapping):
            raise UsageError('objectives maps names to directions, e.g. {"error": "min"}')
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UsageError(f"seed must be a whole number of at least 0, not {seed!r}")
        goals = tuple(Objective(name, direction) for name, direction in objectives.items())
        check_settings(goals, trials=trials, fidelity=fidelity)
        registry = registry if registry is not None else default_registry()
        limits = tuple(Constraint.parse(c) if isinstance(c, str) else c for c in _listed(constraints))
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
        with self._journal(store, study) as (journal, name):
            loop = self._loop(journal, name, folder, listener)
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
            store=journal,
            study=study,
            directory=directory,
            listener=listener,
        )

    @contextmanager
    def _journal(
        self, store: Store | str | Path | None, study: str | None
    ) -> Iterator[tuple[Journal | None, str | None]]:
        """The store, with the study in it and claimed; nothing where there is no store."""
        if store is None:
            yield None, study
            return
        from nas.store.store import Store

        spec = self._spec(study or DEFAULT_STUDY)
        opened = store if isinstance(store, Store) else Store.open(store)
        try:
            with opened.claim_study(spec.name):
                _keep_spec(opened, spec)
                yield opened, spec.name
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
        )


def _keep_spec(store: Store, spec: StudySpec) -> None:
    """Creates the study, or goes on with one of equal settings; UsageError shows how they differ."""
    from nas.store.records import StudyRecord

    if spec.name not in {record.name for record in store.studies()}:
        store.create_study(StudyRecord(spec.name, spec.to_json()))
        return
    stored = StudySpec.from_json(store.study(spec.name).spec)
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


def _listed(constraints: Sequence[str | Constraint]) -> Sequence[str | Constraint]:
    return [constraints] if isinstance(constraints, str | Constraint) else constraints
