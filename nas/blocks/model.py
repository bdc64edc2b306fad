"""A network as a torch module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from nas.blocks.block import Block
from nas.blocks.cell import Cell
from nas.blocks.layer import build_layer
from nas.spaces.architecture import Graph, Layer, Network
from nas.spaces.fitting import element_signatures
from nas.spaces.signature import Signature


class Model(nn.Module):
    """A network: its layers and cells one behind the other, as the submodules ``layers.0_conv_stem``, ..."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> Tensor:
        """The input (N, C, H, W) to the scores (N, classes), or to the last map where there is no head."""
        for layer in self.layers.values():
            x = layer(x)
        return x


def build(
    network: Network,
    blocks: Mapping[str, Block],
    *,
    input: Signature | None = None,
    classes: int | None = None,
    seed: int | None = None,
) -> Model:
    """The module of a network, in training mode, on torch's default device.

    `input` and `classes` stand in for those of the network, for training at another size or on another task
    than it will be deployed for. With `seed` the initial weights depend on it alone, and torch's global
    random state stays untouched. Raises BlockError where a block breaks its contract.
    """
    changed = replace(
        network,
        input=network.input if input is None else input,
        classes=network.classes if classes is None else classes,
    )
    pairs = element_signatures(changed, blocks)
    with _seeded(seed):
        return Model(
            {
                f"{index}_{_name(element)}": build_element(element, signature, blocks, changed.classes)
                for index, (element, signature) in enumerate(pairs)
            }
        )


def build_element(
    element: Layer | Graph, signature: Signature, blocks: Mapping[str, Block], classes: int = 1000
) -> nn.Module:
    """The module of one layer or cell whose input has this signature."""
    if isinstance(element, Graph):
        return Cell(element, signature, blocks)
    return build_layer(element, signature, blocks, classes)


def _name(element: Layer | Graph) -> str:
    """A readable name for a module path, without what such a path cannot hold."""
    name = "cell" if isinstance(element, Graph) else element.block.use.rpartition("/")[2]
    return name.replace(".", "_")


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Draws from torch's generators start at `seed` inside, and have left no trace behind it."""
    if seed is None:
        yield
        return
    device = torch.get_default_device()
    accelerators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=accelerators):
        torch.default_generator.manual_seed(seed)
        if accelerators:
            torch.cuda.manual_seed(seed)
        yield
