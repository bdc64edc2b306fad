"""The searchers that come with nas, offered as any plugin offers its own."""

from __future__ import annotations

from nas.plugins.hookspecs import hookimpl
from nas.search.searcher import SearcherFactory

_HOME = "nas.search.searchers"


@hookimpl
def nas_searchers() -> list[SearcherFactory]:
    """Random search, evolution, and three of Optuna's samplers."""
    return [
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
            "optuna-nsga2", f"{_HOME}.optuna_search:build_nsga2", "Optuna's NSGA-II in generations of 20"
        ),
        SearcherFactory(
            "optuna-tpe", f"{_HOME}.optuna_search:build_tpe", "Optuna's tree-structured Parzen estimator"
        ),
        SearcherFactory(
            "optuna-gp", f"{_HOME}.optuna_search:build_gp", "Optuna's Gaussian process; needs scipy and torch"
        ),
    ]
