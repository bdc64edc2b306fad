"""Layers that only change the width and the resolution: stems and what stands between stages."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nas.spaces.signature import Signature
from nas_base.norms import map_norm


class Downsample(nn.Module):
    """One strided convolution with a norm in front of it or behind it (ConvNeXt, arXiv:2201.03545).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up.

    - `overlap`: False for patches as large as the stride, the last ones padded with zeros where they do not
      fit; True for a kernel of 2 stride - 1 pixels, padded by stride - 1.
    - `norm`: "layer_bias" over the channels of a position with gain and bias, "layer" without bias, "group"
      over the whole map, "batch", "none".
    - `order`: "norm_conv" between stages, "conv_norm" for a stem.
    - `bias`: "needed" for one unless a batch norm stands behind the convolution, which would undo it;
      "always" for one there too, as some published networks have it.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        overlap: bool = False,
        norm: str = "layer_bias",
        order: str = "norm_conv",
        bias: str = "needed",
    ) -> None:
        super().__init__()
        channels, outputs = signature.channels, width or signature.channels
        is_last = order == "conv_norm"
        kernel, padding = (2 * stride - 1, stride - 1) if overlap else (stride, 0)
        has_bias = bias == "always" or not (is_last and norm == "batch")
        self.before = nn.Identity() if is_last else map_norm(norm, channels)
        self.conv = nn.Conv2d(channels, outputs, kernel, stride, padding, bias=has_bias)
        self.behind = map_norm(norm, outputs) if is_last else nn.Identity()
        self.missing = (0, 0) if overlap else tuple(-extent % stride for extent in signature.size)
        nn.init.trunc_normal_(self.conv.weight, std=0.02)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Norm and convolution, or convolution and norm."""
        x = self.before(x)
        if any(self.missing):
            x = F.pad(x, (0, self.missing[1], 0, self.missing[0]))
        return self.behind(self.conv(x))  # type: ignore[no-any-return]
