"""A small world to search in: spaces, prices, evaluators, and a loop to run them in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nas.search.builtin import nas_searchers
from nas.search.contracts import Evaluator, Price
from nas.search.inprocess import run_in_process
from nas.search.loop import StudyLoop
from nas.search.objective import Constraint, Objective
from nas.search.searcher import SearcherSetup
from nas.search.trial import TrialRequest, TrialResult, TrialState
from nas.spaces.architecture import Architecture
from nas.spaces.decision import Decision, Slot
from nas.spaces.space import Space

SEARCHERS = [factory.name for factory in nas_searchers()]
QUICK_SEARCHERS = [name for name in SEARCHERS if name != "optuna-gp"]
ERROR = Objective("error", "min")
COST = Objective("cost", "min")
BOTH = (ERROR, COST)


def flat_space(*options: int) -> Space:
    """A space of decisions a, b, c, ... with so many options each."""
    return Space.flat({chr(ord("a") + i): list(range(n)) for i, n in enumerate(options)})


class BranchSpace:
    """A space with what a flat one lacks: a decision that may not matter, and combinations that do not fit.

    `depth` 0 leaves `second` without a meaning; with depth 1, `first` and `second` may not be equal. With
    `twins`, first 0 and first 1 are the same network.
    """

    name = "branch"
    text = ""

    def __init__(self, options: int = 4, twins: bool = False) -> None:
        values = tuple(range(options))
        self.decisions = (
            Decision("depth", (0, 1)),
            Decision("first", values),
            Decision("second", values),
        )
        self.slots = (Slot("whole", (0, 1, 2)),)
        self._twins = twins
        self._vectors = [
            vector
            for vector in itertools.product((0, 1), values, values)
            if self.is_valid(vector) and tuple(self.canonical(vector)) == vector
        ]

    def __repr__(self) -> str:
        return f"BranchSpace of {len(self._vectors)}"

    def size(self) -> int:
        return len(self._vectors)

    def is_valid(self, vector: Sequence[int]) -> bool:
        depth, first, second = (int(value) for value in vector)
        return depth == 0 or first != second

    def canonical(self, vector: Sequence[int]) -> np.ndarray:
        depth, first, second = (int(value) for value in vector)
        return np.array([depth, first, second if depth else 0], dtype=np.int64)

    def active(self, vector: Sequence[int]) -> list[int]:
        return [0, 1, 2] if vector[0] else [0, 1]

    def decode(self, vector: Sequence[int]) -> Architecture:
        depth, first, second = (int(value) for value in self.canonical(vector))
        assert self.is_valid(vector)
        choices = (("depth", depth), ("first", first), *((("second", second),) if depth else ()))
        architecture = Architecture(None, choices)
        if self._twins:
            seen = {**dict(choices), "first": max(first, 1)}
            architecture.__dict__["hash"] = Architecture(None, tuple(seen.items())).hash
        return architecture

    def encode(self, architecture: Architecture) -> np.ndarray:
        values = architecture.values()
        return np.array([values["depth"], values["first"], values.get("second", 0)], dtype=np.int64)

    def enumerate(self) -> Iterator[np.ndarray]:
        yield from (np.array(vector, dtype=np.int64) for vector in self._vectors)

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self.decode(self._vectors[int(rng.integers(len(self._vectors)))])

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        while (other := self.sample(rng)) == architecture:
            pass
        return other

    def crossover(self, one: Architecture, other: Architecture, rng: np.random.Generator) -> Architecture:
        return (one, other)[int(rng.integers(2))]


def price(architectures: Sequence[Architecture]) -> list[float]:
    """The known cost: grows with every option."""
    return [1.0 + sum(architecture.values().values()) for architecture in architectures]


def error_of(architecture: Architecture) -> float:
    """The error: falls with every option, with a little that depends on the whole."""
    wobble = int(architecture.hash[:6], 16) / 16**6
    return 10.0 / (1.0 + sum(architecture.values().values())) + 0.1 * wobble


class Toy:
    """Evaluates and counts; `behaviour` maps the n-th call (from 0) to an exception that it raises."""

    def __init__(self, behaviour: Mapping[int, BaseException] | None = None) -> None:
        self.hashes: list[str] = []
        self._behaviour = behaviour or {}

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        call = len(self.hashes)
        self.hashes.append(request.architecture.hash)
        for step in range(1, request.fidelity + 1):
            if call in self._behaviour:
                raise self._behaviour[call]
            yield {"error": error_of(request.architecture) + 1.0 / step}


def make_searcher(
    name: str,
    space: Any,
    objectives: Sequence[Objective] = BOTH,
    known: Mapping[str, Price] | None = None,
    constraints: Sequence[Constraint] = (),
    seed: int = 0,
) -> Any:
    """A fresh searcher by name."""
    factory = next(factory for factory in nas_searchers() if factory.name == name)
    known = {"cost": price} if known is None else known
    return factory.create(SearcherSetup(space, tuple(objectives), known, constraints, seed))


def make_loop(
    searcher: str | Any = "random",
    space: Any = None,
    *,
    objectives: Sequence[Objective] = BOTH,
    known: Mapping[str, Price] | None = None,
    constraints: Sequence[str] = (),
    seed: int = 0,
    **settings: Any,
) -> StudyLoop:
    """A study loop over a toy space, its cost known."""
    space = flat_space(4, 4, 4) if space is None else space
    known = {"cost": price} if known is None else known
    limits = tuple(Constraint.parse(text) for text in constraints)
    if isinstance(searcher, str):
        searcher = make_searcher(searcher, space, objectives, known, limits, seed)
    return StudyLoop(
        space=space,
        searcher=searcher,
        objectives=objectives,
        known=known,
        constraints=limits,
        seed=seed,
        **settings,
    )


def run(loop: StudyLoop, evaluate: Evaluator | None = None) -> StudyLoop:
    """Runs a loop to its end."""
    run_in_process(loop, evaluate or Toy())
    return loop


def hashes(loop: StudyLoop) -> list[str]:
    """The architectures of the ended trials, in order."""
    return [result.architecture.hash for result in loop.results]


def result(
    values: Mapping[str, float], number: int = 0, state: TrialState = TrialState.FINISHED, **choices: Any
) -> TrialResult:
    """A result with these values; its architecture is told from others by number and choices."""
    return TrialResult(Architecture(None, (("n", number), *choices.items())), state, values, 1, number)
