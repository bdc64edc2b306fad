"""The skeleton that every token mixer fits into."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.norms import ChannelNorm, channel_scale, map_norm


class MetaFormer(nn.Module):
    """Norm, token mixer, residual; norm, feed-forward, residual (arXiv:2111.11418, arXiv:2210.13452).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. Where channels or size change, a layer
    norm and a 3x3 convolution with the stride stand in front.

    - `mixer`: a block of the role mixer.
    - `ffn`: a block of the role ffn.
    - `norm`: "layer" over the channels of a position, "group" over the whole map, "batch"; the first two
      have a gain and no bias; "layer_bias" has both.
    - `layer_scale`: initial value of a learned factor per channel on each branch; 0 for none.
    - `residual_scale`: the same on what passes by each branch; MetaFormer has 1 in its last two stages.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        mixer: Callable[[Signature], nn.Module],
        ffn: Callable[[Signature], nn.Module],
        norm: str = "layer",
        layer_scale: float = 0.0,
        residual_scale: float = 0.0,
    ) -> None:
        super().__init__()
        inside = signature.after(width, stride)
        channels = inside.channels
        self.downsample = downsample(signature.channels, channels, stride)
        self.mixer_norm = map_norm(norm, channels)
        self.mixer = mixer(inside)
        self.mixer_scale = channel_scale(channels, layer_scale)
        self.mixer_residual_scale = channel_scale(channels, residual_scale)
        self.ffn_norm = map_norm(norm, channels)
        self.ffn = ffn(inside)
        self.ffn_scale = channel_scale(channels, layer_scale)
        self.ffn_residual_scale = channel_scale(channels, residual_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Downsampling where needed, the mixing branch, the feed-forward branch."""
        x = self.downsample(x)
        x = self.mixer_residual_scale(x) + self.mixer_scale(self.mixer(self.mixer_norm(x)))
        y: Tensor = self.ffn_residual_scale(x) + self.ffn_scale(self.ffn(self.ffn_norm(x)))
        return y


def downsample(channels: int, outputs: int, stride: int) -> nn.Module:
    """Layer norm and a strided 3x3 convolution with bias; nothing where the shape is kept."""
    if stride == 1 and channels == outputs:
        return nn.Identity()
    conv = nn.Conv2d(channels, outputs, 3, stride, 1)
    nn.init.trunc_normal_(conv.weight, std=0.02)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return nn.Sequential(ChannelNorm(channels), conv)
