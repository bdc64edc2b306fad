"""Modules that several tests of costs run, written with nothing but torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Function(nn.Module):
    """A module without parameters that runs a function."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the function returns."""
        return self.function(*inputs)


class Bottleneck(nn.Module):
    """The bottleneck of ResNet-50: 1x1, 3x3 with the stride, 1x1, and the shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.reduce = conv_norm(inputs, width, 1)
        self.spatial = conv_norm(width, width, 3, stride)
        self.expand = conv_norm(width, outputs, 1)
        has_projection = stride != 1 or inputs != outputs
        self.shortcut = conv_norm(inputs, outputs, 1, stride) if has_projection else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 4 width, H / stride, W / stride)."""
        y = self.act(self.spatial(self.act(self.reduce(x))))
        return self.act(self.expand(y) + self.shortcut(x))


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A padded convolution without bias and a batch norm."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def resnet50() -> nn.Sequential:
    """ResNet-50 (arXiv:1512.03385), the stride on the 3x3: 25,557,032 parameters, 4.09 GMACs."""
    layers: list[nn.Module] = [conv_norm(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(depth):
            layers.append(Bottleneck(inputs, width, stride if index == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


class InvertedResidual(nn.Module):
    """The block of MobileNetV2: 1x1 expansion, depthwise 3x3, 1x1 projection."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        expand = [conv_norm(inputs, inner, 1), nn.ReLU6()] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand, conv_norm(inner, inner, 3, stride, inner), nn.ReLU6(), conv_norm(inner, outputs, 1)
        )
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return x + self.body(x) if self.is_residual else self.body(x)


def mobilenet_v2() -> nn.Sequential:
    """MobileNetV2 (arXiv:1801.04381): 3,504,872 parameters, 301 MMACs."""
    layers: list[nn.Module] = [conv_norm(3, 32, 3, 2), nn.ReLU6()]
    inputs = 32
    plan = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, outputs, depth, stride in plan:
        for index in range(depth):
            layers.append(InvertedResidual(inputs, outputs, stride if index == 0 else 1, expansion))
            inputs = outputs
    layers += [
        conv_norm(320, 1280, 1),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1280, 1000),
    ]
    return nn.Sequential(*layers)


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """A module built without data."""
    with torch.device("meta"):
        return build()
