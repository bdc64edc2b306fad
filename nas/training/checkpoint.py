"""Checkpoints: written whole or not at all, read only where they are of the same trial, and no pickle."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nas.search.trial import TrialRequest
from nas.training.recipe import Recipe

logger = logging.getLogger("nas.training")
CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Header:
    """What a checkpoint must share with the trial that goes on from it."""

    architecture: str
    recipe: str
    data: str
    fidelity: int
    seed: int

    @classmethod
    def of(cls, request: TrialRequest, recipe: Recipe, fingerprint: str) -> Header:
        """The header of a trial's checkpoints."""
        text = json.dumps(asdict(recipe), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return cls(request.architecture.hash, digest, fingerprint, request.fidelity, request.seed)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after `epoch` epochs: tensors by name, and plain numbers."""

    epoch: int
    tensors: Mapping[str, torch.Tensor]
    numbers: Mapping[str, Any]


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


def write_checkpoint(folder: Path, header: Header, checkpoint: Checkpoint) -> None:
    """Keeps the state of a training in the folder of its trial."""
    metadata = {
        "header": json.dumps(asdict(header), sort_keys=True),
        "epoch": str(checkpoint.epoch),
        "numbers": json.dumps(checkpoint.numbers),
        "torch": torch.__version__,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    write_atomic(folder / CHECKPOINT, save(tensors, metadata))


def read_checkpoint(folder: Path, header: Header) -> Checkpoint | None:
    """The state a trial goes on from, or None: nothing there, damaged, or of another trial (which is logged)."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if json.loads(metadata["header"]) != asdict(header):
                logger.warning("%s is of another trial, recipe or data: starting from the first epoch", path)
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(int(metadata["epoch"]), tensors, json.loads(metadata["numbers"]))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        logger.warning("%s cannot be read (%s): starting from the first epoch", path, error)
        return None


def write_weights(folder: Path, state: Mapping[str, torch.Tensor], architecture: str) -> None:
    """Keeps the trained weights, and removes the checkpoint that is no longer needed."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_atomic(folder / WEIGHTS, save(tensors, {"architecture": architecture}))
    (folder / CHECKPOINT).unlink(missing_ok=True)
