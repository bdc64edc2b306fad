"""Plain mixers for time series: what group attention is compared with. Each keeps (N, C, L)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nas.spaces.signature import Signature
from nas_group_attention.series import series_conv


class TemporalConv(nn.Module):
    """A depthwise convolution along the time, with bias. Keeps (N, C, L).

    `kernel`: odd, in steps of time.
    """

    def __init__(self, signature: Signature, *, kernel: int = 7) -> None:
        super().__init__()
        channels = signature.channels
        self.conv = series_conv(channels, channels, kernel, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        return self.conv(x)  # type: ignore[no-any-return]


class FullAttention(nn.Module):
    """Multi-head self-attention over all positions of a series, no biases (arXiv:1706.03762).

    Keeps (N, C, L). `head_dim`: channels of one head; it must divide C.
    """

    def __init__(self, signature: Signature, *, head_dim: int = 16) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.qkv = series_conv(signature.channels, 3 * signature.channels, bias=False)
        self.project = series_conv(signature.channels, signature.channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`mix` of the queries, keys and values per head, then a projection."""
        N, C, L = x.shape
        heads = self.qkv(x).reshape(N, 3, C // self.head_dim, self.head_dim, L).transpose(-1, -2)
        mixed = self.mix(*heads.unbind(1))
        return self.project(mixed.transpose(-1, -2).reshape(N, C, L))  # type: ignore[no-any-return]

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(Q K^T / sqrt(head_dim)) V; each (N, heads, L, head_dim)."""
        return F.scaled_dot_product_attention(q, k, v)
