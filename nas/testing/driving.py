"""Searchers asked and answered, alone and in a study loop. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from nas.errors import NasError
from nas.plugins import default_registry
from nas.search import (
    Journal,
    Searcher,
    SearcherFactory,
    StudyLoop,
    TrialRequest,
    TrialResult,
    run_in_process,
)
from nas.spaces import Architecture
from nas.testing.problems import Problem, problems

STUDY = "conformance"


def found_searcher(searcher: str | SearcherFactory) -> SearcherFactory:
    """The factory of a registered name, or the factory itself."""
    return default_registry().searchers[searcher] if isinstance(searcher, str) else searcher


def asked(searcher: Searcher, count: int) -> list[Architecture]:
    """What a searcher suggests, checked for its type."""
    found = searcher.ask(count)
    assert isinstance(found, list), f"ask({count}) gives {type(found).__name__}, not a list"
    for suggestion in found:
        assert isinstance(suggestion, Architecture), (
            f"suggests {type(suggestion).__name__}, not an Architecture"
        )
    return found


def drive(factory: SearcherFactory, problem: Problem, trials: int, seed: int = 0) -> list[Architecture]:
    """What a fresh searcher suggests one by one, each answered at once."""
    searcher = factory.create(problem.setup(seed, trials))
    found: list[Architecture] = []
    for number in range(trials):
        suggestions = asked(searcher, 1)
        assert suggestions, f"suggests nothing after {number} of {problem.space.size()} architectures"
        check_member(suggestions[0], problem)
        found.append(suggestions[0])
        searcher.tell([problem.result(suggestions[0], number)])
    return found


def check_member(architecture: Architecture, problem: Problem) -> None:
    """Fails where an architecture is not one of the problem's space."""
    try:
        vector = problem.space.encode(architecture)
    except NasError as error:
        raise AssertionError(f"suggests what is no architecture of the space: {error}") from None
    decoded = problem.space.decode(vector)
    assert problem.space.is_valid(vector), "suggests an architecture in which a block does not fit"
    assert decoded.hash == architecture.hash, "suggests an architecture that its choices do not lead to"


def hashes(architectures: Iterable[Architecture]) -> list[str]:
    """Their identities."""
    return [architecture.hash for architecture in architectures]


def suggested_hashes(searcher: str | SearcherFactory, trials: int) -> list[str]:
    """The first suggestions on a problem of two objectives."""
    return hashes(drive(found_searcher(searcher), problems()[1], trials))


def run_study(
    factory: SearcherFactory, problem: Problem, trials: int, store: Journal | None = None
) -> Sequence[TrialResult]:
    """The results of a study loop, begun or taken up, run to its end."""
    loop = StudyLoop(
        space=problem.space,
        searcher=factory.create(problem.setup(trials=trials)),
        objectives=problem.objectives,
        known=problem.known,
        constraints=problem.constraints,
        trials=trials,
        store=store,
        study=STUDY if store is not None else None,
    )
    loop.resume()
    run_in_process(loop, evaluator(problem))
    return loop.results


def evaluator(problem: Problem) -> Callable[[TrialRequest], Iterator[Mapping[str, float]]]:
    """Tells the values of a problem after one step."""

    def evaluate(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        yield problem.values(request.architecture)

    return evaluate
