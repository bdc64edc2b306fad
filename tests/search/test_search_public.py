"""The public face of the room, and the room on the spaces that come with nas."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from search_toys import QUICK_SEARCHERS, make_loop, run

from nas.plugins import default_registry
from nas.search.journal import MemoryJournal
from nas.search.objective import Objective
from nas.search.trial import TrialRequest, TrialState
from nas.spaces import Architecture, Space, load_space

PACKAGE = importlib.import_module("nas.search")
ACCURACY = Objective("accuracy", "max")
SIZE = Objective("size", "min")


def test_public_names_are_sorted_and_all_there() -> None:
    assert PACKAGE.__all__ == sorted(PACKAGE.__all__)
    for name in PACKAGE.__all__:
        assert getattr(PACKAGE, name) is not None


def test_a_function_stays_one_when_its_module_is_imported() -> None:
    importlib.import_module("nas.search.dominated_volume")
    assert PACKAGE.hypervolume([[1.0, 2.0]], [3.0, 3.0]) == 2.0


def test_type_checkers_see_the_names_that_exist() -> None:
    tree = ast.parse(Path(str(PACKAGE.__file__)).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(PACKAGE.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        PACKAGE.nothing  # noqa: B018


def sizes(architectures: Sequence[Architecture]) -> list[float]:
    """A price that every network has: its layers and their widths."""
    found = []
    for architecture in architectures:
        assert architecture.network is not None
        found.append(1.0 + sum(getattr(element, "width", None) or 8 for element in architecture.network))
    return found


def accuracy(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    yield {"accuracy": 1.0 - 1.0 / sizes([request.architecture])[0]}


@pytest.fixture(scope="module", params=["tiny", "cell"])
def space(request: pytest.FixtureRequest) -> Space:
    return load_space(request.param, default_registry())


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
def test_every_searcher_works_on_real_spaces_and_resumes(searcher: str, space: Space) -> None:
    settings = {"objectives": (ACCURACY, SIZE), "known": {"size": sizes}}
    straight = run(make_loop(searcher, space, trials=14, **settings), accuracy)  # type: ignore[arg-type]
    assert [result.state for result in straight.results] == [TrialState.FINISHED] * 14
    assert len({result.architecture.hash for result in straight.results}) == 14
    journal = MemoryJournal()
    run(make_loop(searcher, space, trials=9, store=journal, **settings), accuracy)  # type: ignore[arg-type]
    loop = make_loop(searcher, space, trials=14, store=journal, **settings)  # type: ignore[arg-type]
    loop.resume()
    run(loop, accuracy)
    assert [r.architecture for r in loop.results] == [r.architecture for r in straight.results]


@pytest.mark.parametrize("searcher", ["random", "evolution"])
def test_constraints_on_real_spaces(searcher: str, space: Space) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    limit = float(np.median(sizes([space.sample(rng) for _ in range(50)])))
    loop = make_loop(
        searcher,
        space,
        objectives=(ACCURACY, SIZE),
        known={"size": sizes},
        constraints=[f"size<={limit}"],
        trials=10,
    )
    run(loop, accuracy)
    assert len(loop.results) == 10
    assert all(result.values["size"] <= limit for result in loop.results)
