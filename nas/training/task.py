"""A task: data, loss and metrics, as a plugin offers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas._lazy import resolve
from nas.spaces.signature import Signature

if TYPE_CHECKING:
    import torch


def channel_axis(domain: str) -> int:
    """The axis of a batch that counts the channels."""
    return -1 if domain == "sequence" else 1


@dataclass(frozen=True)
class TaskData:
    """A data set split into a training and a validation part, whole, as tensors on the CPU.

    Inputs are uint8 or float32, of the shape that the domain of `input` says: images (N, C, H, W), series
    (N, C, L), sequences (N, L, C), vectors (N, C). Labels are int64 (N,). `mean` and `std` normalise per
    channel. `fingerprint` is a SHA-256 over content and split: a resumed study compares it. `flip` says
    whether a mirrored image keeps its class.
    """

    train_inputs: torch.Tensor
    train_labels: torch.Tensor
    validation_inputs: torch.Tensor
    validation_labels: torch.Tensor
    classes: int
    input: Signature
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    class_names: tuple[str, ...] = ()
    flip: bool = False


@dataclass(frozen=True)
class Task:
    """A task by name: ``--data NAME`` or ``--data NAME:ARGUMENT``.

    `load(argument, split_seed)` (or ``"module:name"`` of it) returns a TaskData; it raises DataError with one
    clear line where a file is missing, truncated or of another kind. `takes_path` says that the argument is a
    path, which is then made absolute, so that workers and resumed studies find it from another folder.
    """

    name: str
    load: Callable[[str, int], TaskData] | str
    description: str = ""
    metrics: tuple[str, ...] = ("accuracy", "loss")
    takes_path: bool = False

    def open(self, argument: str, split_seed: int) -> TaskData:
        """The data, split deterministically by the seed."""
        load = resolve(self.load) if isinstance(self.load, str) else self.load
        data: TaskData = load(argument, split_seed)
        return data
