"""A study being run: everything a StudySpec names, built and wired together."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas import __version__
from nas.errors import DataError, UsageError
from nas.search.events import LoopEvent, Notice, TrialEnded
from nas.search.inprocess import run_in_process
from nas.search.study import StudySpec
from nas.search.trial import TrialResult, TrialState
from nas.studies.baseline import baseline_spec, shared_runs
from nas.studies.costing import (
    StudyCosts,
    check_feasible,
    known_prices,
    needs_training,
    proxy_objectives,
    study_table,
    untrained,
)
from nas.studies.plugins import check_plugins, plugins_used, worker_plugins
from nas.studies.traces import StoredTraces
from nas.studies.warm_start import (
    ReusedFront,
    check_trainable,
    joined,
    reused_front,
    study_sources,
    with_sources,
)

if TYPE_CHECKING:
    from nas.costs import CostTable
    from nas.plugins import Registry
    from nas.search.contracts import Price, Runner, TrialSource
    from nas.search.loop import StudyLoop
    from nas.spaces import Space
    from nas.store import Store, TrialRecord
    from nas.training import TrainingEvaluator

Listener = Callable[[LoopEvent], None]


@dataclass(frozen=True)
class Session:
    """A study in its store, ready to run; `artifacts` is the folder that holds its trials' files.

    `reuses` names a study of the same task and seed whose finished trials are not trained again.
    """

    spec: StudySpec
    space: Space
    store: Store
    registry: Registry
    artifacts: Path
    table: CostTable
    reuses: str = ""
    force: bool = False

    def run(self, runner: Runner, listener: Listener | None = None) -> StudyLoop:
        """Runs the trials that are left; other processes cannot run the same study meanwhile.

        A study that asks for costs and proxies alone trains nothing, and its trials all run here.
        """
        with ExitStack() as stack:
            stack.enter_context(self.store.claim_study(self.spec.name))
            loop = self._loop(listener)
            loop.resume()
            if needs_training(self.spec, self.registry):
                runner.run(self._unless_known(loop), self._evaluator())
            else:
                run_in_process(loop, untrained)
        return loop

    def _evaluator(self) -> TrainingEvaluator:
        from nas.plugins import PluginNeeds
        from nas.training import TrainingEvaluator, recipe_from

        return TrainingEvaluator(
            self.spec.data,
            recipe_from(dict(self.spec.recipe)),
            minimum_map=self.spec.minimum_map,
            plugins=PluginNeeds.of(worker_plugins(self.spec, self.space, self.registry)),
        )

    def reused_front(self, own: Sequence[TrialRecord]) -> ReusedFront:
        """Where the results of earlier studies stand beside the study's own front."""
        sources = study_sources(self.spec, self.space, self.store, self.table)
        return reused_front(self.spec, own, joined(sources))

    def _unless_known(self, loop: StudyLoop) -> TrialSource:
        """The loop, whose trials end at once where the study that this one reuses ran them."""
        from nas.search.reuse import ReusingSource

        return ReusingSource(loop, shared_runs(self.store, self.reuses)) if self.reuses else loop

    def _loop(self, listener: Listener | None) -> StudyLoop:
        from nas.search.loop import StudyLoop
        from nas.search.searcher import SearcherSetup

        spec = self.spec
        wanted = proxy_objectives(spec, self.registry)
        known = known_prices(spec, self.table, self._proxies(wanted))
        setup = SearcherSetup(
            self.space,
            spec.objectives,
            known,
            spec.constraints,
            spec.seed,
            spec.trials,
            proxies=self._proxies(spec.proxies),
        )

        def heard(event: LoopEvent) -> None:
            self._keep(event)
            if listener is not None:
                listener(event)

        sources = study_sources(spec, self.space, self.store, self.table)
        for name, found in sources.items():
            heard(Notice(found.describe(f"study {name!r}")))
        return StudyLoop(
            space=self.space,
            searcher=self.registry.searchers[spec.searcher].create(setup),
            objectives=spec.objectives,
            known=known,
            constraints=spec.constraints,
            trials=spec.trials,
            fidelity=spec.epochs if needs_training(spec, self.registry) else 1,
            seed=spec.seed,
            rungs=spec.rungs,
            stop_below=spec.stop_below,
            repeats=spec.repeats,
            store=self.store,
            study=spec.name,
            directory=self.artifacts if needs_training(spec, self.registry) else None,
            costs=StudyCosts(self.table),
            listener=heard,
            force=self.force,
            earlier=joined(sources).all,
        )

    def _proxies(self, names: Sequence[str]) -> Mapping[str, Price]:
        """Zero-cost proxies by name; their scores are kept in the store."""
        from nas.studies.proxies import ProxyPrices

        return ProxyPrices(self.spec, names, self.registry, self.store) if names else {}

    def _keep(self, event: LoopEvent) -> None:
        """Records the weights of an ended trial, then tells the plugins."""
        if not isinstance(event, TrialEnded):
            return
        weights = self.artifacts / str(event.result.number) / "weights.safetensors"
        if event.result.state is TrialState.FINISHED and weights.is_file():
            digest = hashlib.sha256(weights.read_bytes()).hexdigest()
            self.store.add_artifact(
                self.spec.name,
                event.result.number,
                "weights",
                f"{event.result.number}/{weights.name}",
                digest,
                weights.stat().st_size,
            )
        self._notify(event.result)

    def _notify(self, result: TrialResult) -> None:
        for warning in self.registry.manager.notify(
            "nas_trial_finished", study=self.spec.name, result=result
        ):
            sys.stderr.write(f"warning: {warning}\n")


