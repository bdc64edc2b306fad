"""One training, epoch by epoch, from its first epoch or from its checkpoint."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import nn

from nas.errors import TrialError
from nas.training import checkpoint as checkpoints
from nas.training.checkpoint import Checkpoint, Header
from nas.training.isolation import epoch_seed, isolated
from nas.training.recipe import Learner, Part, Recipe, evaluate, train_epoch
from nas.training.state import fits, learner_tensors, restore_learner
from nas.training.task import TaskData, channel_axis

logger = logging.getLogger("nas.training")


class Training:
    """One training of a module; `run` yields the metrics of each epoch that is left.

    With a `folder` it keeps a checkpoint there after each epoch, goes on from the one it finds, exactly as if
    it had never stopped, and leaves the weights at the end. The module is trained in place.
    """

    def __init__(
        self, module: nn.Module, data: TaskData, recipe: Recipe, header: Header, folder: Path | None = None
    ) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        placed = module.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._learner = Learner.of(placed, recipe)
        self._data, self._recipe, self._header, self._folder = data, recipe, header, folder
        self._last_loss = math.nan

    def run(self) -> Iterator[Mapping[str, float]]:
        """Yields ``accuracy``, ``loss``, ``train_loss`` and ``step`` (the epoch, from 1) after each epoch.

        One that goes on from a checkpoint begins with the metrics of its last epoch, whose report may be
        lost. Raises TrialError where the loss is no longer finite, or where the memory of the GPU does not
        suffice.
        """
        training, validation = self._parts()
        begun = self._restored()
        if begun.epoch:
            yield begun.metrics
        for epoch in range(begun.epoch, self._header.epochs):
            metrics = self._epoch(epoch, training, validation)
            self._keep(Checkpoint(epoch + 1, learner_tensors(self._learner), metrics))
            yield metrics
        if self._folder is not None:
            checkpoints.drop_checkpoint(self._folder)

    def _parts(self) -> tuple[Part, Part]:
        """Both parts of the data, whole on the device."""
        data = self._data
        spread = [1] * data.train_inputs.ndim
        spread[channel_axis(data.input.domain)] = -1
        mean, std = (torch.tensor(v, device=self._device).view(spread) for v in (data.mean, data.std))
        pairs = ((data.train_inputs, data.train_labels), (data.validation_inputs, data.validation_labels))
        training, validation = (Part(x.to(self._device), y.to(self._device), mean, std) for x, y in pairs)
        return training, validation

    def _epoch(self, epoch: int, training: Part, validation: Part) -> dict[str, float]:
        """Trains and evaluates one epoch, counted from 0."""
        seed, epochs = epoch_seed(self._header.seed, epoch), self._header.epochs
        generator = torch.Generator().manual_seed(seed)
        with isolated(seed, self._recipe.threads, self._device):
            try:
                self._learner.begin_epoch(epoch / (epochs - 1) if epochs > 1 else 1.0)
                losses = train_epoch(
                    self._learner, self._recipe, training, self._data.flip, generator, epoch, epochs
                )
                train_loss = self._checked(losses.tolist(), epoch)
                metrics = evaluate(self._learner.evaluated, validation)
            except torch.OutOfMemoryError:
                raise TrialError(self._memory_problem(epoch)) from None
        if not math.isfinite(metrics["loss"]):
            raise TrialError(
                f"diverged at epoch {epoch + 1}: the validation loss is {metrics['loss']}; {self._last}"
            )
        return {**metrics, "train_loss": train_loss, "step": float(epoch + 1)}

    def _checked(self, losses: list[float], epoch: int) -> float:
        """The mean of the losses of an epoch, all of them finite."""
        for step, loss in enumerate(losses, start=1):
            if not math.isfinite(loss):
                raise TrialError(
                    f"diverged at epoch {epoch + 1} step {step}: the loss is {loss}; {self._last}"
                )
            self._last_loss = loss
        return math.fsum(losses) / len(losses)

    @property
    def _last(self) -> str:
        return (
            f"last finite loss {self._last_loss:.4g}"
            if math.isfinite(self._last_loss)
            else "it never was finite"
        )

    def _memory_problem(self, epoch: int) -> str:
        peak = torch.cuda.max_memory_allocated(self._device) / 2**30 if self._device.type == "cuda" else 0.0
        return (
            f"out of GPU memory at epoch {epoch + 1} with batch size {self._recipe.batch_size} "
            f"({peak:.1f} GiB in use): train with a smaller batch_size"
        )

    def _keep(self, checkpoint: Checkpoint) -> None:
        if self._folder is None:
            return
        if checkpoint.epoch == self._header.epochs:
            checkpoints.write_weights(self._folder, self._learner.evaluated.state_dict(), self._header)
        checkpoints.write_checkpoint(self._folder, self._header, checkpoint)

    def _restored(self) -> Checkpoint:
        """The checkpoint the learner now stands at, or one at epoch 0."""
        found = None if self._folder is None else checkpoints.read_checkpoint(self._folder, self._header)
        if found is not None and not fits(self._learner, found.tensors):
            logger.warning(
                "the checkpoint in %s does not fit the module: the trial starts from its first epoch",
                self._folder,
            )
            found = None
        if found is None:
            return Checkpoint(0, {})
        restore_learner(self._learner, found.tensors)
        self._last_loss = found.metrics["train_loss"]
        return found
