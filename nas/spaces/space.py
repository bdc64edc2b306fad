"""A search space: its decisions, and the architectures they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import SpaceError, suggestion
from nas.spaces.architecture import Architecture
from nas.spaces.decision import Decision, Instance, Slot, Values
from nas.spaces.flat import FlatModel
from nas.spaces.layout import lay_out
from nas.spaces.model import Model, TreeModel
from nas.spaces.signature import Signature
from nas.spaces.tree import Chain
from nas.spaces.values import option_problem
from nas.spaces.variation import Variation

if TYPE_CHECKING:
    from nas.blocks.block import Block


class Space:
    """A set of architectures, each a vector of small integers: for every decision the option taken.

    Made by `load_space`, `parse_space`, `Space.of_tree` or `Space.flat`. A vector is canonical where every
    decision that does not matter is 0, and valid where every block fits where it stands; all methods that
    make vectors or architectures make valid canonical ones.

    >>> import numpy
    >>> space = Space.flat({"lr": [0.1, 0.01], "depth": [1, 2, 3]})
    >>> space.size()
    6
    >>> space.decode(numpy.array([1, 2])).values()
    {'lr': 0.01, 'depth': 3}
    """

    def __init__(
        self,
        name: str,
        model: Model,
        *,
        input: Signature | None = None,
        classes: int = 0,
        text: str = "",
        description: str = "",
    ) -> None:
        self.name = name
        self.input = input
        self.classes = classes
        self.text = text
        self.description = description
        self.decisions: tuple[Decision, ...] = model.decisions
        self.slots: tuple[Slot, ...] = model.slots
        self._model = model
        self._limits = tuple(len(decision.options) for decision in self.decisions)
        self._pairs = tuple(tuple((d.name, option) for option in d.options) for d in self.decisions)
        self._variation = Variation(self)
        self._size = model.size()
        if not self._size:
            raise SpaceError(f"space {name!r} holds no network: {model.dead_end()}")

    @classmethod
    def flat(cls, decisions: Mapping[str, Sequence[Any]], name: str = "flat") -> Space:
        """A space of free decisions without a network: name → its options, JSON scalars.

        Raises SpaceError where a decision has no option, the same one twice, or one that JSON cannot hold.
        """
        checked = []
        for decision, given in decisions.items():
            options = given.tolist() if isinstance(given, np.ndarray) else given
            problem = option_problem(options)
            if not isinstance(decision, str) or not decision:
                raise SpaceError(f"a decision needs a name that is text, not {decision!r}")
            if problem:
                raise SpaceError(f"decision {decision!r}: {problem}")
            checked.append(Decision(decision, tuple(options)))
        return cls(name, FlatModel(tuple(checked)))

    @classmethod
    def of_tree(
        cls, tree: Chain, blocks: Mapping[str, Block], *, name: str, text: str = "", description: str = ""
    ) -> Space:
        """The space of a tree; `blocks` holds every block under the name that the tree uses.

        Raises SpaceError where the tree is too large, or where no choice fits.
        """
        model = TreeModel(lay_out(tree, blocks))
        return cls(name, model, input=tree.input, classes=tree.classes, text=text, description=description)

    def __repr__(self) -> str:
        return f"Space({self.name!r}, {len(self.decisions)} decisions)"

    @property
    def block_names(self) -> tuple[str, ...]:
        """Every block that the space may use, by the name its networks carry; none in a flat space."""
        return self._model.block_names

    def size(self) -> int:
        """The exact number of valid canonical vectors."""
        return self._size

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A random architecture: every decision uniform over the options that lead on."""
        return self._decode(_integers(self._model.draw(1, rng)[0]))

    def sample_vectors(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """An (n, decisions) int64 array of random vectors, drawn as `sample` does."""
        return self._model.draw(n, rng)

    def enumerate(self) -> Iterator[np.ndarray]:
        """Every vector; for small spaces."""
        for vector in self._model.vectors():
            yield np.array(vector, dtype=np.int64)

    def is_valid(self, vector: Sequence[int] | np.ndarray) -> bool:
        """Whether a vector is of this space and every block fits; it need not be canonical."""
        values = self._within_range(vector)
        return values is not None and self._model.instances(values) is not None

    def canonical(self, vector: Sequence[int] | np.ndarray) -> np.ndarray:
        """The vector with 0 where a decision does not matter; SpaceError where it is not of this space."""
        return np.array(self._canonical(self._checked(vector)), dtype=np.int64)

    def decode(self, vector: Sequence[int] | np.ndarray) -> Architecture:
        """The architecture of a vector; SpaceError where it is not of this space or not valid."""
        return self._decode(self._checked(vector))

    def encode(self, architecture: Architecture) -> np.ndarray:
        """The canonical vector of an architecture, read from its choices.

        Raises SpaceError where the choices are not of this space.
        """
        values = self._vector_of(architecture.values())
        if self._decode(values).network != architecture.network:
            raise SpaceError(
                f"the architecture's choices are those of space {self.name!r}, but here they lead to another "
                "network: the space has changed since. Use the space the architecture was made with."
            )
        return np.array(values, dtype=np.int64)

    def instances(self, vector: Sequence[int] | np.ndarray) -> tuple[Instance | None, ...]:
        """What stands in each slot, None beyond the depth; SpaceError where a block does not fit."""
        return self._instances(self._checked(vector))

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """All other architectures one decision away, each once."""
        return self._variation.neighbours(architecture)

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A random other architecture, one decision away or a few; SpaceError where there is no other."""
        return self._variation.mutate(architecture, rng)

    def crossover(self, one: Architecture, other: Architecture, rng: np.random.Generator) -> Architecture:
        """An architecture whose every decision is that of one of the two, where such a mix fits."""
        return self._variation.crossover(one, other, rng)

    def active(self, vector: Sequence[int] | np.ndarray) -> list[int]:
        """The columns that matter in a vector, ascending."""
        return self._model.active(self._checked(vector))

    def _within_range(self, vector: Sequence[int] | np.ndarray) -> Values | None:
        """The vector as integers, or None where it is not of this space."""
        try:
            array = np.asarray(vector)
        except ValueError:
            return None
        if array.shape != (len(self._limits),) or (array.size and array.dtype.kind not in "iu"):
            return None
        values = _integers(array)
        fits = all(0 <= value < limit for value, limit in zip(values, self._limits, strict=True))
        return values if fits else None

    def _checked(self, vector: Sequence[int] | np.ndarray) -> Values:
        values = self._within_range(vector)
        if values is None:
            raise SpaceError(
                f"not a vector of space {self.name!r}: expected {len(self._limits)} integers, each from 0 to "
                "the number of options less one"
            )
        return values

    def _canonical(self, values: Values) -> Values:
        canonical = [0] * len(values)
        for column in self._model.active(values):
            canonical[column] = values[column]
        return tuple(canonical)

    def _instances(self, values: Values) -> tuple[Instance | None, ...]:
        instances = self._model.instances(values)
        if instances is None:
            raise SpaceError(
                f"not a valid vector of space {self.name!r}: a block does not fit where it stands"
            )
        return instances

    def _decode(self, values: Values) -> Architecture:
        network = self._model.network(self._instances(values))
        choices = tuple(self._pairs[column][values[column]] for column in self._model.active(values))
        return Architecture(network, choices)

    def _vector_of(self, choices: Mapping[str, Any]) -> Values:
        values = [0] * len(self.decisions)
        for name, option in choices.items():
            column = self._columns.get(name)
            if column is None:
                raise SpaceError(
                    f"not an architecture of space {self.name!r}: it has no decision {name!r}. "
                    f"{suggestion(name, self._columns, 'decision')}"
                )
            index = self._places[column].get(_key(option))
            if index is None:
                options = self.decisions[column].options
                raise SpaceError(
                    f"not an architecture of space {self.name!r}: {name} has the options "
                    f"{', '.join(map(str, options[:8]))}; {option!r} is none of them"
                )
            values[column] = index
        vector = tuple(values)
        active = {self.decisions[column].name for column in self._model.active(vector)}
        if active != set(choices):
            name = min(active ^ set(choices))
            problem = "is missing" if name in active else "does not matter"
            raise SpaceError(f"not an architecture of space {self.name!r}: its choice of {name} {problem}")
        return vector

    @cached_property
    def _places(self) -> tuple[dict[tuple[bool, Any], int], ...]:
        """For each decision the index of every option."""
        return tuple({_key(o): i for i, o in enumerate(d.options)} for d in self.decisions)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {decision.name: column for column, decision in enumerate(self.decisions)}


def _integers(vector: np.ndarray) -> Values:
    return tuple(vector.tolist())


def _key(option: Any) -> tuple[bool, Any]:
    """What an option is found by: True is not 1."""
    return isinstance(option, bool), option
