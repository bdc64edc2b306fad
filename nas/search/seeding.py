"""Randomness from names and counts alone: a resumed study draws what it would have drawn."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SEED_BITS = 31


def generator(seed: int, *keys: int | str) -> np.random.Generator:
    """A generator for one purpose: the same seed and keys give the same numbers, in any process.

    >>> bool(generator(0, "ask", 3).random() == generator(0, "ask", 3).random())
    True
    """
    import numpy as np

    return np.random.Generator(np.random.PCG64(_digest(seed, keys) >> 128))


def derived_seed(seed: int, *keys: int | str) -> int:
    """A seed of 31 bits, which every library accepts."""
    return _digest(seed, keys) >> (256 - SEED_BITS)


def trial_seed(seed: int, architecture_hash: str, run: int = 0) -> int:
    """The seed of an architecture's trial in a study; it does not depend on the order of trials.

    `run` counts the trials of the architecture from 0: each repeat has a seed of its own.
    """
    return derived_seed(seed, "trial", architecture_hash, *([run] if run else []))


def _digest(seed: int, keys: tuple[int | str, ...]) -> int:
    text = json.dumps([seed, *keys])
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
