"""The split into a training and a validation part: the same labels and seed give the same everywhere."""

from __future__ import annotations

import numpy as np
import torch

VALIDATION_SHARE = 0.2


def stratified_split(
    labels: torch.Tensor, seed: int, share: float = VALIDATION_SHARE
) -> tuple[torch.Tensor, torch.Tensor]:
    """The indices (training, validation) with the same share of every class held out, each in rising order.

    A class of two samples or more has at least one of them on each side; a single one is trained on.

    >>> training, validation = stratified_split(torch.tensor([0, 0, 1, 1, 1, 1, 1]), seed=0)
    >>> len(training), len(validation)
    (5, 2)
    """
    values = labels.numpy()
    held_out = np.zeros(len(values), dtype=bool)
    for name in np.unique(values):
        members = np.flatnonzero(values == name)
        # Sorted uniform numbers, not Generator.permutation, whose algorithm may change between releases.
        order = np.random.default_rng([seed, int(name)]).random(len(members)).argsort(kind="stable")
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held_out[members[order[:count]]] = True
    return torch.from_numpy(np.flatnonzero(~held_out)), torch.from_numpy(np.flatnonzero(held_out))
