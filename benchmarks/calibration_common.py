"""Common modules of many kinds, the second set on which a calibration is judged: networks of text books, and
small ones of published families, written down as their users would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Maker: TypeAlias = Callable[[], nn.Module]


class Apply(nn.Module):
    """A module that is one function."""

    def __init__(self, function: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Any) -> Tensor:
        """What the function makes of the input."""
        return self._function(x)


class Side(nn.Module):
    """Branches beside each other, one behind the other in the output."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of all branches, joined along the channels."""
        return F.relu(torch.cat([branch(x) for branch in self.branches], 1))


class Sum(nn.Module):
    """A body beside a shortcut, with an activation behind both where there is one."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None, bent: bool = True) -> None:
        super().__init__()
        self.body, self.shortcut, self.bent = body, shortcut or nn.Identity(), bent

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both."""
        y: Tensor = self.body(x) + self.shortcut(x)
        return F.relu(y) if self.bent else y


class VisionTransformer(nn.Module):
    """Patches, a token of the class, positions."""

    def __init__(self, width: int = 192, heads: int = 3, depth: int = 4) -> None:
        super().__init__()
        patch, size = 16, 128
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(depth)
            )
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of ten classes."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        found: Tensor = self.head(self.norm(self.layers(x))[:, 0])
        return found


class Segments(nn.Module):
    """Two levels down and up again, with transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.middle = _pair(1, 16), _pair(16, 32), _pair(32, 64)
        self.up, self.joined = nn.ConvTranspose2d(64, 32, 2, 2), _pair(64, 32)
        self.top, self.last = nn.ConvTranspose2d(32, 16, 2, 2), _pair(32, 16)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A mask of the picture's size."""
        first = self.first(x)
        second = self.second(F.max_pool2d(first, 2))
        middle = self.middle(F.max_pool2d(second, 2))
        second = self.joined(torch.cat([self.up(middle), second], 1))
        found: Tensor = self.head(self.last(torch.cat([self.top(second), first], 1)))
        return found


class Points(nn.Module):
    """The largest of what every point says."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inner, outer in pairwise((3, 64, 128, 512)):
            layers += [nn.Conv1d(inner, outer, 1), nn.ReLU()]
        self.each = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 40))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, points) to the scores of forty classes."""
        found: Tensor = self.head(self.each(x).amax(2))
        return found


def _pair(inner: int, outer: int) -> nn.Sequential:
    first, second = nn.Conv2d(inner, outer, 3, 1, 1), nn.Conv2d(outer, outer, 3, 1, 1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def _normed(inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outer)]


def _pooled(*layers: nn.Module, width: int, classes: int = 10) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def _lenet() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )


def _alexnet() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(2304, 512), nn.ReLU(), nn.Linear(512, 100)),
    )


def _dilated() -> nn.Sequential:
    layers: list[nn.Module] = []
    for number, inner in enumerate((16, 64, 64, 64)):
        layers += [nn.Conv1d(inner, 64, 3, padding=2**number, dilation=2**number), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 5))


def _encoder() -> nn.Sequential:
    layer = nn.TransformerEncoderLayer(128, 4, 256, 0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(encoder, Apply(lambda x: x.mean(1)), nn.Linear(128, 4))


def _characters() -> nn.Sequential:
    layer = nn.LSTM(32, 256, 2, batch_first=True)
    return nn.Sequential(layer, Apply(lambda found: found[0]), nn.Linear(256, 64))


def _text() -> nn.Sequential:
    layer = nn.GRU(64, 96, batch_first=True, bidirectional=True)
    return nn.Sequential(
        nn.Embedding(5000, 64), layer, Apply(lambda found: found[0].mean(1)), nn.Linear(192, 2)
    )


def _generator() -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer, stride in ((64, 128, 1), (128, 64, 2), (64, 32, 2)):
        larger = nn.ConvTranspose2d(inner, outer, 4, stride, stride - 1, bias=False)
        layers += [larger, nn.BatchNorm2d(outer), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh())


def _discriminator() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2)]
    for inner, outer in ((32, 64), (64, 128)):
        layers += [nn.Conv2d(inner, outer, 4, 2, 1), nn.BatchNorm2d(outer), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 64, 1))


