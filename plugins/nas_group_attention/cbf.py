"""Cylinder, bell, funnel: three kinds of bumps in noise (Saito, Local Feature Extraction, 1994).

The synthetic problem of the UCR archive that is called CBF: short series of one channel, no download, always
the same numbers.
"""

from __future__ import annotations

import numpy as np
import torch

from nas.errors import DataError
from nas.training.assembly import assemble
from nas.training.task import TaskData

LENGTH = 128
CLASSES = ("cylinder", "bell", "funnel")
HEIGHT = 6
ONSETS = range(16, 33)
DURATIONS = range(32, 97)
PER_CLASS = 400
MOST_PER_CLASS = 100_000
SEED = 1994
DECIMALS = 4
"""Numbers are rounded, so that the last bit of a logarithm, which differs between machines, does not show."""


def load_cbf(argument: str, split_seed: int) -> TaskData:
    """The series (N, 1, 128), 400 of each class, or as many as `argument` says."""
    inputs, labels = series(_count(argument))
    part = torch.from_numpy(inputs), torch.from_numpy(labels)
    return assemble(part, class_names=CLASSES, split_seed=split_seed, domain="series")


def _count(argument: str) -> int:
    if not argument:
        return PER_CLASS
    is_number = argument.isascii() and argument.isdigit() and len(argument) < 9
    if not (is_number and 2 <= int(argument) <= MOST_PER_CLASS):
        raise DataError(
            f"--data cbf:{argument[:40]}: behind the colon stands the number of series of each class, "
            f"from 2 to {MOST_PER_CLASS:,}, as in cbf:{PER_CLASS}"
        )
    return int(argument)


def series(per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Series (N, 1, 128) float32 and labels (N,) int64, the classes taking turns.

    Between an onset in 16 to 32 and an end 32 to 96 steps later stands a bump of height 6 + noise: level (a
    cylinder), rising (a bell) or falling (a funnel); everywhere there is noise of deviation 1. The first
    series are the same for every `per_class`.
    """
    numbers = [_one(kind, index) for index in range(per_class) for kind in range(len(CLASSES))]
    labels = np.tile(np.arange(len(CLASSES), dtype=np.int64), per_class)
    return np.stack(numbers)[:, None].astype(np.float32), labels


def _one(kind: int, index: int) -> np.ndarray:
    """One series (128,) of a kind."""
    # Uniform numbers alone: what numpy makes of them may change between releases.
    drawn = np.random.default_rng([SEED, kind, index]).random(2 + 2 * (LENGTH + 1))
    onset, duration = (
        values[int(u * len(values))] for u, values in zip(drawn, (ONSETS, DURATIONS), strict=False)
    )
    noise = _normal(drawn[2:])
    time = np.arange(1, LENGTH + 1)
    share = (time - onset) / duration
    form = (np.ones(LENGTH), share, 1 - share)[kind]
    bump = np.where((share >= 0) & (share <= 1), form, 0.0)
    values: np.ndarray = ((HEIGHT + noise[0]) * bump + noise[1:]).round(DECIMALS)
    return values


def _normal(uniform: np.ndarray) -> np.ndarray:
    """Half as many normal numbers as uniform ones (Box and Muller, 1958)."""
    radius, angle = np.split(uniform, 2)
    normal: np.ndarray = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return normal
