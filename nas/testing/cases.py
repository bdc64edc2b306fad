"""Places to try a block in: knob values, signatures, widths and strides that it says it fits."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.blocks import Block
from nas.blocks.defaults import candidates, default_use
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.fitting import WIDTH_ROLES, fit
from nas.spaces.signature import Signature

SIZES: Mapping[int, tuple[tuple[int, ...], ...]] = {
    0: ((),),
    1: ((16,), (13,), (1,)),
    2: ((8, 8), (9, 7), (6, 6), (1, 1)),
}
"""Sizes to try by the number of extents: even, odd, and a single position."""
MORE_CHANNELS = (64, 128, 256)
"""Channels that are tried for a knob value that fits none of the usual ones."""
DIMENSIONS = {"image": 2, "sequence": 1, "series": 1, "vector": 0}
TRIES = 60
MAX_INNER = 8
"""The most blocks that are tried for a knob that takes one."""


@dataclass(frozen=True)
class Case:
    """A layer and the signature of its input."""

    layer: Layer
    signature: Signature

    def __str__(self) -> str:
        place = f"width {self.layer.width}, stride {self.layer.stride}"
        return f"{described(self.layer.block)} on {self.signature.domain} {self.signature.shape}, {place}"


@dataclass(frozen=True)
class Sampler:
    """Draws cases of one block; always the same ones.

    `blocks` holds every block that a knob may take, `inner` the names to try for a knob that takes a block,
    `knobs` values that are not varied.
    """

    block: Block
    name: str
    blocks: Mapping[str, Block]
    sizes: Sequence[tuple[int, ...]]
    channels: Sequence[int]
    inner: Mapping[str, Sequence[str]] = field(default_factory=dict)
    knobs: Mapping[str, Any] = field(default_factory=dict)

    def cases(self, count: int) -> list[Case]:
        """At least one case for every knob value that fits anywhere, then random ones up to `count`."""
        rng = random.Random(self.name)
        found: list[Case] = []
        for knob, value in self.values():
            case = self._find(rng, {knob: value})
            if case is not None and case not in found:
                found.append(case)
        for _ in range(TRIES):
            if len(found) >= count:
                break
            case = self._find(rng, {})
            if case is not None and case not in found:
                found.append(case)
        return found

    def unfit(self) -> list[str]:
        """The knob values that fit none of the places that were tried."""
        rng = random.Random(self.name)
        return [f"{knob}={shown(v)}" for knob, v in self.values() if self._find(rng, {knob: v}) is None]

    def values(self) -> Iterator[tuple[str, Any]]:
        """Every value of every knob that is varied."""
        for knob in self.block.knobs:
            if knob not in self.knobs:
                yield from ((knob, value) for value in self._options(knob))

    def places(self, channels: Sequence[int]) -> list[tuple[Signature, int | None, int]]:
        """Every signature with every width and stride that the role of the block may be given."""
        signatures = [
            Signature(self.block.domain, count, size)
            for count, size in itertools.product(channels, self.sizes)
        ]
        if self.block.role not in WIDTH_ROLES:
            return [(signature, None, 1) for signature in signatures]
        return [
            (signature, width, stride)
            for signature in signatures
            for width, stride in itertools.product((signature.channels, channels[-1]), (1, 2))
        ]

    def _find(self, rng: random.Random, chosen: Mapping[str, Any]) -> Case | None:
        usual = self._find_among(self.places(self.channels), rng, chosen)
        return usual or self._find_among(self.places(MORE_CHANNELS), rng, chosen)

    def _find_among(
        self,
        places: Sequence[tuple[Signature, int | None, int]],
        rng: random.Random,
        chosen: Mapping[str, Any],
    ) -> Case | None:
        for _ in range(TRIES):
            knobs = {knob: rng.choice(self._options(knob)) for knob in self.block.knobs}
            use = BlockUse(self.name, tuple(sorted({**knobs, **self.knobs, **chosen}.items())))
            for signature, width, stride in rng.sample(places, len(places)):
                if fit(use, signature, width, stride, self.blocks) is not None:
                    return Case(Layer(use, width, stride), signature)
        return None

    def _options(self, knob: str) -> Sequence[Any]:
        choice = self.block.knobs[knob]
        if choice.role is None:
            return choice.values
        names = self.inner.get(knob) or [
            *([choice.default] if choice.default else []),
            *candidates(self.name, choice.role, self.blocks)[:MAX_INNER],
        ]
        uses = (default_use(name, self.blocks) for name in dict.fromkeys(names))
        return [use for use in uses if use is not None]


def described(use: BlockUse) -> str:
    """``conv(activation=relu, kernel=3)``."""
    return f"{use.use}({', '.join(f'{knob}={shown(value)}' for knob, value in use.knobs)})"


def shown(value: Any) -> str:
    """A knob value in a message."""
    return described(value) if isinstance(value, BlockUse) else str(value)
