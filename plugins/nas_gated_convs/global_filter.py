"""The global-local filter: half of the channels see a neighbourhood, the other half all of the map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.spaces.signature import Signature
from nas_base.norms import ChannelNorm
from nas_gated_convs.global_filter_costs import KERNEL, frequencies, split


class SpectralFilter(nn.Module):
    """Every channel times learned complex weights in the frequency domain (GFNet, arXiv:2107.00645).

    That is a depthwise convolution over all of the map, which goes on at the opposite border. Keeps
    (N, C, H, W). The weights are bound to the size of the map that it was built for, H · (W // 2 + 1) complex
    numbers for each channel; on a map of another size they are interpolated, bilinearly between the corners.
    """

    def __init__(self, channels: int, size: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, *frequencies(size), 2))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Transform, product, transform back; in float32 where x is narrower."""
        wide = x if x.dtype == torch.float64 else x.float()
        height, width = x.shape[-2:]
        spectrum = torch.fft.rfft2(wide, norm="ortho")
        weight = self.weight_for((height, width)).to(wide.dtype).contiguous()
        y = torch.fft.irfft2(spectrum * torch.view_as_complex(weight), s=(height, width), norm="ortho")
        return y.to(x.dtype)  # type: ignore[no-any-return]

    def weight_for(self, size: tuple[int, int]) -> Tensor:
        """The weights for a map of this size, real and imaginary parts last."""
        wanted = frequencies(size)
        if wanted == tuple(self.weight.shape[1:3]):
            return self.weight
        parts = self.weight.permute(3, 0, 1, 2)
        return F.interpolate(parts, wanted, mode="bilinear", align_corners=True).permute(1, 2, 3, 0)


class GlobalFilter(nn.Module):
    """The global-local filter (HorNet, arXiv:2207.14284); (N, C, H, W) keeps its shape, it has no knobs.

    A layer norm over the channels; the first half of the channels through a depthwise convolution of 3x3, the
    second one through a `SpectralFilter`; their channels in turns; a layer norm again. Where C is odd, the
    channel in the middle is local and leaves as the last one. At least two channels, any size: the weights of
    the filter are bound to the size that it is built for, others are interpolated. Parameters, for C even:
    C / 2 · (9 + 2 H (W // 2 + 1)) + 4 C.
    """

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        channels = signature.channels
        self.channels = split(channels)
        local, spectral = self.channels
        self.before = ChannelNorm(channels, bias=True)
        self.local = nn.Conv2d(local, local, KERNEL, padding=KERNEL // 2, groups=local, bias=False)
        self.spectral = SpectralFilter(spectral, signature.size)
        self.behind = ChannelNorm(channels, bias=True)
        nn.init.trunc_normal_(self.local.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Norm, both halves, their channels in turns, norm."""
        near, far = self.before(x).split(self.channels, 1)
        near, far = self.local(near), self.spectral(far)
        pairs = torch.stack((near[:, : self.channels[1]], far.to(near.dtype)), 2).flatten(1, 2)
        if self.channels[0] > self.channels[1]:
            pairs = torch.cat((pairs, near[:, -1:]), 1)
        return self.behind(pairs)  # type: ignore[no-any-return]