def artifacts_folder(store_url: str, given: str | None, study: str) -> Path:
    """Where the files of a study's trials go: beside a SQLite store, else in the current folder."""
    if given is not None:
        return Path(given) / study
    path = store_url.removeprefix("sqlite:///")
    beside = Path(path).parent if "://" not in path else Path()
    return beside / "nas-artifacts" / study


def create_session(
    spec: StudySpec,
    space: Space,
    store_url: str,
    registry: Registry,
    artifacts: str | None = None,
    *,
    named: bool,
    force: bool = False,
) -> Session:
    """Opens the data and the store and creates the study, or goes on with one of equal settings.

    `named` says that the user chose the name: then a study of other settings is an error; otherwise the next
    free name is taken. `force` leaves out the look whether anything keeps the constraints. Everything else
    that can be wrong with the input is found before anything is written.
    """
    from nas.store import Store
    from nas.training import open_task, recipe_from

    recipe_from(dict(spec.recipe))
    traces = StoredTraces(store_url)
    table = study_table(spec, space, registry, traces)
    if not force:
        check_feasible(spec, space, table)
    spec = replace(spec, data_fingerprint=open_task(spec.data, registry).fingerprint)
    store = Store.open(store_url, create=not spec.warm_start)
    try:
        existing = {record.name: record.spec for record in store.studies()}
        if not named:
            spec = replace(spec, name=_free_name(spec.name, existing))
        if spec.warm_start:
            spec = with_sources(spec, existing, store, space, table)
        if spec.name in existing:
            stored = StudySpec.from_json(existing[spec.name])
            _check_same(spec, stored)
            spec = replace(spec, baseline=spec.baseline or stored.baseline)
        if spec.baseline and spec.baseline_name in existing:
            _check_same(baseline_spec(spec), StudySpec.from_json(existing[spec.baseline_name]))
        _keep_study(store, spec, registry, space, existing)
        traces.attach(store)
    except BaseException:
        store.close()
        raise
    folder = artifacts_folder(store_url, artifacts, spec.name)
    return Session(spec, space, store, registry, folder, table, force=force)


def baseline_session(session: Session) -> Session | None:
    """The baseline of a study, ready to run in the same store; None where the study has none.

    It shares the results of the study: the same architecture at the same seed is not trained again.
    """
    if not session.spec.baseline:
        return None
    spec = baseline_spec(session.spec)
    existing = {record.name: record.spec for record in session.store.studies()}
    if spec.name in existing:
        _check_same(spec, StudySpec.from_json(existing[spec.name]))
    _keep_study(session.store, spec, session.registry, session.space, existing)
    return replace(
        session, spec=spec, artifacts=session.artifacts.parent / spec.name, reuses=session.spec.name
    )


def _keep_study(
    store: Store, spec: StudySpec, registry: Registry, space: Space, existing: Mapping[str, str]
) -> None:
    """Creates the study, or keeps the settings that may change of one that exists."""
    if spec.name in existing:
        store.update_study_spec(spec.name, spec.to_json())
    else:
        _create(store, spec, registry, space)


def _create(store: Store, spec: StudySpec, registry: Registry, space: Space) -> None:
    from datetime import UTC, datetime

    from nas.store import StudyRecord

    created = datetime.now(UTC).isoformat(timespec="seconds")
    store.create_study(StudyRecord(spec.name, spec.to_json(), created, __version__))
    store.record_plugins(spec.name, plugins_used(spec, space, registry))


def open_session(
    name: str, store_url: str, registry: Registry, artifacts: str | None = None, *, trials: int | None = None
) -> Session:
    """The session of a stored study; `trials` sets a new total budget.

    Raises DataError where the data is no longer what the study began with, MissingPluginError where a plugin
    that the study uses is not loaded.
    """
    from nas.spaces import parse_space
    from nas.store import Store
    from nas.training import open_task

    store = Store.open(store_url, create=False)
    try:
        spec = StudySpec.from_json(store.study(name).spec)
        check_trainable(spec)
        check_plugins(store, name, registry)
        space = parse_space(spec.space_text, registry.blocks, origin=spec.space)
        store.record_plugins(name, plugins_used(spec, space, registry))
        found = open_task(spec.data, registry).fingerprint
        if found != spec.data_fingerprint:
            raise DataError(f"the data {spec.data!r} changed since study {name!r} began: start a new study")
        if trials is not None and trials != spec.trials:
            spec = replace(spec, trials=trials)
            store.update_study_spec(name, spec.to_json())
    except BaseException:
        store.close()
        raise
    table = study_table(spec, space, registry, StoredTraces.of(store))
    return Session(spec, space, store, registry, artifacts_folder(store_url, artifacts, name), table)


def _check_same(wanted: StudySpec, stored: StudySpec) -> None:
    differences = stored.differences(wanted)
    if differences:
        raise UsageError(
            f"study {wanted.name!r} exists with other settings ({'; '.join(differences)}).\n"
            f"Go on with it by 'nas resume {wanted.name}', or choose another --study name."
        )


def _free_name(name: str, taken: object) -> str:
    assert isinstance(taken, dict)
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"
