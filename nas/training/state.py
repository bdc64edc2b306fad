"""Everything the next epoch depends on as named tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from nas.training.recipe import Learner

MODULE = "module."
AVERAGE = "average."
OPTIMIZER = "optimizer."


def learner_tensors(learner: Learner) -> dict[str, torch.Tensor]:
    """The weights, their average and the memory of the optimizer by name.

    Random numbers are not part of it: each epoch draws from a generator of its own.
    """
    tensors = {f"{MODULE}{name}": value for name, value in learner.module.state_dict().items()}
    if learner.average is not None:
        tensors |= {f"{AVERAGE}{name}": value for name, value in learner.average.module.state_dict().items()}
    for index, memory in learner.optimizer.state_dict()["state"].items():
        for key, value in memory.items():
            if value is not None:
                tensors[f"{OPTIMIZER}{index}.{key}"] = torch.as_tensor(value)
    return tensors


def restore_learner(learner: Learner, tensors: Mapping[str, torch.Tensor]) -> None:
    """Puts a learner into the state that `learner_tensors` gave; RuntimeError or KeyError where it does not fit."""
    learner.module.load_state_dict(_part(tensors, MODULE))
    if learner.average is not None:
        learner.average.module.load_state_dict(_part(tensors, AVERAGE))
    state = learner.optimizer.state_dict()
    for name, value in _part(tensors, OPTIMIZER).items():
        index, _, key = name.partition(".")
        state["state"].setdefault(int(index), {})[key] = value
    learner.optimizer.load_state_dict(state)


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
