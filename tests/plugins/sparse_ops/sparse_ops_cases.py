"""Blocks of `nas_sparse_ops` built with weights, norms and scales away from their start."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.blocks import Block, build, build_element
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.signature import Signature
from nas.testing.modules import randomised

REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks
MAP = Signature("image", 16, (7, 6))


def use(name: str, **knobs: Any) -> BlockUse:
    """A block with the defaults of all knobs that are not given."""
    values = {knob: choice.default for knob, choice in BLOCKS[name].knobs.items()}
    return BlockUse(name, tuple(sorted({**values, **knobs}.items())))


def layer_of(
    name: str, signature: Signature = MAP, width: int | None = None, stride: int = 1, **knobs: Any
) -> Any:
    """The module of a block as it is before training, in float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_element(Layer(use(name, **knobs), width, stride), signature, BLOCKS)


def moved(
    name: str, signature: Signature = MAP, width: int | None = None, stride: int = 1, **knobs: Any
) -> Any:
    """The module in float64 with everything that training would have moved, moved."""
    return randomised(layer_of(name, signature, width, stride, **knobs).double())


def fits(name: str, signature: Signature, width: int | None, stride: int = 1, **knobs: Any) -> bool:
    """Whether the block says that it fits."""
    return BLOCKS[name].accepts(signature, width, stride, use(name, **knobs).knob_values())


def declared(
    name: str, what: str, signature: Signature, width: int | None, stride: int = 1, **knobs: Any
) -> int:
    """The hand formula `params` or `macs` of a block."""
    formula = getattr(BLOCKS[name], what)
    return int(formula(signature, width, stride, **use(name, **knobs).knob_values()))


def picture(signature: Signature = MAP, batch: int = 3, seed: int = 1) -> Tensor:
    """A batch of normal numbers."""
    return normal(batch, *signature.shape, seed=seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers in float64, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def published(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A published network on the meta device, and the shape of its input."""
    space = load_space(f"published/{name}", REGISTRY)
    assert space.size() == 1
    network = space.sample(np.random.default_rng(0)).network
    assert network is not None
    with torch.device("meta"):
        return build(network, BLOCKS).eval(), network.input.shape


__all__ = [
    "BLOCKS",
    "MAP",
    "REGISTRY",
    "Block",
    "declared",
    "fits",
    "layer_of",
    "moved",
    "normal",
    "picture",
    "published",
    "use",
]
