"""`nas.search`: a search as one call. Importing this imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.plugins.registry import Registry
    from nas.search.contracts import Runner
    from nas.search.earlier import Given
    from nas.search.events import LoopEvent
    from nas.search.objective import Constraint
    from nas.search.result import SearchResult
    from nas.spaces.space import Space
    from nas.store.store import Store


def search(
    space: Space | Mapping[str, Sequence[Any]] | str | Path,
    evaluate: Callable[[Any], Any],
    objectives: Mapping[str, str],
    *,
    known: Mapping[str, Callable[[Any], Any]] | None = None,
    constraints: Sequence[str | Constraint] = (),
    confidence: float = 0.5,
    searcher: str = "pareto",
    trials: int = 100,
    seed: int = 0,
    fidelity: int = 1,
    rungs: int = 1,
    stop_below: float = 0.0,
    repeats: int = 1,
    runner: Runner | None = None,
    store: Store | str | Path | None = None,
    study: str | None = None,
    directory: str | Path | None = None,
    registry: Registry | None = None,
    listener: Callable[[LoopEvent], None] | None = None,
    warm_start: Given = (),
) -> SearchResult:
    """Searches a space for the architectures that no other one beats.

    `space` is a Space, the name or path of one, or a mapping from decisions to their options. `evaluate`
    takes an architecture and returns its metrics by name (a single number where one objective waits for it),
    or yields them step by step; where its argument is called ``request`` it gets the whole TrialRequest.
    `objectives` maps names to ``"min"`` or ``"max"``. `known` holds the objectives and constrained costs
    that need no evaluation: functions of an architecture, or of a sequence of them. `constraints` are
    texts such as ``"latency<=2"``; those on a known latency are kept with the probability `confidence`,
    which needs a price of a `nas.costs.CostTable` (``known={"latency": table.price("latency")}``).
    `fidelity` is the number of steps of a trial; with several `rungs` it pauses on the way (27 steps and
    3 rungs: after 3 and 9), and only the best third goes on. A trial whose chance to join the front falls
    below `stop_below` is stopped. With `repeats` the best architectures are evaluated up to so often,
    each time with another seed, and count with their means: see `runs` and `standard_error` of the
    results on the front. `runner` is where trials run (here, one after the other). With a `store`
    everything is kept under the name `study` (``search``), and the same call goes on where the last one
    ended.

    `warm_start` are results of earlier searches: a SearchResult, TrialResults, or names of studies in the
    `store`, also imported ones. What is of this space is told to the searcher first, with `known` objectives
    priced afresh. Results of the same `fidelity` are never evaluated again and stand on the front, marked by
    their `source`; others only guide the searcher. That `evaluate` is the same as then is not checked.

    Raises InputError for settings that cannot work, TrialError where a known objective fails; an evaluation
    that fails is a failed trial.

    >>> result = search({"x": [-1, 0, 1, 2]}, lambda a: a.values()["x"] ** 2, {"y": "min"})
    >>> result.best.architecture.values(), len(result.trials)
    ({'x': 0}, 4)
    """
    from nas.search.call import SearchCall

    call = SearchCall.check(
        space=space,
        evaluate=evaluate,
        objectives=objectives,
        known=known or {},
        constraints=constraints,
        confidence=confidence,
        searcher=searcher,
        trials=trials,
        seed=seed,
        fidelity=fidelity,
        rungs=rungs,
        stop_below=stop_below,
        repeats=repeats,
        registry=registry,
        given=warm_start,
    )
    return call.run(runner=runner, store=store, study=study, directory=directory, listener=listener)
