"""The form in which a network is trained: input and outputs of the data, early strides relaxed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from torch import nn

from nas.blocks import build, relax_strides
from nas.errors import ExportError
from nas.spaces.architecture import Architecture
from nas.training.checkpoint import read_packed
from nas.training.recipe import announce_epoch

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.spaces.architecture import Network
    from nas.spaces.signature import Signature
    from nas.training.task import TaskData

MINIMUM_MAP = 4


def train_form(
    network: Network, data: TaskData, blocks: Mapping[str, Block], minimum_map: int = MINIMUM_MAP
) -> Network:
    """The network whose early strides are relaxed until its last map on this data is at least `minimum_map`.

    A space made for 224 pixels would reduce a small picture to a single position long before its last stage,
    where nothing is left to learn from. Costs stay those of the network as it was given.
    """
    return relax_strides(network, data.input, blocks, minimum_map)


def training_module(
    network: Network,
    signature: Signature,
    classes: int,
    blocks: Mapping[str, Block],
    *,
    minimum_map: int = MINIMUM_MAP,
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
    minimum_map: int = MINIMUM_MAP,
) -> nn.Module:
    """The module with the weights of a finished trial, in eval mode; ExportError where they do not fit.

    `signature` and `classes` are those of the data it was trained on.
    """
    module = training_module(network, signature, classes, blocks, minimum_map=minimum_map, seed=0)
    try:
        state, content = read_packed(weights)
        if content["header"]["architecture"] != Architecture(network).hash:
            raise ExportError(f"weights {str(weights)!r} are of another architecture")
        module.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"weights {str(weights)!r} cannot be used: {reason}") from None
    announce_epoch(module, 1.0)  # as in the last epoch of its training
    return module.eval()
