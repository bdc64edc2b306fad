"""The searchers that come with nas, offered as any plugin offers its own."""

from __future__ import annotations

from nas.plugins.hookspecs import hookimpl
from nas.search.searcher import SearcherFactory

_HOME = "nas.search.searchers"


@hookimpl
def nas_searchers() -> list[SearcherFactory]:
    """The model-based search, random and local search, evolution, and three of Optuna's samplers."""
    return [
        SearcherFactory(
            "pareto",
            f"{_HOME}.pareto:Pareto",
            "a surrogate of what must be learnt, exact known costs, expected hypervolume improvement",
        ),
        SearcherFactory(
            "random",
            f"{_HOME}.random_search:RandomSearch",
            "independent random architectures that keep the constraints",
        ),
        SearcherFactory(
            "evolution",
            f"{_HOME}.evolution:Evolution",
            "ageing multi-objective evolution, offspring chosen by known costs",
        ),
        SearcherFactory(
            "local", f"{_HOME}.local:LocalSearch", "the neighbourhood of the front, one decision at a time"
        ),
        SearcherFactory(
            "optuna-nsga2", f"{_HOME}.optuna_search:build_nsga2", "Optuna's NSGA-II in generations of 20"
        ),
        SearcherFactory(
            "optuna-tpe", f"{_HOME}.optuna_search:build_tpe", "Optuna's tree-structured Parzen estimator"
        ),
        SearcherFactory(
            "optuna-gp", f"{_HOME}.optuna_search:build_gp", "Optuna's Gaussian process; needs scipy and torch"
        ),
    ]
