"""Small untrained networks to score: one of each kind that a search meets, and some that say little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.training.proxy import ProxyBatch

CLASSES = 3
SAMPLES = 8
WIDTH = 8


@dataclass(frozen=True)
class Example:
    """A network for samples of one shape."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]

    def module(self) -> nn.Module:
        """The network in training mode, always with the same weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.build().train()

    def batch(self, seed: int = 0) -> ProxyBatch:
        """Normal inputs (8, ...), always the same; `seed` is the one that a proxy draws from."""
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn((SAMPLES, *self.shape), generator=generator)
        return ProxyBatch(inputs, torch.arange(SAMPLES) % CLASSES, F.cross_entropy, seed)


PICTURE, SERIES, VECTOR = (3, 8, 8), (2, 24), (12,)


def networks() -> tuple[Example, ...]:
    """Networks that every proxy can score: of images, series and vectors, with and without norms."""
    return (
        Example("convolutions", _convolutions, PICTURE),
        Example("depthwise convolutions with a gate", _depthwise, PICTURE),
        Example("attention", _Attention, PICTURE),
        Example("convolutions without norms", _without_norms, PICTURE),
        Example("a series", _series, SERIES),
        Example("a vector, with dropout", _perceptron, VECTOR),
    )


def mute_networks() -> tuple[Example, ...]:
    """Networks of which a proxy may have nothing to say."""
    return (
        Example("a network without any activation", _linear, PICTURE),
        Example("a network that lets nothing through", _blocked, PICTURE),
    )


def _head(width: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


def _convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 3, padding=1, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(inplace=True),
        nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * WIDTH),
        nn.ReLU(),
        _head(2 * WIDTH),
    )


def _depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 1),
        nn.Conv2d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH),
        nn.BatchNorm2d(WIDTH),
        nn.Hardswish(),
        _Gate(WIDTH),
        _head(WIDTH),
    )


def _without_norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 3), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3), nn.GELU(), _head(WIDTH)
    )


def _series() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, WIDTH, 5, padding=2),
        nn.BatchNorm1d(WIDTH),
        nn.SiLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(WIDTH, CLASSES),
    )


def _perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(12, WIDTH), nn.ReLU(), nn.Dropout(0.2), nn.Linear(WIDTH, CLASSES))


def _linear() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, WIDTH, 3), _head(WIDTH))


def _blocked() -> nn.Module:
    stem = nn.Conv2d(3, WIDTH, 3)
    nn.init.zeros_(stem.weight)
    return nn.Sequential(stem, nn.ReLU(), _head(WIDTH))


class _Gate(nn.Module):
    """Scales each channel by what all positions say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.scale(x.mean((2, 3), keepdim=True)))


class _Attention(nn.Module):
    """Patches of 2x2 pixels that attend to one another; its activation is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 2, stride=2)
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.grow, self.shrink = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.scores = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(tokens)).chunk(3, dim=-1)
        tokens = tokens + F.scaled_dot_product_attention(q, k, v)
        tokens = tokens + self.shrink(F.gelu(self.grow(tokens)))
        return torch.as_tensor(self.scores(tokens.mean(1)))
