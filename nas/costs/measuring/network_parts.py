"""The parts that the networks of a calibration are put together from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation: TypeAlias = Callable[[], nn.Module]


class Apply(nn.Module):
    """A module that is one function of tensors."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Tensor) -> Any:
        """What the function makes of the inputs."""
        return self._function(*inputs)


class Beside(nn.Module):
    """Layers beside their input: both are added, or lie one behind the other."""

    def __init__(self, *layers: nn.Module, joined: bool = False) -> None:
        super().__init__()
        self.layers, self.joined = nn.Sequential(*layers), joined

    def forward(self, x: Tensor) -> Tensor:
        """The input and what the layers make of it."""
        found: Tensor = self.layers(x)
        return torch.cat((x, found), 1) if self.joined else x + found


class Branches(nn.Module):
    """Branches that lie one behind the other in the channels of their output."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """What the branches make of the input, joined."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class Excitation(nn.Module):
    """Squeeze and excitation: every channel is weighed by the means of all."""

    def __init__(self, width: int, inner: int, gate: Activation) -> None:
        super().__init__()
        self.less, self.more, self.gate = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1), gate()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, height, width of the picture), as it came."""
        found: Tensor = x * self.gate(self.more(F.relu(self.less(x.mean((2, 3), keepdim=True)))))
        return found


class Inverted(nn.Module):
    """Expand, convolve each channel, weigh the channels, project; beside the input where it can be."""

    def __init__(
        self,
        width: int,
        kernel: int,
        excite: bool,
        activation: Activation,
        *,
        outer: int | None = None,
        times: int = 4,
        stride: int = 1,
        gate: Activation = nn.Sigmoid,
    ) -> None:
        super().__init__()
        wide, outer = times * width, outer or width
        self.expand, self.project = nn.Conv2d(width, wide, 1), nn.Conv2d(wide, outer, 1)
        self.each = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide)
        self.excite = Excitation(wide, width, gate) if excite else None
        self.activation, self.is_beside = activation(), stride == 1 and outer == width

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, height, width of the picture) to (batch, outer, ...)."""
        y: Tensor = self.activation(self.each(self.activation(self.expand(x))))
        if self.excite is not None:
            y = self.excite(y)
        found: Tensor = self.project(y)
        return x + found if self.is_beside else found


class Attending(nn.Module):
    """A layer of a transformer; `composed` writes its attention out as products and a softmax."""

    def __init__(
        self,
        width: int,
        heads: int,
        times: int = 4,
        activation: Activation = nn.GELU,
        *,
        composed: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.composed = heads, composed
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.all_three, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, times * width), nn.Linear(times * width, width)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, width), as it came."""
        parts = self.all_three(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        if self.composed:
            weights = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
            mixed = weights @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        found: Tensor = x + self.narrow(self.activation(self.wide(self.between(x))))
        return found


class PictureAttending(nn.Module):
    """Attention over the positions of a picture, whose heads lie across their numbers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.all_three, self.out = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width), as it came."""
        parts = self.all_three(x).flatten(2).unflatten(1, (3, self.heads, -1)).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(*parts.unbind(1))
        found: Tensor = x + self.out(mixed.transpose(-1, -2).flatten(1, 2).unflatten(2, x.shape[2:]))
        return found


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of a picture, which lie innermost from then on."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width), as it came."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class UNet(nn.Module):
    """Two levels down and up again, beside each other."""

    def __init__(self, width: int, mode: str, activation: Activation, transposed: bool) -> None:
        super().__init__()

        def level(inner: int, outer: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(inner, outer, 3, 1, 1), activation())

        self.down = nn.ModuleList([level(3, width), level(width, 2 * width), level(2 * width, 4 * width)])
        self.larger = (
            nn.ConvTranspose2d(4 * width, 2 * width, 2, 2) if transposed else nn.Upsample(None, 2.0, mode)
        )
        self.up = nn.ModuleList([level((4 if transposed else 6) * width, 2 * width), level(3 * width, width)])
        self.largest, self.head = nn.Upsample(None, 2.0, mode), nn.Conv2d(width, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, height, width) to four maps as large."""
        first = self.down[0](x)
        second = self.down[1](F.max_pool2d(first, 2))
        third = self.down[2](F.max_pool2d(second, 2))
        second = self.up[0](torch.cat((self.larger(third), second), 1))
        found: Tensor = self.head(self.up[1](torch.cat((self.largest(second), first), 1)))
        return found


def shuffled(x: Tensor) -> Tensor:
    """The channels of two groups, one by one."""
    return x.view(x.shape[0], 2, -1, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


def as_tokens(x: Tensor) -> Tensor:
    """(batch, channels, height, width) to (batch, positions, channels)."""
    return x.flatten(2).transpose(1, 2)


def swapped(x: Tensor) -> Tensor:
    """(batch, length, width) to (batch, width, length), or back."""
    return x.transpose(1, 2)


def mean_token(x: Tensor) -> Tensor:
    """(batch, positions, channels) to (batch, channels)."""
    return x.mean(1)


def largest(x: Tensor) -> Tensor:
    """(batch, channels, length) to (batch, channels)."""
    return x.max(-1).values


def last_of(x: Tensor) -> Tensor:
    """(batch, length, width) to what stands last, (batch, width)."""
    return x[:, -1]
