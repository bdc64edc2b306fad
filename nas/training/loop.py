"""One training, epoch by epoch, from its first epoch or from its checkpoint."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nas.errors import TrialError
from nas.search.trial import TrialRequest
from nas.training import recipe as recipes
from nas.training.checkpoint import Checkpoint, Header, read_checkpoint, write_checkpoint, write_weights
from nas.training.recipe import Recipe
from nas.training.task import TaskData


class Training:
    """The state of one training; `run` yields the metrics of each epoch that is left.

    With a `folder` it keeps a checkpoint after each epoch, goes on from the one it finds there, exactly as
    if it had never stopped, and leaves the weights at the end.
    """

    def __init__(
        self, module: nn.Module, data: TaskData, recipe: Recipe, request: TrialRequest, folder: Path | None
    ) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._recipe, self._request, self._folder = recipe, request, folder
        self._data = data
        self._on_cuda = self._device.type == "cuda"
        self._module = module.to(self._device)
        if self._on_cuda:
            self._module = self._module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = copy.deepcopy(self._module) if recipe.average_decay else None
        self._optimizer = recipes.make_optimizer(recipe, self._module)
        self._generator = torch.Generator().manual_seed(request.seed)
        self._header = Header.of(request, recipe, data.fingerprint)
        self._steps = recipes.steps_per_epoch(len(data.train_labels), recipe)
        self._epoch = 0

    def run(self) -> Iterator[Mapping[str, float]]:
        """Trains the epochs that are left; raises TrialError where the loss is no longer finite."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self._recipe.threads)
        try:
            self._restore()
            train = self._ready(self._data.train_inputs), self._data.train_labels.to(self._device)
            held_out = self._ready(self._data.validation_inputs), self._data.validation_labels.to(self._device)
            while self._epoch < self._request.fidelity:
                loss = self._train_epoch(*train)
                self._epoch += 1
                metrics = {**self._evaluate(*held_out), "train_loss": loss, "step": float(self._epoch)}
                self._keep()
                yield metrics
        finally:
            torch.set_num_threads(threads)

    def _ready(self, inputs: torch.Tensor) -> torch.Tensor:
        """The whole part of a data set on the device, normalised."""
        scale = 255.0 if inputs.dtype == torch.uint8 else 1.0
        shape = (1, -1, *(1 for _ in inputs.shape[2:]))
        mean, std = (torch.tensor(v, dtype=torch.float32).view(shape) for v in (self._data.mean, self._data.std))
        return ((inputs.float() / scale - mean) / std).to(self._device)

    def _train_epoch(self, inputs: torch.Tensor, labels: torch.Tensor) -> float:
        self._module.train()
        recipes.tell_epoch(self._module, self._epoch / self._request.fidelity)
        total = torch.zeros((), device=self._device)
        for index, picked in enumerate(recipes.batches(len(labels), self._recipe, self._generator)):
            picked = picked.to(self._device)
            batch = recipes.augment(inputs[picked], self._recipe, self._data.flip, self._generator)
            loss = self._step(batch, labels[picked], self._epoch * self._steps + index)
            total += loss * len(picked)
        mean = float(total) / len(labels)
        if not math.isfinite(mean):
            raise TrialError(f"diverged in epoch {self._epoch + 1}: the training loss is {mean}")
        return mean

    def _step(self, inputs: torch.Tensor, labels: torch.Tensor, step: int) -> torch.Tensor:
        recipe = self._recipe
        rate = recipes.learning_rate(recipe, step, self._steps * self._request.fidelity)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with self._precision():
            outputs = self._module(inputs)
            loss = F.cross_entropy(outputs.float(), labels, label_smoothing=recipe.label_smoothing)
        total = loss + recipes.extra_loss(self._module)
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(self._module.parameters(), recipe.clip_norm)
        self._optimizer.step()
        self._update_average(step)
        return loss.detach()

    def _precision(self) -> Any:
        """bfloat16 on CUDA, which needs no loss scaling; full precision elsewhere."""
        if self._on_cuda and self._recipe.mixed_precision:
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Moves the average of the weights; it starts with a short memory, so that few steps suffice."""
        if self._average is None:
            return
        decay = min(self._recipe.average_decay, (1 + step) / (10 + step))
        for mean, value in zip(self._average.state_dict().values(), self._module.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    @property
    def _evaluated(self) -> nn.Module:
        return self._module if self._average is None else self._average

    @torch.no_grad()
    def _evaluate(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
        module = self._evaluated.eval()
        outputs = torch.cat([module(piece).float() for piece in inputs.split(512)])
        correct = (outputs.argmax(dim=1) == labels).float().mean()
        return {"accuracy": float(correct), "loss": float(F.cross_entropy(outputs, labels))}

    def _keep(self) -> None:
        if self._folder is None:
            return
        if self._epoch == self._request.fidelity:
            write_weights(self._folder, self._evaluated.state_dict(), self._request.architecture.hash)
            return
        write_checkpoint(self._folder, self._header, Checkpoint(self._epoch, self._tensors(), {}))

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Everything that the next epoch depends on, by name."""
        tensors = {f"module.{name}": value for name, value in self._module.state_dict().items()}
        if self._average is not None:
            tensors |= {f"average.{name}": value for name, value in self._average.state_dict().items()}
        for index, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items() if value is not None}
        return {name: value.clone() for name, value in tensors.items()} | {"generator": self._generator.get_state()}

    def _restore(self) -> None:
        found = None if self._folder is None else read_checkpoint(self._folder, self._header)
        if found is None:
            return
        self._module.load_state_dict(_part(found.tensors, "module."))
        if self._average is not None:
            self._average.load_state_dict(_part(found.tensors, "average."))
        state = self._optimizer.state_dict()
        for name, value in _part(found.tensors, "optimizer.").items():
            index, _, key = name.partition(".")
            state["state"].setdefault(int(index), {})[key] = value
        self._optimizer.load_state_dict(state)
        self._generator.set_state(found.tensors["generator"])
        self._epoch = found.epoch


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