def _squeezenet() -> nn.Sequential:
    def fire(inner: int, narrow: int, outer: int) -> nn.Module:
        both = Side(nn.Conv2d(narrow, outer, 1), nn.Conv2d(narrow, outer, 3, padding=1))
        return nn.Sequential(nn.Conv2d(inner, narrow, 1), nn.ReLU(), both)

    return nn.Sequential(
        *(nn.Conv2d(3, 48, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(fire(48, 16, 48), fire(96, 16, 64), nn.MaxPool2d(3, 2), fire(128, 32, 96), fire(192, 32, 128)),
        *(nn.Conv2d(256, 20, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


def _inception() -> nn.Sequential:
    def block(inner: int, outer: int) -> nn.Module:
        small = nn.Sequential(nn.Conv2d(inner, outer, 1), nn.ReLU(), nn.Conv2d(outer, outer, 3, padding=1))
        half = outer // 2
        large = nn.Sequential(nn.Conv2d(inner, half, 1), nn.ReLU(), nn.Conv2d(half, outer, 5, padding=2))
        pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(inner, outer, 1))
        return Side(nn.Conv2d(inner, outer, 1), small, large, pooled)

    stem = (*_normed(3, 32, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return _pooled(*stem, block(32, 24), block(96, 32), nn.MaxPool2d(2), block(128, 48), width=192)


def _basic(inner: int, outer: int, stride: int) -> nn.Module:
    body = nn.Sequential(*_normed(inner, outer, 3, stride), nn.ReLU(), *_normed(outer, outer, 3))
    changes = stride > 1 or inner != outer
    return Sum(body, nn.Sequential(*_normed(inner, outer, 1, stride)) if changes else None)


def _resnet18() -> nn.Sequential:
    sizes = ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1))
    sizes += ((128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1))
    stem = (*_normed(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return _pooled(*stem, *(_basic(*each) for each in sizes), width=512, classes=1000)


def _wide_resnet() -> nn.Sequential:
    blocks = (_basic(16, 64, 1), _basic(64, 128, 2), _basic(128, 256, 2))
    return _pooled(nn.Conv2d(3, 16, 3, 1, 1), *blocks, width=256)


def _mobilenet_v2() -> nn.Sequential:
    layers: list[nn.Module] = [*_normed(3, 32, 3, 2), nn.ReLU6()]
    inner = 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
    for times, outer, number, stride in (*stages, (6, 320, 1, 1)):
        for index in range(number):
            wide, step = times * inner, 1 if index else stride
            body = (*_normed(inner, wide, 1), nn.ReLU6(), *_normed(wide, wide, 3, step, wide), nn.ReLU6())
            block = nn.Sequential(*body, *_normed(wide, outer, 1))
            layers.append(Sum(block, bent=False) if step == 1 and inner == outer else block)
            inner = outer
    return _pooled(*layers, *_normed(320, 1280, 1), nn.ReLU6(), width=1280, classes=1000)


def _mobilenet_v1() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU()]
    inner = 32
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 2)
    for outer, stride in zip((64, 128, 128, 256, 256, 512, 512, 512, 1024), strides, strict=True):
        layers += [nn.Conv2d(inner, inner, 3, stride, 1, groups=inner), nn.ReLU()]
        layers += [nn.Conv2d(inner, outer, 1), nn.ReLU()]
        inner = outer
    return _pooled(*layers, width=1024)


def _layers(*widths: int, normed: bool = False, last: Maker | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Linear(inner, outer), *([nn.BatchNorm1d(outer)] if normed else []), nn.ReLU()]
    kept = layers[: -2 if normed else -1]
    return nn.Sequential(*kept, *([last()] if last else []))


def _larger() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 64, 5, 1, 2), nn.ReLU(), nn.Conv2d(64, 32, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(32, 9, 3, 1, 1), nn.PixelShuffle(3)),
    )


def _sound() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv1d(1, 32, 80, 4), nn.BatchNorm1d(32), nn.ReLU(), nn.MaxPool1d(4)),
        *(nn.Conv1d(32, 64, 3), nn.BatchNorm1d(64), nn.ReLU(), nn.MaxPool1d(4)),
        *(nn.Conv1d(64, 128, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, 35)),
    )


def _convnext() -> nn.Sequential:
    def block(width: int) -> nn.Module:
        each = nn.Conv2d(width, width, 7, padding=3, groups=width)
        between = (nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        there, back = Apply(lambda x: x.permute(0, 2, 3, 1)), Apply(lambda x: x.permute(0, 3, 1, 2))
        return Sum(nn.Sequential(each, there, *between, back), bent=False)

    stem, down = nn.Conv2d(3, 48, 4, 4), nn.Conv2d(48, 96, 2, 2)
    return _pooled(stem, block(48), block(48), down, block(96), block(96), width=96)


def _regnet() -> nn.Sequential:
    def block(inner: int, outer: int, stride: int) -> nn.Module:
        middle = nn.Conv2d(outer, outer, 3, stride, 1, groups=outer // 8)
        ends = nn.Conv2d(inner, outer, 1), nn.Conv2d(outer, outer, 1)
        body = nn.Sequential(ends[0], nn.ReLU(), middle, nn.ReLU(), ends[1])
        return Sum(body, nn.Conv2d(inner, outer, 1, stride))

    sizes = ((32, 48, 2), (48, 104, 2), (104, 104, 1), (104, 208, 2))
    return _pooled(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), *(block(*each) for each in sizes), width=208)


COMMON: Mapping[str, tuple[Maker, tuple[int, ...]]] = {
    "lenet": (_lenet, (1, 28, 28)),
    "alexnet": (_alexnet, (3, 128, 128)),
    "dilated": (_dilated, (16, 200)),
    "encoder": (_encoder, (50, 128)),
    "characters": (_characters, (50, 32)),
    "text": (_text, (60,)),
    "generator": (_generator, (64, 1, 1)),
    "discriminator": (_discriminator, (3, 64, 64)),
    "points": (Points, (3, 512)),
    "squeezenet": (_squeezenet, (3, 128, 128)),
    "inception": (_inception, (3, 96, 96)),
    "resnet 18": (_resnet18, (3, 128, 128)),
    "wide resnet": (_wide_resnet, (3, 32, 32)),
    "mobilenet v2": (_mobilenet_v2, (3, 160, 160)),
    "mobilenet v1": (_mobilenet_v1, (3, 128, 128)),
    "vision transformer": (VisionTransformer, (3, 128, 128)),
    "autoencoder": (lambda: _layers(784, 256, 64, 256, 784, last=nn.Sigmoid), (784,)),
    "table": (lambda: _layers(40, 512, 512, 2, normed=True), (40,)),
    "segments": (Segments, (1, 64, 64)),
    "larger": (_larger, (1, 48, 48)),
    "sound": (_sound, (1, 8000)),
    "convnext": (_convnext, (3, 96, 96)),
    "regnet": (_regnet, (3, 112, 112)),
}
"""A module by name, and the shape of its input without the batch."""
