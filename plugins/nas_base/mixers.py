"""Token mixers: what exchanges information between positions. Each keeps (N, C, H, W)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nas.spaces.signature import Signature
from nas_base.activations import StarReLU
from nas_base.pointwise import pointwise


class IdentityMixer(nn.Module):
    """Mixes nothing: the lower end of what a mixer can do (arXiv:2210.13452). Keeps (N, C, H, W)."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        return x


class PoolMixer(nn.Module):
    """The mean of the neighbourhood minus the position itself (PoolFormer, arXiv:2111.11418).

    Keeps (N, C, H, W). `kernel` is the side of the neighbourhood, odd, in pixels; at the border the mean is
    over what lies inside the map.
    """

    def __init__(self, signature: Signature, *, kernel: int = 3) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(kernel, 1, kernel // 2, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mean minus input."""
        return self.pool(x) - x  # type: ignore[no-any-return]


class DepthwiseConv(nn.Module):
    """A depthwise convolution: every channel by itself (ConvNeXt, arXiv:2201.03545). Keeps (N, C, H, W).

    `kernel`: odd, in pixels. `bias`: whether it has one.
    """

    def __init__(self, signature: Signature, *, kernel: int = 7, bias: bool = True) -> None:
        super().__init__()
        channels = signature.channels
        self.conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=bias)
        nn.init.trunc_normal_(self.conv.weight, std=0.02)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        return self.conv(x)  # type: ignore[no-any-return]


class SeparableConv(nn.Module):
    """1x1 expansion, StarReLU, depthwise convolution, 1x1 projection, no biases (arXiv:2210.13452).

    Keeps (N, C, H, W). `kernel` of the depthwise convolution, odd, in pixels; `expansion`: inner channels as
    a multiple of C.
    """

    def __init__(self, signature: Signature, *, kernel: int = 7, expansion: float = 2) -> None:
        super().__init__()
        channels = signature.channels
        inner = max(1, round(channels * expansion))
        self.expand = pointwise(channels, inner)
        self.act = StarReLU()
        self.depthwise = nn.Conv2d(inner, inner, kernel, padding=kernel // 2, groups=inner, bias=False)
        self.project = pointwise(inner, channels)
        nn.init.trunc_normal_(self.depthwise.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Expansion, activation, depthwise convolution, projection."""
        return self.project(self.depthwise(self.act(self.expand(x))))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head self-attention over all positions of the map, no biases (arXiv:1706.03762).

    Keeps (N, C, H, W). `head_dim`: channels of one head; it must divide C.
    """

    def __init__(self, signature: Signature, *, head_dim: int = 32) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.qkv = pointwise(signature.channels, 3 * signature.channels)
        self.project = pointwise(signature.channels, signature.channels)

    def forward(self, x: Tensor) -> Tensor:
        """softmax(Q K^T / sqrt(head_dim)) V per head, then a projection."""
        N, C, H, W = x.shape
        heads = self.qkv(x).reshape(N, 3, C // self.head_dim, self.head_dim, H * W).transpose(-1, -2)
        q, k, v = heads.unbind(1)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.project(mixed.transpose(-1, -2).reshape(N, C, H, W))  # type: ignore[no-any-return]
