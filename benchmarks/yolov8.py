"""The YOLOv8 networks, without values: classifiers and detectors of five sizes, to be priced.

Written from the figures of the architecture (stages, widths, splits); parameters equal the published ones:
2.7, 6.4, 17.0, 37.5 and 57.4 million of the classifiers, 3.2, 11.2, 25.9, 43.7 and 68.2 of the detectors.
"""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor, nn

SIZES = {
    "n": (0.33, 0.25, 1024),
    "s": (0.33, 0.5, 1024),
    "m": (0.67, 0.75, 768),
    "l": (1.0, 1.0, 512),
    "x": (1.0, 1.25, 512),
}
"""Size → shares of depth and width, and the channels of the last stage of a detector before its share."""
STAGES = ((128, 3), (256, 6), (512, 6), (1024, 3))
"""Channels and bottlenecks of each stage at full size."""
BINS = 16
"""Into how many bins a detector divides each side of a box."""


def convolution(before: int, after: int, kernel: int = 1, stride: int = 1) -> nn.Module:
    """A convolution with its norm and activation."""
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.SiLU())


class Bottleneck(nn.Module):
    """Two 3×3 convolutions, with a shortcut in the backbone."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(channels, channels, 3), convolution(channels, channels, 3))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


class Stage(nn.Module):
    """Half the channels go through bottlenecks, and everything on the way is kept."""

    def __init__(self, before: int, after: int, count: int, shortcut: bool = True) -> None:
        super().__init__()
        self.split = convolution(before, after)
        self.parts = nn.ModuleList(Bottleneck(after // 2, shortcut) for _ in range(count))
        self.join = convolution((2 + count) * (after // 2), after)

    def forward(self, x: Tensor) -> Tensor:
        kept = list(self.split(x).chunk(2, 1))
        for part in self.parts:
            kept.append(part(kept[-1]))
        return self.join(torch.cat(kept, 1))


class PooledPyramid(nn.Module):
    """Maxima over ever larger windows beside each other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split, self.join = convolution(channels, channels // 2), convolution(channels * 2, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        kept = [self.split(x)]
        for _ in range(3):
            kept.append(self.pool(kept[-1]))
        return self.join(torch.cat(kept, 1))


def backbone(size: str, most: int) -> tuple[list[nn.Module], list[int], list[int]]:
    """The four stages, their channels and their bottlenecks; `most` limits the last one."""
    depth, width, _ = SIZES[size]
    channels = [ceil(min(full, most) * width / 8) * 8 for full, _ in STAGES]
    counts = [max(1, round(full * depth)) for _, full in STAGES]
    before = ceil(64 * width / 8) * 8
    parts: list[nn.Module] = []
    for index, (after, count) in enumerate(zip(channels, counts, strict=True)):
        stem = [] if index else [convolution(3, before, 3, 2)]
        parts.append(nn.Sequential(*stem, convolution(before, after, 3, 2), Stage(after, after, count)))
        before = after
    return parts, channels, counts


def classifier(size: str) -> nn.Module:
    """YOLOv8 of this size for the classes of ImageNet."""
    stages, channels, _ = backbone(size, 1024)
    head = [convolution(channels[-1], 1280), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*stages, *head, nn.Softmax(1)).eval()


class Detector(nn.Module):
    """YOLOv8 of this size for the classes of COCO: boxes and scores before suppression."""

    def __init__(self, size: str, classes: int = 80) -> None:
        super().__init__()
        stages, (_, c3, c4, c5), counts = backbone(size, SIZES[size][2])
        count = counts[-1]
        self.low, self.middle = nn.Sequential(*stages[:2]), stages[2]
        self.high = nn.Sequential(stages[3], PooledPyramid(c5))
        self.up = nn.Upsample(scale_factor=2)
        self.up_4, self.up_3 = Stage(c5 + c4, c4, count, False), Stage(c4 + c3, c3, count, False)
        self.down_3, self.down_4 = convolution(c3, c3, 3, 2), convolution(c4, c4, 3, 2)
        self.out_4, self.out_5 = Stage(c3 + c4, c4, count, False), Stage(c4 + c5, c5, count, False)
        inner = max(16, c3 // 4, 4 * BINS), max(c3, min(classes, 100))
        self.boxes, self.scores = (
            nn.ModuleList(_head(before, wide, after) for before in (c3, c4, c5))
            for wide, after in zip(inner, (4 * BINS, classes), strict=True)
        )
        self.expected = nn.Conv2d(BINS, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(x)
        middle = self.middle(low)
        high = self.high(middle)
        inner = self.up_4(torch.cat([self.up(high), middle], 1))
        maps = [self.up_3(torch.cat([self.up(inner), low], 1))]
        maps.append(self.out_4(torch.cat([self.down_3(maps[0]), inner], 1)))
        maps.append(self.out_5(torch.cat([self.down_4(maps[1]), high], 1)))
        boxes, scores = (
            torch.cat([head(one).flatten(2) for head, one in zip(heads, maps, strict=True)], 2)
            for heads in (self.boxes, self.scores)
        )
        batch, _, places = boxes.shape
        sides = self.expected(boxes.view(batch, 4, BINS, places).transpose(2, 1).softmax(1))
        return torch.cat([sides.view(batch, 4, places), scores.sigmoid()], 1)


def _head(before: int, wide: int, after: int) -> nn.Module:
    layers = convolution(before, wide, 3), convolution(wide, wide, 3), nn.Conv2d(wide, after, 1)
    return nn.Sequential(*layers)


def detector(size: str) -> nn.Module:
    """YOLOv8 of this size for COCO."""
    return Detector(size).eval()
