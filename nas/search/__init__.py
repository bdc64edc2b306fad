"""Searching: objectives, searchers, the study loop, fronts. No torch, no ray."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports

if TYPE_CHECKING:
    from nas.search.api import search
    from nas.search.contracts import Evaluator, Price, Runner, Searcher, TrialSource
    from nas.search.dominated_volume import hypervolume
    from nas.search.front import Front, crowding_distance, front_of, non_dominated, non_dominated_ranks
    from nas.search.inprocess import run_in_process
    from nas.search.journal import Journal, MemoryJournal
    from nas.search.loop import StudyLoop
    from nas.search.objective import Constraint, Objective
    from nas.search.result import SearchResult
    from nas.search.searcher import SearcherFactory, SearcherSetup
    from nas.search.study import StudySpec
    from nas.search.trial import TrialRequest, TrialResult, TrialState

_HOMES = {
    "Constraint": "objective",
    "Evaluator": "contracts",
    "Front": "front",
    "Journal": "journal",
    "MemoryJournal": "journal",
    "Objective": "objective",
    "Price": "contracts",
    "Runner": "contracts",
    "SearchResult": "result",
    "Searcher": "contracts",
    "SearcherFactory": "searcher",
    "SearcherSetup": "searcher",
    "StudyLoop": "loop",
    "StudySpec": "study",
    "TrialRequest": "trial",
    "TrialResult": "trial",
    "TrialSource": "contracts",
    "TrialState": "trial",
    "crowding_distance": "front",
    "front_of": "front",
    "hypervolume": "dominated_volume",
    "non_dominated": "front",
    "non_dominated_ranks": "front",
    "run_in_process": "inprocess",
    "search": "api",
}

__all__ = [
    "Constraint",
    "Evaluator",
    "Front",
    "Journal",
    "MemoryJournal",
    "Objective",
    "Price",
    "Runner",
    "SearchResult",
    "Searcher",
    "SearcherFactory",
    "SearcherSetup",
    "StudyLoop",
    "StudySpec",
    "TrialRequest",
    "TrialResult",
    "TrialSource",
    "TrialState",
    "crowding_distance",
    "front_of",
    "hypervolume",
    "non_dominated",
    "non_dominated_ranks",
    "run_in_process",
    "search",
]

__getattr__ = lazy_exports(__name__, {name: f"nas.search.{module}" for name, module in _HOMES.items()})
