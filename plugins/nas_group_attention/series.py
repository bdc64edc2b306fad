"""What a network for time series is made of, besides its mixers: stem, block, feed-forward part, head."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_group_attention.series_costs import inner_channels


class SeriesNorm(nn.Module):
    """Layer norm over the channels at each position of a series, with gain and bias (arXiv:1607.06450).

    (N, C, L) keeps its shape.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Zero mean and unit variance over C, times the gain, plus the bias."""
        normed = F.layer_norm(x.transpose(1, 2), self.weight.shape, self.weight, self.bias, self.eps)
        return normed.transpose(1, 2)


class SeriesScale(nn.Module):
    """A learned factor per channel (layer scale, arXiv:2103.17239); (N, C, L) keeps its shape."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """The series times the factors."""
        return x * self.weight[:, None]


class SeriesStem(nn.Module):
    """Time-aware convolution: windows of the series become vectors that know where they stand.

    (N, C, L) to (N, width, L / stride), rounded up: one convolution along the time and a position added, as
    in RITA (arXiv:2306.01926).

    - `kernel`: length of a window, odd, in steps of time.
    - `position`: "sine" for fixed waves (arXiv:1706.03762), "learned" for a number per channel and position,
      "none".
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 5,
        position: str = "sine",
    ) -> None:
        super().__init__()
        behind = signature.after(width, stride)
        self.conv = series_conv(signature.channels, behind.channels, kernel, stride=stride)
        self.position = _Position(behind, position)

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, position."""
        return self.position(self.conv(x))  # type: ignore[no-any-return]


class _Position(nn.Module):
    """Adds to every position of a series what tells it from the others; keeps (N, C, L)."""

    def __init__(self, signature: Signature, kind: str) -> None:
        super().__init__()
        self.table: Tensor | None
        if kind == "learned":
            self.table = nn.Parameter(torch.empty(signature.shape))
            nn.init.trunc_normal_(self.table, std=0.02)
        else:
            table = waves(signature.channels, signature.size[0]) if kind == "sine" else None
            self.register_buffer("table", table, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The series plus the table."""
        return x if self.table is None else x + self.table


def waves(channels: int, length: int) -> Tensor:
    """(channels, length): sines in the first half of the channels, cosines in the second, ever slower.

    Their periods grow from 2 pi to 10,000 · 2 pi (arXiv:1706.03762).
    """
    half = -(-channels // 2)
    slower = torch.arange(half) * (-math.log(10_000) / max(1, half))
    angles = slower.exp()[:, None] * torch.arange(length)
    return torch.cat([angles.sin(), angles.cos()])[:channels]


class SeriesBlock(nn.Module):
    """Norm, token mixer, residual; norm, feed-forward, residual: the transformer block for series.

    (N, C, L) to (N, width, L / stride), rounded up. Where channels or length change, a layer norm and a
    convolution of 3 steps with the stride stand in front.

    - `mixer`: a block of the role mixer.
    - `ffn`: a block of the role ffn.
    - `layer_scale`: initial value of a learned factor per channel on each branch; 0 for none.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        mixer: Callable[[Signature], nn.Module],
        ffn: Callable[[Signature], nn.Module],
        layer_scale: float = 0.0,
    ) -> None:
        super().__init__()
        inside = signature.after(width, stride)
        self.downsample = _downsample(signature, inside, stride)
        self.mixer_norm = SeriesNorm(inside.channels)
        self.mixer = mixer(inside)
        self.mixer_scale = _scale(inside.channels, layer_scale)
        self.ffn_norm = SeriesNorm(inside.channels)
        self.ffn = ffn(inside)
        self.ffn_scale = _scale(inside.channels, layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Downsampling where needed, the mixing branch, the feed-forward branch."""
        x = self.downsample(x)
        x = x + self.mixer_scale(self.mixer(self.mixer_norm(x)))
        y: Tensor = x + self.ffn_scale(self.ffn(self.ffn_norm(x)))
        return y


def _downsample(signature: Signature, inside: Signature, stride: int) -> nn.Module:
    if stride == 1 and inside.channels == signature.channels:
        return nn.Identity()
    conv = series_conv(signature.channels, inside.channels, 3, stride=stride)
    return nn.Sequential(SeriesNorm(signature.channels), conv)


def _scale(channels: int, initial: float) -> nn.Module:
    return SeriesScale(channels, initial) if initial else nn.Identity()


class SeriesMlp(nn.Module):
    """1x1 expansion, activation, 1x1 projection, with biases (arXiv:1706.03762). Keeps (N, C, L).

    - `ratio`: inner channels as a multiple of C.
    - `activation`: between the layers.
    """

    def __init__(self, signature: Signature, *, ratio: float = 4, activation: str = "gelu") -> None:
        super().__init__()
        inner = inner_channels(signature.channels, ratio)
        self.expand = series_conv(signature.channels, inner)
        self.act = make_activation(activation)
        self.project = series_conv(inner, signature.channels)

    def forward(self, x: Tensor) -> Tensor:
        """Expansion, activation, projection."""
        return self.project(self.act(self.expand(x)))  # type: ignore[no-any-return]


class SeriesPoolLinear(nn.Module):
    """Pooling over time and a linear classifier; (N, C, L) to (N, classes).

    - `pool`: "mean" or "max" over all positions.
    - `norm`: "layer" for a layer norm behind the pooling, or "none".
    """

    def __init__(
        self, signature: Signature, *, classes: int, pool: str = "mean", norm: str = "layer"
    ) -> None:
        super().__init__()
        channels = signature.channels
        self.pool = pool
        self.norm = nn.LayerNorm(channels, eps=1e-6) if norm == "layer" else nn.Identity()
        self.classifier = nn.Linear(channels, classes)
        nn.init.trunc_normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Pooling, norm and layer to scores without softmax."""
        pooled = x.amax(2) if self.pool == "max" else x.mean(2)
        return self.classifier(self.norm(pooled))  # type: ignore[no-any-return]


def series_conv(
    inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, bias: bool = True
) -> nn.Conv1d:
    """A convolution along the time whose odd kernel is padded by its half; weights of deviation 0.02."""
    conv = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)
    nn.init.trunc_normal_(conv.weight, std=0.02)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
