"""The networks on which a calibration is judged: small modules of many kinds, none made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Maker: TypeAlias = Callable[[], nn.Module]
PICTURE = (3, 96, 96)


class Residual(nn.Module):
    """A module beside its input."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """The input and what the module makes of it."""
        return x + self.inner(x)


class Tokens(nn.Module):
    """A picture of channels as a sequence of positions."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to (batch, positions, channels)."""
        return x.flatten(2).transpose(1, 2)


class First(nn.Module):
    """A recurrent layer of which the last step counts."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The output of the last step."""
        return self.layer(x)[0][:, -1]


class Mean(nn.Module):
    """The mean over positions."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, positions, channels) to (batch, channels)."""
        return x.mean(1)


class Excite(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The input with every channel weighed."""
        gate = F.relu(self.first(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.second(gate))


class Shuffle(nn.Module):
    """Channels of groups, one by one."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """The channels in another order."""
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class Dense(nn.Module):
    """A densely connected layer."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, 1, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The input with further channels."""
        return torch.cat((x, self.inner(x)), 1)


class UNet(nn.Module):
    """Two levels down and up again, with skips."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [_conv(3, width, 3), _conv(width, 2 * width, 3), _conv(2 * width, 4 * width, 3)]
        )
        self.up = nn.ModuleList([_conv(6 * width, 2 * width, 3), _conv(3 * width, width, 3)])
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A mask of the picture's size."""
        skips = []
        for level in self.down[:-1]:
            x = level(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.down[-1](x)
        for level, skip in zip(self.up, reversed(skips), strict=True):
            x = level(torch.cat((F.interpolate(x, scale_factor=2.0, mode="bilinear"), skip), 1))
        found: Tensor = self.head(x)
        return found


def _conv(inner: int, outer: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    )


def _pooled(*layers: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def _depthwise(size: int, activation: Maker) -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3, 32, 3, 2)]
    for inner, outer, stride in ((32, 64, 1), (64, 96, 2), (96, 96, 1), (96, 192, 2), (192, 192, 1)):
        layers += [
            nn.Conv2d(inner, inner, size, stride, size // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.Conv2d(inner, outer, 1, bias=False),
            nn.BatchNorm2d(outer),
            activation(),
        ]
    return _pooled(*layers, width=192)


def _resnet(width: int, depth: int) -> nn.Sequential:
    def block(channels: int) -> nn.Module:
        return Residual(nn.Sequential(_conv(channels, channels, 3), _conv(channels, channels, 3)))

    layers: list[nn.Module] = [_conv(3, width, 3)]
    for stage in range(3):
        inner = width << max(0, stage - 1)
        layers += [_conv(inner, width << stage, 3, 1 + (stage > 0))]
        layers += [block(width << stage) for _ in range(depth)]
    return _pooled(*layers, width=width << 2)


def _bottleneck(groups: int) -> nn.Sequential:
    def block(channels: int) -> nn.Module:
        inner = channels // 2
        return Residual(
            nn.Sequential(
                _conv(channels, inner, 1), _conv(inner, inner, 3, 1, groups), nn.Conv2d(inner, channels, 1)
            )
        )

    return _pooled(
        _conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), block(64), _conv(64, 256, 3, 2), block(256), width=256
    )


def _transformer(width: int, heads: int, depth: int) -> nn.Sequential:
    layer = nn.TransformerEncoderLayer(width, heads, 4 * width, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
    return nn.Sequential(nn.Conv2d(3, width, 12, 12), Tokens(), encoder, Mean(), nn.Linear(width, 10))


def _mixer() -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [Residual(nn.Sequential(nn.LayerNorm(128), _mlp(128, 512, 128)))]
    return nn.Sequential(nn.Conv2d(3, 128, 8, 8), Tokens(), *layers, Mean(), nn.Linear(128, 10))


def _convnext() -> nn.Sequential:
    def block(width: int) -> nn.Module:
        return Residual(
            nn.Sequential(
                nn.Conv2d(width, width, 7, 1, 3, groups=width),
                nn.GroupNorm(1, width),
                nn.Conv2d(width, 4 * width, 1),
                nn.GELU(),
                nn.Conv2d(4 * width, width, 1),
            )
        )

    return _pooled(nn.Conv2d(3, 48, 4, 4), block(48), block(48), nn.Conv2d(48, 96, 2, 2), block(96), width=96)


def _excited() -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3, 16, 3, 2)]
    for inner, outer in ((16, 24), (24, 40), (40, 80)):
        wide = 4 * inner
        layers += [_conv(inner, wide, 1), _conv(wide, wide, 5, 2, wide), Excite(wide), nn.Hardswish()]
        layers += [nn.Conv2d(wide, outer, 1), nn.BatchNorm2d(outer)]
    return _pooled(*layers, width=80)


def _shuffled() -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3, 48, 3, 2), nn.MaxPool2d(3, 2, 1)]
    for _ in range(4):
        layers += [_conv(48, 48, 1, 1, 3), Shuffle(3), _conv(48, 48, 3, 1, 48)]
    return _pooled(*layers, width=48)


def _dense() -> nn.Sequential:
    layers = [Dense(32 + 16 * number, 16) for number in range(6)]
    return _pooled(_conv(3, 32, 3, 2), *layers, width=128)


def _autoencoder() -> nn.Sequential:
    return nn.Sequential(
        _conv(3, 24, 3, 2),
        _conv(24, 48, 3, 2),
        nn.ConvTranspose2d(48, 24, 2, 2),
        nn.SiLU(),
        nn.ConvTranspose2d(24, 3, 2, 2),
        nn.Sigmoid(),
    )


MODULES: Mapping[str, tuple[Maker, tuple[int, ...]]] = {
    "mlp": (lambda: _mlp(784, 512, 256, 10), (784,)),
    "mlp, wide": (lambda: _mlp(1024, 2048, 2048, 100), (1024,)),
    "mlp, deep": (lambda: _mlp(*[256] * 12), (256,)),
    "vgg": (
        lambda: _pooled(
            _conv(3, 32, 3), nn.MaxPool2d(2), _conv(32, 64, 3), nn.MaxPool2d(2), _conv(64, 128, 3), width=128
        ),
        PICTURE,
    ),
    "resnet, 16 wide": (lambda: _resnet(16, 2), PICTURE),
    "resnet, 48 wide": (lambda: _resnet(48, 1), (3, 64, 64)),
    "bottlenecks": (lambda: _bottleneck(1), PICTURE),
    "bottlenecks in 8 groups": (lambda: _bottleneck(8), PICTURE),
    "depthwise 3x3": (lambda: _depthwise(3, nn.ReLU), PICTURE),
    "depthwise 5x5, hard swish": (lambda: _depthwise(5, nn.Hardswish), (3, 128, 128)),
    "squeeze and excitation": (_excited, PICTURE),
    "shuffled groups": (_shuffled, PICTURE),
    "dense": (_dense, PICTURE),
    "convnext": (_convnext, PICTURE),
    "transformer": (lambda: _transformer(128, 4, 4), PICTURE),
    "transformer, long": (lambda: _transformer(96, 3, 2), (3, 192, 192)),
    "mixer": (_mixer, PICTURE),
    "lstm": (
        lambda: nn.Sequential(First(nn.LSTM(64, 128, 2, batch_first=True)), nn.Linear(128, 10)),
        (40, 64),
    ),
    "unet": (UNet, (3, 64, 64)),
    "autoencoder": (_autoencoder, PICTURE),
}
"""Name → what makes the module, and its input without the batch."""
