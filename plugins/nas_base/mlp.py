"""The feed-forward part of a transformer, on maps."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_base.pointwise import pointwise


class Mlp(nn.Module):
    """1x1 expansion, activation, 1x1 projection (arXiv:2210.13452). Keeps (N, C, H, W).

    - `ratio`: inner channels as a multiple of C.
    - `activation`: between the layers.
    - `bias`: whether both layers have one; MetaFormer has none, transformers and ConvNeXt do.
    """

    def __init__(
        self, signature: Signature, *, ratio: float = 4, activation: str = "star_relu", bias: bool = False
    ) -> None:
        super().__init__()
        inner = max(1, round(signature.channels * ratio))
        self.expand = pointwise(signature.channels, inner, bias=bias)
        self.act = make_activation(activation)
        self.project = pointwise(inner, signature.channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Expansion, activation, projection."""
        return self.project(self.act(self.expand(x)))  # type: ignore[no-any-return]
