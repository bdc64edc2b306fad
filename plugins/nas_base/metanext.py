"""The skeleton of ConvNeXt: mixer, norm and feed-forward in one residual branch."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.downsampling import Downsample
from nas_base.norms import channel_scale, map_norm


class MetaNext(nn.Module):
    """``x + scale * ffn(norm(mixer(x)))`` (MetaNeXt, arXiv:2303.16900; ConvNeXt, arXiv:2201.03545).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. Where channels or size change, a layer
    norm and a convolution over patches as large as the stride stand in front.

    - `mixer`: a block of the role mixer; ConvNeXt has a depthwise convolution of 7x7 with bias.
    - `ffn`: a block of the role ffn.
    - `norm`: "layer_bias" over the channels of a position with gain and bias, "layer" without bias, "group"
      over the whole map, "batch", "none".
    - `layer_scale`: initial value of a learned factor per channel on the branch; 0 for none.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        mixer: Callable[[Signature], nn.Module],
        ffn: Callable[[Signature], nn.Module],
        norm: str = "layer_bias",
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        inside = signature.after(width, stride)
        is_kept = inside == signature
        self.downsample = nn.Identity() if is_kept else Downsample(signature, width=width, stride=stride)
        self.mixer = mixer(inside)
        self.norm = map_norm(norm, inside.channels)
        self.ffn = ffn(inside)
        self.scale = channel_scale(inside.channels, layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Downsampling where needed, then the branch and what passes by it."""
        x = self.downsample(x)
        y: Tensor = x + self.scale(self.ffn(self.norm(self.mixer(x))))
        return y
