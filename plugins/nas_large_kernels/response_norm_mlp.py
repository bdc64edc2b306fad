"""The feed-forward part of ConvNeXt V2, and its norm as a block of its own."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.mlp import Mlp
from nas_large_kernels.response_norm import ResponseNorm


class GlobalResponseNorm(nn.Module):
    """Global response normalisation, GRN (ConvNeXt V2, arXiv:2301.00808). Keeps (N, C, H, W).

    With the norm G of each channel over the map, ``x + gain * x * G / mean(G) + bias``: channels compete, so
    that they do not all learn one thing. Gain and bias start at 0, where it is the identity.
    Parameters: 2 C.
    """

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.norm = ResponseNorm(signature.channels)

    def forward(self, x: Tensor) -> Tensor:
        """The norm."""
        return self.norm(x)  # type: ignore[no-any-return]


class ResponseNormMlp(Mlp):
    """1x1 expansion, activation, global response normalisation, 1x1 projection (arXiv:2301.00808).

    Keeps (N, C, H, W). It takes the place of the layer scale of ConvNeXt: put it into a skeleton whose
    `layer_scale` is 0. Parameters with I = ratio C: 2 C I + 2 I, and I + C with bias.

    - `ratio`: inner channels as a multiple of C.
    - `activation`: behind the expansion.
    - `bias`: whether both 1x1 convolutions have one.
    """

    def __init__(
        self, signature: Signature, *, ratio: float = 4, activation: str = "gelu", bias: bool = True
    ) -> None:
        super().__init__(signature, ratio=ratio, activation=activation, bias=bias)
        self.norm = ResponseNorm(self.expand.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Expansion, activation, norm, projection."""
        return self.project(self.norm(self.act(self.expand(x))))  # type: ignore[no-any-return]
