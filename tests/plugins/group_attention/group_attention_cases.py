"""Blocks of this family for its tests: built in float64, moved away from their initial values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.blocks import build, build_element
from nas.plugins.registry import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.signature import Signature
from nas.testing.modules import randomised

torch.set_num_threads(1)
REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks


def use(name: str, **knobs: Any) -> BlockUse:
    """A block with the defaults of all knobs that are not given."""
    values = {knob: choice.default for knob, choice in BLOCKS[name].knobs.items()}
    for knob, choice in BLOCKS[name].knobs.items():
        if choice.role is not None:
            values[knob] = use(choice.default)
    return BlockUse(name, tuple(sorted({**values, **knobs}.items())))


def image(channels: int, height: int, breadth: int | None = None) -> Signature:
    """A map of so many channels, square where one side is given."""
    return Signature("image", channels, (height, breadth or height))


def made(
    name: str, signature: Signature, *, width: int | None = None, stride: int = 1, **knobs: Any
) -> nn.Module:
    """The module of a block in float64 and eval with random weights, scales and norm statistics."""
    layer = Layer(use(name, **knobs), width, stride)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        module = build_element(layer, signature, BLOCKS, classes=5).double()
    return randomised(module).eval()


def accepts(name: str, signature: Signature, width: int | None = None, stride: int = 1, **knobs: Any) -> bool:
    """Whether a block fits a place with these knobs."""
    return BLOCKS[name].accepts(signature, width, stride, use(name, **knobs).knob_values())


def declared(
    what: str, name: str, signature: Signature, width: int | None = None, stride: int = 1, **knobs: Any
) -> int:
    """The hand formula `params` or `macs` of a block."""
    formula = getattr(BLOCKS[name], what)
    return int(formula(signature, width, stride, **use(name, **knobs).knob_values()))


def picture(signature: Signature, batch: int = 2, seed: int = 1) -> Tensor:
    """A batch of normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, *signature.shape), generator=generator, dtype=torch.float64)


def count(module: nn.Module) -> int:
    """The number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def published(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A published network on the meta device, and the shape of its input."""
    space = load_space(f"published/{name}", REGISTRY)
    assert space.size() == 1
    network = space.sample(np.random.default_rng(0)).network
    assert network is not None
    with torch.device("meta"):
        return build(network, BLOCKS).eval(), network.input.shape
