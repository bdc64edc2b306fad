"""A few blocks of a stranger's plugin: some sound, some broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nas.blocks import Block
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.knobs import Choice
from nas.spaces.signature import Signature


class Dense(nn.Module):
    """1x1 convolution that may stride."""

    def __init__(self, signature: Signature, *, width: int | None, stride: int, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(signature.channels, width or signature.channels, 1, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Scale(nn.Module):
    """A mixer: one factor."""

    def __init__(self, signature: Signature, *, factor: float = 2.0) -> None:
        super().__init__()
        self.signature = signature
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Holder(nn.Module):
    """Holds a mixer behind a strided convolution."""

    def __init__(
        self, signature: Signature, *, width: int | None, stride: int, mixer: Callable[[Signature], nn.Module]
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(signature.channels, width or signature.channels, 1, stride)
        self.mixer = mixer(signature.after(width, stride))

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(self.conv(x))


class Wrapper(nn.Module):
    """Holds a block that takes its place."""

    def __init__(self, signature: Signature, *, width: int | None, stride: int, inner: Any) -> None:
        super().__init__()
        self.inner = inner(signature, width=width, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Head(nn.Module):
    def __init__(self, signature: Signature, *, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(signature.channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean((2, 3)))


class Cropped(nn.Module):
    """Breaks its word: one column too few."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x[..., 1:]


class Pair(Cropped):
    def forward(self, x: Tensor) -> Tensor:
        return x, x  # type: ignore[return-value]


class OnlyOnProcessor(Cropped):
    def forward(self, x: Tensor) -> Tensor:
        return x + float(x.sum())


def raising(signature: Signature) -> nn.Module:
    raise ZeroDivisionError("no channels to divide by")


def not_a_module(signature: Signature) -> Any:
    return 7


class Noisy(nn.Module):
    """Draws its weight with its own words."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(signature.channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.reshape(-1, 1, 1)


BLOCKS = {
    block.name: block
    for block in (
        Block("dense", "block", "image", Dense, {"bias": Choice(True, False)}),
        Block("halving", "downsample", "image", Dense, valid=lambda s, w, stride, **k: stride == 2),
        Block("scale", "mixer", "image", Scale, {"factor": Choice(2.0, 3.0)}),
        Block("holder", "block", "image", Holder, {"mixer": Choice(role="mixer")}),
        Block("wrapper", "block", "image", Wrapper, {"inner": Choice(role="block")}),
        Block("head", "head", "image", Head),
        Block("cropped", "mixer", "image", Cropped),
        Block("pair", "mixer", "image", Pair),
        Block("processor", "mixer", "image", OnlyOnProcessor),
        Block("raising", "mixer", "image", raising),
        Block("not_a_module", "mixer", "image", not_a_module),
        Block("noisy", "mixer", "image", Noisy),
    )
}
MAP = Signature("image", 3, (8, 6))


def layer(name: str, width: int | None = None, stride: int = 1, **knobs: Any) -> Layer:
    """A layer of a toy block."""
    return Layer(BlockUse(name, tuple(sorted(knobs.items()))), width, stride)
