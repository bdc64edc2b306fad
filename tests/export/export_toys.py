"""Small modules of every kind that an export must hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHAPE = (3, 16, 16)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, 2, 1)
        self.expand = nn.Conv2d(2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class Attention(nn.Module):
    """Iterates over a tensor, as symbolic tracing cannot."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        N, C, H, W = x.shape
        heads = self.qkv(x).reshape(N, 3, 2, C // 2, H * W).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(*heads.unbind(1))
        return mixed.transpose(-1, -2).reshape(N, C, H, W)


class MetaFormer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels, eps=1e-6)
        self.mixer = Attention(channels)
        self.scale = nn.Parameter(torch.rand(channels))
        self.mlp = nn.Sequential(nn.Linear(channels, 12), nn.GELU(), nn.Dropout(0.5), nn.Linear(12, channels))
        self.last = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale.reshape(-1, 1, 1) * self.mixer(self.norm(x))
        y = self.mlp(self.last(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return x + y


class Chunked(nn.Module):
    """Several outputs of one call, a buffer, a constant, a function nobody has a short name for."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offset", torch.arange(3.0).reshape(3, 1, 1))
        self.conv = nn.Conv2d(3, 8, (3, 1), padding=(1, 0), padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.conv(x + self.offset + torch.tensor([0.5])).chunk(2, dim=1)
        spectrum = torch.fft.rfft2(a, norm="ortho").abs()
        return torch.cat([spectrum.mean((2, 3)), (b * a.amax()).flatten(2).sum(2)], 1)


class Fixed(nn.Module):
    """Works for one sample only."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] != 1:
            raise ValueError("one sample at a time")
        return x.sum((1, 2, 3))[:, None]


def classifier(*parts: nn.Module, channels: int = 8) -> nn.Module:
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5))


def _conv() -> nn.Module:
    return classifier(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(), nn.MaxPool2d(3, 2, 1))


def _inverted() -> nn.Module:
    depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False)
    return classifier(nn.Conv2d(3, 8, 1), nn.ReLU6(), depthwise, SqueezeExcite(8), nn.SiLU(inplace=True))


def _metaformer() -> nn.Module:
    return classifier(nn.Conv2d(3, 8, 4, 4), MetaFormer(8), MetaFormer(8))


TOYS: dict[str, Callable[[], nn.Module]] = {
    "conv": _conv,
    "inverted": _inverted,
    "metaformer": _metaformer,
    "chunked": Chunked,
}


def make(name: str) -> nn.Module:
    """A toy with random weights and statistics, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        module = TOYS[name]()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                assert part.running_mean is not None
                assert part.running_var is not None
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2.0)
    return module.eval().requires_grad_(False)
