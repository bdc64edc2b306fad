"""Further modules of many kinds, the third set on which a calibration is judged: what is deployed on
processors for pictures, sound, text, series, tables and points, written down as its users would."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from calibration_common import Apply, Maker, Side, Sum
from torch import Tensor, nn
from torch.nn import functional as F


class Weighed(nn.Module):
    """What a gate lets pass of its input."""

    def __init__(self, *gate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.Sequential(*gate)

    def forward(self, x: Tensor) -> Tensor:
        """The input times the gate."""
        found: Tensor = x * self.gate(x)
        return found


class ShuffleUnit(nn.Module):
    """A unit of ShuffleNet v2: half of the channels passes, or all are halved in size."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        half, self.split = outer // 2, stride == 1
        taken = half if self.split else inner
        ends = (*_normed(inner, inner, 3, 2, inner), *_normed(inner, half, 1), nn.ReLU())
        self.shortcut = nn.Sequential() if self.split else nn.Sequential(*ends)
        body = (*_normed(taken, half, 1), nn.ReLU(), *_normed(half, half, 3, stride, half))
        self.branch = nn.Sequential(*body, *_normed(half, half, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Both halves, their channels one by one."""
        left, right = x.chunk(2, 1) if self.split else (x, x)
        x = torch.cat([self.shortcut(left), self.branch(right)], 1)
        batch, width, *size = x.shape
        return x.view(batch, 2, width // 2, *size).transpose(1, 2).reshape(batch, width, *size)


class Pyramid(nn.Module):
    """A detector with a feature pyramid and a head that all levels share."""

    def __init__(self, outer: int = 75, width: int = 64) -> None:
        super().__init__()
        widths = (32, 64, 128, 256)
        self.stem = nn.Sequential(*_normed(3, 32, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList([_residual(*each, 2) for each in pairwise(widths)])
        self.lateral = nn.ModuleList([nn.Conv2d(inner, width, 1) for inner in widths[1:]])
        self.smooth = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in widths[1:]])
        self.head = nn.Sequential(*_normed(width, width, 3), nn.ReLU(), nn.Conv2d(width, outer, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """What is found at all places of all levels."""
        x = self.stem(x)
        levels: list[Tensor] = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        for index in (1, 0):
            levels[index] = levels[index] + F.interpolate(levels[index + 1], scale_factor=2.0)
        found = [self.head(smooth(level)) for smooth, level in zip(self.smooth, levels, strict=True)]
        return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in found], 1)


class Embedded(nn.Module):
    """Words and their positions."""

    def __init__(self, words: int, length: int, width: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens) to (batch, tokens, width)."""
        found: Tensor = self.words(x) + self.places(torch.arange(x.shape[1], device=x.device))
        return found


class Attention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) to the same."""
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        found: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return found


class NBeats(nn.Module):
    """Forecasts in sum, each of a block that explains a part of what was seen."""

    def __init__(self, seen: int = 120, ahead: int = 24, width: int = 512, depth: int = 6) -> None:
        super().__init__()
        self.seen, self.ahead = seen, ahead
        self.blocks = nn.ModuleList()
        for _ in range(depth):
            layers = [part for _ in range(3) for part in (nn.Linear(width, width), nn.ReLU())]
            ends = nn.Linear(seen, width), nn.Linear(width, seen + ahead)
            self.blocks.append(nn.Sequential(ends[0], nn.ReLU(), *layers, ends[1]))

    def forward(self, x: Tensor) -> Tensor:
        """What comes next."""
        total = x.new_zeros(x.shape[0], self.ahead)
        for block in self.blocks:
            back, ahead = block(x).split([self.seen, self.ahead], 1)
            x, total = x - back, total + ahead
        return total


class Columns(nn.Module):
    """The columns of a table as tokens, behind one of the class, as in FT-Transformer."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.randn(columns, width)) for _ in range(2))
        self.token = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, columns) to (batch, tokens, width)."""
        tokens = x.unsqueeze(2) * self.weight + self.bias
        return torch.cat([self.token.expand(x.shape[0], -1, -1), tokens], 1)


def _normed(inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outer)]


def _residual(inner: int, outer: int, stride: int = 1) -> nn.Module:
    body = nn.Sequential(*_normed(inner, outer, 3, stride), nn.ReLU(), *_normed(outer, outer, 3))
    return Sum(body, nn.Sequential(*_normed(inner, outer, 1, stride)) if inner != outer else None)


def _plus(*layers: nn.Module) -> nn.Module:
    return Sum(nn.Sequential(*layers), bent=False)


def _wide(width: int) -> list[nn.Module]:
    return [nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)]


def _efficientnet() -> nn.Sequential:
    layers: list[nn.Module] = [*_normed(3, 32, 3, 2), nn.SiLU()]
    inner = 32
    stages = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5))
    for times, outer, number, first, kernel in (*stages, (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)):
        for stride in (first, *[1] * (number - 1)):
            wide = times * inner
            body = [*_normed(inner, wide, 1), nn.SiLU()] if times > 1 else []
            narrow, wider = nn.Conv2d(wide, inner // 4, 1), nn.Conv2d(inner // 4, wide, 1)
            excited = Weighed(nn.AdaptiveAvgPool2d(1), narrow, nn.SiLU(), wider, nn.Sigmoid())
            body += [*_normed(wide, wide, kernel, stride, wide), nn.SiLU(), excited, *_normed(wide, outer, 1)]
            layers += [_plus(*body)] if stride == 1 and inner == outer else body
            inner = outer
    ends = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 1000))
    return nn.Sequential(*layers, *_normed(320, 1280, 1), nn.SiLU(), *ends)


def _shufflenet() -> nn.Sequential:
    layers: list[nn.Module] = [*_normed(3, 24, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for inner, outer, number in ((24, 116, 3), (116, 232, 7), (232, 464, 3)):
        layers += [ShuffleUnit(inner, outer, 2), *(ShuffleUnit(outer, outer, 1) for _ in range(number))]
    ends = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000))
    return nn.Sequential(*layers, *_normed(464, 1024, 1), nn.ReLU(), *ends)


def _vgg() -> nn.Sequential:
    layers: list[nn.Module] = []
    inner = 3
    for outer, number in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(number):
            layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)]
            inner = outer
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def _swin() -> nn.Sequential:
    def block(width: int, heads: int, size: int, shift: int) -> nn.Module:
        def apart(x: Tensor) -> Tensor:
            x = torch.roll(x, (-shift, -shift), (1, 2)) if shift else x
            return x.view(-1, size // 7, 7, size // 7, 7, width).transpose(2, 3).reshape(-1, 49, width)

        def back(x: Tensor) -> Tensor:
            x = x.view(-1, size // 7, size // 7, 7, 7, width).transpose(2, 3).reshape(-1, size, size, width)
            return torch.roll(x, (shift, shift), (1, 2)) if shift else x

        first = _plus(nn.LayerNorm(width), Apply(apart), Attention(width, heads), Apply(back))
        return nn.Sequential(first, _plus(nn.LayerNorm(width), *_wide(width)))

    def merged(x: Tensor) -> Tensor:
        return torch.cat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], 3)

    return nn.Sequential(
        *(nn.Conv2d(3, 96, 4, 4), Apply(lambda x: x.permute(0, 2, 3, 1)), nn.LayerNorm(96)),
        *(block(96, 3, 28, 0), block(96, 3, 28, 3)),
        *(Apply(merged), nn.LayerNorm(384), nn.Linear(384, 192, bias=False)),
        *(block(192, 6, 14, 0), block(192, 6, 14, 3), nn.LayerNorm(192)),
        *(Apply(lambda x: x.mean((1, 2))), nn.Linear(192, 100)),
    )


def _atrous() -> nn.Sequential:
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Conv2d(128, 96, 1), nn.Upsample((20, 20), mode="bilinear"))
    rates = (nn.Conv2d(128, 96, 3, padding=rate, dilation=rate) for rate in (6, 12, 18))
    return nn.Sequential(
        *(*_normed(3, 32, 3, 2), nn.ReLU(), *_normed(32, 48, 3, 2), nn.ReLU()),
        *(_residual(48, 64), _residual(64, 128, 2), _residual(128, 128)),
        Side(nn.Conv2d(128, 96, 1), *rates, nn.Sequential(*pooled)),
        *(*_normed(480, 96, 1), nn.ReLU(), *_normed(96, 96, 3), nn.ReLU(), nn.Conv2d(96, 21, 1)),
        nn.Upsample(scale_factor=8.0, mode="bilinear"),
    )


def _pose() -> nn.Sequential:
    layers: list[nn.Module] = [*_normed(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    layers += [_residual(64, 64), _residual(64, 128, 2), _residual(128, 256, 2)]
    for inner in (256, 128):
        larger = nn.ConvTranspose2d(inner, 128, 4, 2, 1, bias=False)
        layers += [larger, nn.BatchNorm2d(128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(128, 17, 1))


def _keywords(width: int = 172) -> nn.Sequential:
    start = nn.Conv2d(1, width, (10, 4), (2, 2), (5, 1), bias=False)
    layers: list[nn.Module] = [start, nn.BatchNorm2d(width), nn.ReLU()]
    for _ in range(4):
        layers += [*_normed(width, width, 3, 1, width), nn.ReLU(), *_normed(width, width, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 12))


def _denoiser(filters: int = 128, narrow: int = 64, wide: int = 128) -> nn.Sequential:
    layers: list[nn.Module] = [nn.GroupNorm(1, filters), nn.Conv1d(filters, narrow, 1)]
    for step in (1, 2, 4, 8, 16, 32) * 2:
        body = [nn.Conv1d(narrow, wide, 1), nn.PReLU(), nn.GroupNorm(1, wide)]
        body += [nn.Conv1d(wide, wide, 3, padding=step, dilation=step, groups=wide), nn.PReLU()]
        layers.append(_plus(*body, nn.GroupNorm(1, wide), nn.Conv1d(wide, narrow, 1)))
    masked = Weighed(*layers, nn.PReLU(), nn.Conv1d(narrow, filters, 1), nn.Sigmoid())
    ends = nn.Conv1d(1, filters, 16, 8, bias=False), nn.ConvTranspose1d(filters, 1, 16, 8, bias=False)
    return nn.Sequential(ends[0], nn.ReLU(), masked, ends[1])


def _waveform(width: int = 128) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv1d(1, width, 10, 5), nn.GroupNorm(width, width), nn.GELU()]
    for kernel in (3, 3, 3, 3, 2, 2):
        layers += [nn.Conv1d(width, width, kernel, 2, bias=False), nn.GELU()]
    layers += [Apply(lambda x: x.transpose(1, 2)), nn.LayerNorm(width)]
    return nn.Sequential(*layers, nn.Linear(width, 32))


def _ocr() -> nn.Sequential:
    layer = nn.LSTM(512, 256, 2, batch_first=True, bidirectional=True)
    return nn.Sequential(
        *(nn.Conv2d(1, 64, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2)),
        *(nn.Conv2d(64, 128, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2)),
        *(*_normed(128, 256, 3), nn.ReLU(), nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU()),
        *(nn.MaxPool2d((2, 2), (2, 1), (0, 1)), *_normed(256, 512, 3), nn.ReLU()),
        *(nn.Conv2d(512, 512, 3, 1, 1), nn.ReLU(), nn.MaxPool2d((2, 2), (2, 1), (0, 1))),
        *(nn.Conv2d(512, 512, 2), nn.ReLU(), Apply(lambda x: x.squeeze(2).transpose(1, 2))),
        *(layer, Apply(lambda found: found[0]), nn.Linear(512, 37)),
    )


def _sentences() -> nn.Sequential:
    layers: list[nn.Module] = [Embedded(30522, 512, 384), nn.LayerNorm(384)]
    for _ in range(6):
        layers += [_plus(Attention(384, 12)), nn.LayerNorm(384), _plus(*_wide(384)), nn.LayerNorm(384)]
    return nn.Sequential(*layers, Apply(lambda x: F.normalize(x.mean(1), dim=1)))


def _gpt(width: int = 128) -> nn.Sequential:
    layers: list[nn.Module] = [Embedded(65, 64, width)]
    for _ in range(4):
        layers.append(_plus(nn.LayerNorm(width), Attention(width, 4, causal=True)))
        layers.append(_plus(nn.LayerNorm(width), *_wide(width)))
    return nn.Sequential(*layers, nn.LayerNorm(width), Apply(lambda x: x[:, -1]), nn.Linear(width, 65))


def _anomalies() -> nn.Sequential:
    def lstm(inner: int, outer: int) -> list[nn.Module]:
        return [nn.LSTM(inner, outer, batch_first=True), Apply(lambda found: found[0])]

    repeated = Apply(lambda x: x[:, -1:].repeat(1, 60, 1))
    ends = (*lstm(64, 64), *lstm(64, 128), nn.Linear(128, 16))
    return nn.Sequential(*lstm(16, 128), *lstm(128, 64), repeated, *ends)


def _heartbeats() -> nn.Sequential:
    def block(inner: int, outer: int) -> nn.Module:
        first, second = nn.Conv1d(inner, outer, 7, 2, 3), nn.Conv1d(outer, outer, 7, 1, 3)
        body = (first, nn.BatchNorm1d(outer), nn.ReLU(), second, nn.BatchNorm1d(outer))
        return Sum(nn.Sequential(*body), nn.Sequential(nn.Conv1d(inner, outer, 1, 2), nn.BatchNorm1d(outer)))

    stem = (nn.Conv1d(12, 64, 15, 2, 7), nn.BatchNorm1d(64), nn.ReLU(), nn.MaxPool1d(3, 2, 1))
    ends = (nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(256, 5))
    return nn.Sequential(*stem, block(64, 64), block(64, 128), block(128, 256), *ends)


def _features() -> nn.Sequential:
    layer = nn.TransformerEncoderLayer(192, 8, 384, 0.1, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    ends = (Apply(lambda x: x[:, 0]), nn.LayerNorm(192), nn.ReLU(), nn.Linear(192, 2))
    return nn.Sequential(Columns(40, 192), encoder, *ends)


def _parts() -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in ((3, 64), (64, 128), (128, 256), (512, 256), (256, 128)):
        layers += [nn.Conv1d(inner, outer, 1), nn.BatchNorm1d(outer), nn.ReLU()]
    whole = Apply(lambda x: torch.cat([x, x.amax(2, keepdim=True).expand_as(x)], 1))
    return nn.Sequential(*layers[:9], whole, *layers[9:], nn.Conv1d(128, 13, 1))


def _decoder() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(128, 256 * 8 * 8), nn.Unflatten(1, (256, 8, 8))]
    for inner, outer in pairwise((256, 128, 64, 32)):
        layers += [nn.Upsample(scale_factor=2.0), nn.Conv2d(inner, outer, 3, padding=1)]
        layers += [nn.GroupNorm(8, outer), nn.SiLU()]
    return nn.Sequential(*layers, nn.Conv2d(32, 3, 3, padding=1), nn.Sigmoid())


def _super_resolution() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, 56, 5, padding=2), nn.PReLU(56)]
    for inner, outer, kernel in ((56, 12, 1), *[(12, 12, 3)] * 4, (12, 56, 1)):
        layers += [nn.Conv2d(inner, outer, kernel, padding=kernel // 2), nn.PReLU(outer)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(56, 1, 9, 3, 4, output_padding=2))


FURTHER: Mapping[str, tuple[Maker, tuple[int, ...]]] = {
    "efficientnet": (_efficientnet, (3, 160, 160)),
    "shufflenet v2": (_shufflenet, (3, 224, 224)),
    "vgg 16": (_vgg, (3, 32, 32)),
    "swin": (_swin, (3, 112, 112)),
    "atrous": (_atrous, (3, 160, 160)),
    "pyramid": (Pyramid, (3, 192, 192)),
    "pose": (_pose, (3, 128, 96)),
    "keywords": (_keywords, (1, 49, 10)),
    "denoiser": (_denoiser, (1, 8000)),
    "waveform": (_waveform, (1, 16000)),
    "ocr": (_ocr, (1, 32, 100)),
    "sentences": (_sentences, (48,)),
    "gpt": (_gpt, (64,)),
    "n-beats": (NBeats, (120,)),
    "anomalies": (_anomalies, (60, 16)),
    "heartbeats": (_heartbeats, (12, 1000)),
    "features": (_features, (40,)),
    "point parts": (_parts, (3, 1024)),
    "decoder": (_decoder, (128,)),
    "super-resolution": (_super_resolution, (1, 64, 64)),
}
"""A module by name, and the shape of its input without the batch."""
