"""Convolutional additive self-attention for phones: no softmax, no product between tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_base.downsampling import Downsample


class SpatialGate(nn.Module):
    """``x * sigmoid(w · relu(norm(depthwise(x))))``: one gate for each position (arXiv:2408.03703).

    (N, C, H, W) keeps its shape; `kernel` of the depthwise convolution is odd, in pixels.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = depthwise(channels, kernel)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()
        self.reduce = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The map times its gate."""
        return x * torch.sigmoid(self.reduce(self.act(self.norm(self.depthwise(x)))))


class ChannelGate(nn.Module):
    """``x * sigmoid(W · mean(x))``: one gate for each channel. (N, C, H, W) keeps its shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The map times its gate."""
        return x * torch.sigmoid(self.mix(x.mean((2, 3), keepdim=True)))


class AdditiveMixer(nn.Module):
    """``project(depthwise(gate(q) + gate(k)) * v)``: additive attention (CAS-ViT, arXiv:2408.03703).

    Keeps (N, C, H, W); its cost is linear in the positions. q, k and v come from one 1x1 convolution without
    bias, and q and k have gates of their own. With all gates and kernel K: 3 C² of q, k and v,
    2 (C (K² + 4) + C²) of the gates, 2 C (K² + 1) of what stands behind them.

    - `kernel`: side of every depthwise convolution in pixels, odd.
    - `spatial_gate`: whether q and k are gated at each position.
    - `channel_gate`: whether they are gated in each channel.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        kernel: int = 3,
        spatial_gate: bool = True,
        channel_gate: bool = True,
    ) -> None:
        super().__init__()
        channels = signature.channels

        def gates() -> nn.Sequential:
            spatial = [SpatialGate(channels, kernel)] if spatial_gate else []
            return nn.Sequential(*spatial, *([ChannelGate(channels)] if channel_gate else []))

        self.channels = channels
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.gate_q, self.gate_k = gates(), gates()
        self.depthwise = depthwise(channels, kernel)
        self.project = depthwise(channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of gated queries and keys, mixed, times the values, mixed again."""
        qkv, C = self.qkv(x), self.channels
        context = self.gate_q(qkv.narrow(1, 0, C)) + self.gate_k(qkv.narrow(1, C, C))
        return self.project(self.depthwise(context) * qkv.narrow(1, 2 * C, C))  # type: ignore[no-any-return]


class CasVit(nn.Module):
    """Local convolutions, additive mixer, feed-forward, each with a residual (CAS-ViT, arXiv:2408.03703).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. Where channels or size change, a 3x3
    convolution with the stride and a batch norm stand in front. A batch norm stands in front of the mixer
    and of the feed-forward part; both are folded in the deployed form.

    - `mixer`: a block of the role mixer.
    - `kernel`: side of the depthwise convolution of the local part in pixels, odd.
    - `ratio`: inner channels of the feed-forward part as a multiple of the width.
    - `activation`: in the local and in the feed-forward part.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        mixer: Callable[[Signature], nn.Module],
        kernel: int = 3,
        ratio: float = 4,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        inside = signature.after(width, stride)
        channels, inner = inside.channels, max(1, round(inside.channels * ratio))
        self.downsample = nn.Identity() if inside == signature else embedding(signature, width, stride)
        self.local = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            depthwise(channels, kernel),
            make_activation(activation),
            nn.Conv2d(channels, channels, 1),
        )
        self.mixer_norm = nn.BatchNorm2d(channels)
        self.mixer = mixer(inside)
        self.ffn_norm = nn.BatchNorm2d(channels)
        self.ffn = nn.Sequential(
            nn.Conv2d(channels, inner, 1), make_activation(activation), nn.Conv2d(inner, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Three residual branches."""
        x = self.downsample(x)
        x = x + self.local(x)
        x = x + self.mixer(self.mixer_norm(x))
        y: Tensor = x + self.ffn(self.ffn_norm(x))
        return y


class CasVitStem(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU that share the stride (CAS-ViT, arXiv:2408.03703).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up; the first convolution gives half of the
    width. Each takes a factor 2 of a stride that 4 divides, else the first one takes all of it.
    """

    def __init__(self, signature: Signature, *, width: int | None = None, stride: int = 1) -> None:
        super().__init__()
        outputs = width or signature.channels
        half, second = max(1, outputs // 2), 2 if stride % 4 == 0 else 1
        self.layers = nn.Sequential(
            nn.Conv2d(signature.channels, half, 3, stride // second, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, outputs, 3, second, 1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, norm, activation, twice."""
        return self.layers(x)  # type: ignore[no-any-return]


class DistilledLinear(nn.Module):
    """Batch norm, average pooling and the mean of two linear classifiers (arXiv:2012.12877).

    (N, C, H, W) to (N, classes). One classifier is meant to learn from the labels, the other from a teacher;
    what counts is their mean. 2 C + 2 classes (C + 1) parameters; deployed it is one linear layer.
    """

    def __init__(self, signature: Signature, *, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(signature.channels)
        self.head = linear(signature.channels, classes)
        self.distilled_head = linear(signature.channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """The mean of both scores."""
        means = self.norm(x).mean((2, 3))
        y: Tensor = (self.head(means) + self.distilled_head(means)) / 2
        return y

    def fused(self) -> nn.Module:
        """Pooling and one linear layer: a norm may as well stand behind the mean over positions."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        weight = (self.head.weight + self.distilled_head.weight) / 2
        bias = (self.head.bias + self.distilled_head.bias) / 2
        classes, channels = weight.shape
        merged = nn.Linear(channels, classes, device=weight.device, dtype=weight.dtype)
        with torch.no_grad():
            merged.weight.copy_(weight * scale)
            merged.bias.copy_(bias + weight @ shift)
        return PooledLinear(merged)


class PooledLinear(nn.Module):
    """Average pooling and a linear classifier: the deployed form of `DistilledLinear`."""

    def __init__(self, classifier: nn.Linear) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes)."""
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]


def depthwise(channels: int, kernel: int) -> nn.Conv2d:
    """A depthwise convolution with bias that keeps the size."""
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)


def embedding(signature: Signature, width: int | None, stride: int) -> nn.Module:
    """What stands between the stages of CAS-ViT: an overlapping strided convolution and a batch norm."""
    return Downsample(
        signature,
        width=width,
        stride=stride,
        overlap=True,
        norm="batch",
        order="conv_norm",
        bias="always",
    )


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer; its weights are drawn from a truncated normal of deviation 0.02, its bias is 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
