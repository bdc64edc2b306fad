"""Checkpoints: written whole or not at all, read only by the same trial, no pickle."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nas.training.recipe import Recipe

logger = logging.getLogger("nas.training")
CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"
METADATA = "nas"
FORMAT = 1


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
    format: int = FORMAT


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
    content = {"header": asdict(header), "epoch": checkpoint.epoch, "metrics": dict(checkpoint.metrics)}
    write_atomic(folder / CHECKPOINT, _packed(checkpoint.tensors, content))


def read_checkpoint(folder: Path, header: Header) -> Checkpoint | None:
    """The state a trial goes on from; None where there is none or, which is logged, it cannot be used."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        tensors, content = read_packed(path)
        found = content["header"]
        checkpoint = Checkpoint(int(content["epoch"]), tensors, content["metrics"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        logger.warning("%s is damaged (%s): the trial starts from its first epoch", path, reason)
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
    write_atomic(folder / WEIGHTS, _packed(state, {"header": asdict(header)}))


def read_packed(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a file of ours and the JSON beside them; SafetensorError, OSError or ValueError."""
    with safe_open(path, framework="pt") as file:
        content = json.loads((file.metadata() or {})[METADATA])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    if not isinstance(content, dict):
        raise TypeError(f"its metadata is a {type(content).__name__}")
    return tensors, content


def _packed(tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> bytes:
    """Safetensors with one entry of metadata: several would be written in an order that changes."""
    return save(_storable(tensors), {METADATA: json.dumps(content, sort_keys=True)})


def _storable(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies on the CPU that share no memory, as safetensors wants them."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format).contiguous()
        for name, tensor in tensors.items()
    }
