"""Every first-party block with a spread of knob values, for the tests of `nas_base`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from nas.blocks import Block, build_element
from nas.plugins.registry import default_registry
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.signature import Signature

BLOCKS = default_registry().blocks
NAMES = [name for name in BLOCKS if BLOCKS.provider(name).module == "nas_base"]
WIDE = ("stem", "block", "downsample", "operation")
MAP = Signature("image", 16, (9, 7))


def use(name: str, **knobs: Any) -> BlockUse:
    """A block with the defaults of all knobs that are not given."""
    values = {knob: choice.default for knob, choice in BLOCKS[name].knobs.items()}
    for knob, choice in BLOCKS[name].knobs.items():
        if choice.role is not None and values[knob] is not None:
            values[knob] = use(values[knob])
    values.update(knobs)
    return BlockUse(name, tuple(sorted(values.items())))


def made(
    name: str, signature: Signature = MAP, *, width: int | None = None, stride: int = 1, **knobs: Any
) -> Any:
    """The module of a block in float64 with everything that training would have moved, moved."""
    layer = Layer(use(name, **knobs), width, stride)
    return randomised(build_element(layer, signature, BLOCKS, classes=5).double())


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with random weights, gains, scales and norm statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(noise + 0.5 if name.endswith("running_var") else noise - 0.4)
    return module


def values_of(block: Block, knob: str) -> tuple[Any, ...]:
    """What a test may choose for a knob: a block for a knob that takes one."""
    choice = block.knobs[knob]
    if choice.role is None:
        return choice.values
    names = [name for name in NAMES if BLOCKS[name].role == choice.role]
    return tuple(use(name, **({"head_dim": 8} if name == "attention" else {})) for name in names)


def sampled_layers(name: str, count: int = 5) -> Iterator[Layer]:
    """Layers of a block that fit `MAP`: every value of every knob is tried as far as `count` allows."""
    block = BLOCKS[name]
    rng = random.Random(name)
    places = list(itertools.product((None, 24), (1, 2))) if block.role in WIDE else [(None, 1)]
    found = []
    for _ in range(200):
        knobs = {knob: rng.choice(values_of(block, knob)) for knob in block.knobs}
        width, stride = rng.choice(places)
        layer = Layer(use(name, **knobs), width, stride)
        if block.accepts(MAP, width, stride, knobs) and layer not in found:
            found.append(layer)
        if len(found) == count:
            break
    yield from found


LAYERS = [layer for name in NAMES for layer in sampled_layers(name)]


def label(layer: Layer) -> str:
    """A short name of a layer for the list of tests."""
    knobs = "-".join(str(getattr(value, "use", value)) for _, value in layer.block.knobs)
    return f"{layer.block.use}-{knobs}-w{layer.width}-s{layer.stride}"
