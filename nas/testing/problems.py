"""Small problems to search: spaces built here, values computed from an architecture's choices alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from nas.blocks import Block
from nas.search import Constraint, Objective, SearcherSetup, TrialResult, TrialState
from nas.search.contracts import Price
from nas.spaces import Architecture, Choice, Signature, Space, parse_space

TREE = """
name = "tree"
input = { domain = "image", channels = 3, size = [16, 16] }
classes = 10

[stem]
use = "stem"
width = [8, 12]

[[stages]]
depth = [1, 2]
width = [8, 16]
stride = 2
blocks = [
  { use = "plain", kernel = [3, 5] },
  { use = "holder", mixer = [{ use = "pool" }, { use = "heads", head = [4, 8] }] },
]

[head]
use = "head"
"""
METRICS = ("error", "score", "cost")
DIRECTIONS: Mapping[str, str] = {"error": "min", "score": "max", "cost": "min"}


@dataclass(frozen=True)
class Problem:
    """A space and what is optimised in it: ``error`` (min), ``score`` (max), ``cost`` (min).

    The cost is known beforehand where it is an objective or `limit` bounds it; `least` is a limit on the
    score.
    """

    name: str
    space: Space
    metrics: tuple[str, ...] = ("error",)
    limit: float | None = None
    least: float | None = None

    def __str__(self) -> str:
        return f"the problem {self.name!r}: {self.space!r}, objectives {', '.join(self.metrics)}"

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is optimised."""
        return tuple(Objective(name, DIRECTIONS[name]) for name in self.metrics)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """A limit on the known cost, and one on a metric that only an evaluation tells."""
        limits = (("cost", "<=", self.limit), ("score", ">=", self.least))
        return tuple(Constraint(name, sign, limit) for name, sign, limit in limits if limit is not None)

    @property
    def known(self) -> dict[str, Price]:
        """The price of the cost, where somebody asks for it."""
        return {"cost": self.costs} if "cost" in self.metrics or self.limit is not None else {}

    def setup(self, seed: int = 0, trials: int = 100) -> SearcherSetup:
        """What a searcher is made of."""
        return SearcherSetup(self.space, self.objectives, self.known, self.constraints, seed, trials)

    def values(self, architecture: Architecture) -> dict[str, float]:
        """Everything that can be known of an architecture."""
        total = 1.0 + float(self.space.encode(architecture).sum())
        wobble = int(hashlib.sha256(architecture.hash.encode()).hexdigest()[:6], 16) / 16**6
        return {"error": 10.0 / total + 0.1 * wobble, "score": 1.0 / total + wobble, "cost": total}

    def costs(self, architectures: Sequence[Architecture]) -> list[float]:
        """The known cost: grows with every option."""
        return [self.values(architecture)["cost"] for architecture in architectures]

    def result(
        self, architecture: Architecture, number: int, state: TrialState = TrialState.FINISHED
    ) -> TrialResult:
        """What a searcher is told of an architecture: its values where the trial finished."""
        values = self.values(architecture) if state is TrialState.FINISHED else {}
        wanted = {name: values[name] for name in (*self.metrics, *self._limited) if name in values}
        return TrialResult(architecture, state, wanted, 1, number)

    @property
    def _limited(self) -> list[str]:
        return [limit.name for limit in self.constraints]


def flat_space(*options: int) -> Space:
    """A space of decisions a, b, c, ... with so many options each."""
    return Space.flat({chr(ord("a") + place): list(range(count)) for place, count in enumerate(options)})


@cache
def tree_space() -> Space:
    """Networks with a depth, blocks in blocks, and a block that does not fit everywhere; nothing is built."""
    return parse_space(TREE, {block.name: block for block in _blocks()})


def problems() -> list[Problem]:
    """One, two and three objectives, with and without known costs and constraints, flat and as a tree."""
    return [
        Problem("one objective", flat_space(6, 6, 6)),
        Problem("two objectives", flat_space(5, 5, 5), ("error", "cost")),
        Problem("three objectives", flat_space(4, 4, 4, 4), ("error", "score", "cost"), least=0.3),
        Problem("tree", tree_space(), ("score", "cost")),
    ]


def constrained_problems() -> list[Problem]:
    """Problems whose known cost is limited: most architectures are too dear."""
    return [
        Problem("limited cost", flat_space(6, 6, 6), ("error", "cost"), limit=7.0),
        Problem("limited cost beside the objective", tree_space(), ("error",), limit=5.0),
    ]


def _fits_heads(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    return bool(signature.channels % knobs["head"] == 0)


def _blocks() -> list[Block]:
    build = "nas.testing.problems:Nothing"
    return [
        Block("stem", "stem", "image", build),
        Block("plain", "block", "image", build, {"kernel": Choice(3, 5)}),
        Block("holder", "block", "image", build, {"mixer": Choice(role="mixer")}),
        Block("pool", "mixer", "image", build),
        Block("heads", "mixer", "image", build, {"head": Choice(4, 8)}, valid=_fits_heads),
        Block("head", "head", "image", build),
    ]


class Nothing:
    """What the blocks of these spaces would build: nobody builds them."""
