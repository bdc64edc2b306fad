"""Parts of the skeleton `metanext` for its tests: built in float64, moved away from their initial values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.blocks import build, build_element
from nas.costs.trace import trace
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import Architecture, BlockUse, Layer
from nas.spaces.signature import Signature
from nas.testing.modules import randomised

torch.set_num_threads(1)
REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks


def use(name: str, **knobs: Any) -> BlockUse:
    """A block with the defaults of all knobs that are not given."""
    values = {
        knob: use(choice.default) if choice.role is not None else choice.default
        for knob, choice in BLOCKS[name].knobs.items()
    }
    return BlockUse(name, tuple(sorted({**values, **knobs}.items())))


def image(channels: int, height: int, breadth: int) -> Signature:
    """A map of so many channels."""
    return Signature("image", channels, (height, breadth))


def made(
    name: str,
    signature: Signature,
    *,
    width: int | None = None,
    stride: int = 1,
    initial: bool = False,
    **knobs: Any,
) -> nn.Module:
    """The module of a block in float64 and eval, with its `initial` weights or with all of them moved."""
    layer = Layer(use(name, **knobs), width, stride)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        module = build_element(layer, signature, BLOCKS, classes=5).double()
    return (module if initial else randomised(module)).eval()


def picture(signature: Signature, batch: int = 2, seed: int = 1) -> Tensor:
    """A batch of normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, *signature.shape), generator=generator, dtype=torch.float64)


def count(module: nn.Module) -> int:
    """The number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def published(name: str) -> Architecture:
    """A published network."""
    space = load_space(f"published/{name}", REGISTRY)
    assert space.size() == 1
    return space.sample(np.random.default_rng(0))


def on_meta(name: str) -> nn.Module:
    """A published network as a module without memory."""
    network = published(name).network
    assert network is not None
    with torch.device("meta"):
        return build(network, BLOCKS).eval()


def gigamacs(module: nn.Module) -> float:
    """Thousands of millions of multiply-accumulates at 224 x 224."""
    return trace(module, (3, 224, 224)).macs / 1e9


def matches(found: Tensor, expected: Tensor) -> None:
    """Fails where two tensors differ by more than float64 rounds."""
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
