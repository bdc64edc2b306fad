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
    tensors = _weights(learner)
    for index, memory in learner.optimizer.state_dict()["state"].items():
        for key, value in memory.items():
            if value is not None:
                tensors[f"{OPTIMIZER}{index}.{key}"] = torch.as_tensor(value)
    return tensors


def fits(learner: Learner, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether the weights among these tensors are those of this learner, by name and shape."""
    expected = {name: value.shape for name, value in _weights(learner).items()}
    found = {name: value.shape for name, value in tensors.items() if not name.startswith(OPTIMIZER)}
    return found == expected


def restore_learner(learner: Learner, tensors: Mapping[str, torch.Tensor]) -> None:
    """Puts a learner into the state that `learner_tensors` gave; the tensors must fit."""
    learner.module.load_state_dict(_part(tensors, MODULE))
    if learner.average is not None:
        learner.average.module.load_state_dict(_part(tensors, AVERAGE))
    state = learner.optimizer.state_dict()
    parameters = [p for group in learner.optimizer.param_groups for p in group["params"]]
    for name, value in _part(tensors, OPTIMIZER).items():
        index, _, key = name.partition(".")
        state["state"].setdefault(int(index), {})[key] = _laid_out_as(parameters[int(index)], value)
    learner.optimizer.load_state_dict(state)


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The value in the memory order of its parameter, as before: the order may decide how a kernel rounds."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _weights(learner: Learner) -> dict[str, torch.Tensor]:
    tensors = {f"{MODULE}{name}": value for name, value in learner.module.state_dict().items()}
    if learner.average is not None:
        tensors |= {f"{AVERAGE}{name}": value for name, value in learner.average.module.state_dict().items()}
    return tensors


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
