"""Small networks and batches for the tests of `nas_proxies`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.plugins.registry import default_registry
from nas.training import ProxyBatch

PROXIES = default_registry().proxies
NAMES = [name for name in PROXIES if PROXIES.provider(name).module == "nas_proxies"]


def batch_of(*shape: int, seed: int = 0, classes: int = 3) -> ProxyBatch:
    """Normal inputs of this shape, batch in front, with random classes."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, shape[:1], generator=generator)
    return ProxyBatch(torch.randn(shape, generator=generator), targets, F.cross_entropy)


def linear(*rows: list[float], bias: list[float] | None = None) -> nn.Linear:
    """A linear layer of these weights."""
    weight = torch.tensor(rows)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = torch.tensor(bias)
    return layer


def convolutional(seed: int = 0, norm: bool = True) -> nn.Module:
    """Two convolutions, ReLU, pooling, three classes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        norms = [nn.BatchNorm2d(6), nn.BatchNorm2d(8)] if norm else [nn.Identity(), nn.Identity()]
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            norms[0],
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, 3, padding=1),
            norms[1],
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        )


def states_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two state dicts hold the same tensors to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
