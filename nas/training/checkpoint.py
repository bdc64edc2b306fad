"""Checkpoints: written whole or not at all, read only where they are of the same trial, and no pickle."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nas.training.recipe import Recipe

logger = logging.getLogger("nas.training")
CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"
FORMAT = "1"


@dataclass(frozen=True)
class Header:
    """What a checkpoint must share with the trial that goes on from it.

    `architecture` and `recipe` are SHA-256 sums, `data` is the fingerprint of the data set; with another
    `torch`, the epochs that are left would give another result.
    """

    architecture: str
    recipe: str
    data: str
    epochs: int
    seed: int
    minimum_map: int
    torch: str = torch.__version__
    format: str = FORMAT


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after `epoch` epochs: tensors by name, and the metrics of that epoch."""

    epoch: int
    tensors: Mapping[str, torch.Tensor]
    metrics: Mapping[str, float] = field(default_factory=dict)


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 (hex) of a recipe."""
    return hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode()).hexdigest()


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file so that a crash at any moment leaves the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a loss of power, where the system can (Windows cannot)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_checkpoint(folder: Path, header: Header, checkpoint: Checkpoint) -> None:
    """Keeps the state of a training in the folder of its trial."""
    metadata = {
        "header": json.dumps(asdict(header), sort_keys=True),
        "epoch": str(checkpoint.epoch),
        "metrics": json.dumps(dict(checkpoint.metrics)),
    }
    write_atomic(folder / CHECKPOINT, save(_storable(checkpoint.tensors), metadata))


def read_checkpoint(folder: Path, header: Header) -> Checkpoint | None:
    """The state a trial goes on from; None where there is none, or where it cannot be used, which is logged."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            found = json.loads(metadata["header"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
        checkpoint = Checkpoint(int(metadata["epoch"]), tensors, json.loads(metadata["metrics"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        logger.warning("%s is damaged (%s): the trial starts from its first epoch", path, error)
        return None
    wanted = asdict(header)
    if found != wanted:
        other = ", ".join(
            key for key in wanted if not isinstance(found, dict) or found.get(key) != wanted[key]
        )
        logger.warning(
            "%s is of another trial (other: %s): this one starts from its first epoch", path, other
        )
        return None
    return checkpoint


def drop_checkpoint(folder: Path) -> None:
    """Removes the checkpoint of a trial that needs it no longer."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def write_weights(folder: Path, state: Mapping[str, torch.Tensor], header: Header) -> None:
    """Keeps the trained weights, with what they belong to."""
    metadata = {name: str(value) for name, value in asdict(header).items()}
    write_atomic(folder / WEIGHTS, save(_storable(state), metadata))


def _storable(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies on the CPU that share no memory, as safetensors wants them."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format).contiguous()
        for name, tensor in tensors.items()
    }
