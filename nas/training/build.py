"""The form in which a network is trained: input and outputs of the data, early strides relaxed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from nas.blocks import build, relax_strides
from nas.errors import ExportError

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.spaces.architecture import Network
    from nas.spaces.signature import Signature
    from nas.training.task import TaskData


def train_form(network: Network, data: TaskData, blocks: Mapping[str, Block], minimum_map: int = 4) -> Network:
    """The network whose early strides are relaxed until its last map is at least `minimum_map` on this data."""
    return relax_strides(network, data.input, blocks, minimum_map)


def training_module(
    network: Network,
    signature: Signature,
    classes: int,
    blocks: Mapping[str, Block],
    *,
    minimum_map: int = 4,
    seed: int | None = None,
) -> nn.Module:
    """The module that is trained on inputs of this signature, initialised by `seed`."""
    relaxed = relax_strides(network, signature, blocks, minimum_map)
    return build(relaxed, blocks, input=signature, classes=classes, seed=seed)


def trained_module(
    network: Network,
    signature: Signature,
    classes: int,
    blocks: Mapping[str, Block],
    weights: Path,
    minimum_map: int = 4,
) -> nn.Module:
    """The module with the weights of a finished trial, in eval mode; ExportError where they do not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    module = training_module(network, signature, classes, blocks, minimum_map=minimum_map, seed=0)
    try:
        module.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"weights {weights} cannot be used: {reason}") from None
    return module.eval()
