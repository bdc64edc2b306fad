"""The block and the stem of UniRepLKNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.blocks import fold_batch_norm
from nas.spaces.signature import Signature
from nas_base.downsampling import Downsample
from nas_base.norms import ChannelNorm, ChannelScale, channel_scale
from nas_base.pointwise import pointwise
from nas_base.squeeze_excite import SqueezeExcite
from nas_large_kernels.dilated_reparam import DilatedReparam, depthwise
from nas_large_kernels.response_norm import ResponseNorm
from nas_large_kernels.unireplknet_costs import (
    inner_channels,
    is_large,
    squeezed_channels,
    stem_kernel,
    stem_strides,
)


class UniRepLKNetBlock(nn.Module):
    """A large depthwise kernel, a gate and a feed-forward part in one branch (UniRepLKNet, arXiv:2311.15599).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. Where channels or size change, a
    convolution of 2 stride - 1 pixels and a layer norm stand in front, as between the stages of the paper.
    The branch: depthwise convolution with its dilated branches (`dilated_reparam`), batch norm,
    squeeze-and-excitation, 1x1 expansion, GELU, global response normalisation (GRN), 1x1 projection without
    bias, batch norm, layer scale. A kernel below 7 is a plain convolution.

    Deployed, one depthwise convolution with bias stands for everything in front of the gate, and the
    projection takes in the bias of GRN, the norm and the layer scale.

    - `kernel`: of the depthwise convolution, odd, in pixels.
    - `se`: squeezed channels of the gate as a share of the channels; 0 for no gate.
    - `ratio`: inner channels of the feed-forward part as a multiple of the channels.
    - `response_norm`: whether it has GRN.
    - `layer_scale`: initial value of a learned factor per channel on the branch; 0 for none.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 13,
        se: float = 0.25,
        ratio: float = 4,
        response_norm: bool = True,
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        inside = signature.after(width, stride)
        channels, inner = inside.channels, inner_channels(inside.channels, ratio)
        squeezed = squeezed_channels(channels, se)
        self.downsample = (
            nn.Identity()
            if inside == signature
            else Downsample(signature, width=width, stride=stride, overlap=True, order="conv_norm")
        )
        self.mixer = (
            DilatedReparam(inside, kernel=kernel) if is_large(kernel) else depthwise(channels, kernel)
        )
        self.mixer_norm = nn.BatchNorm2d(channels)
        self.gate = SqueezeExcite(channels, squeezed) if squeezed else nn.Identity()
        self.expand = pointwise(channels, inner, bias=True)
        self.act = nn.GELU()
        self.response_norm = ResponseNorm(inner) if response_norm else nn.Identity()
        self.project = pointwise(inner, channels)
        self.project_norm = nn.BatchNorm2d(channels)
        self.scale = channel_scale(channels, layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        """Downsampling where needed, then the branch and what passes by it."""
        x = self.downsample(x)
        y = self.gate(self.mixer_norm(self.mixer(x)))
        y = self.response_norm(self.act(self.expand(y)))
        branch: Tensor = self.scale(self.project_norm(self.project(y)))
        return x + branch

    def fused(self) -> nn.Module:
        """The deployed form: what can be merged into a convolution of the branch, merged."""
        merged = self.mixer.fused() if isinstance(self.mixer, DilatedReparam) else self.mixer
        mixer = fold_batch_norm(merged, self.mixer_norm)
        response_norm = self.response_norm
        if isinstance(response_norm, ResponseNorm):
            response_norm = response_norm.without_bias()
        branch = [mixer, self.gate, self.expand, self.act, response_norm, self._projection()]
        kept = [part for part in branch if not isinstance(part, nn.Identity)]
        residual = Residual(nn.Sequential(*kept))
        return (
            residual if isinstance(self.downsample, nn.Identity) else nn.Sequential(self.downsample, residual)
        )

    def _projection(self) -> nn.Module:
        """The projection with the bias of GRN in front of it and the norm and scale behind it merged."""
        merged = fold_batch_norm(self.project, self.project_norm)
        assert isinstance(merged, nn.Conv2d)
        assert merged.bias is not None
        weight, bias = merged.weight.detach(), merged.bias.detach()
        if isinstance(self.response_norm, ResponseNorm) and self.response_norm.bias is not None:
            bias = bias + torch.mv(weight.flatten(1), self.response_norm.bias.detach())
        if isinstance(self.scale, ChannelScale):
            scale = self.scale.weight.detach()
            weight, bias = weight * scale.reshape(-1, 1, 1, 1), bias * scale
        merged.weight, merged.bias = nn.Parameter(weight), nn.Parameter(bias)
        return merged


class Residual(nn.Module):
    """``x + branch(x)``: the deployed form of `UniRepLKNetBlock`."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """The branch and what passes by it."""
        y: Tensor = x + self.branch(x)
        return y


class UniRepLKNetStem(nn.Module):
    """Two 3x3 convolutions with a layer norm each and GELU in between (UniRepLKNet, arXiv:2311.15599).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up, over width / 2 channels. The paper has a
    stride of 4, a factor 2 in each convolution; the first takes 2 of any even stride and the second the
    rest, with a kernel of 2 stride - 1 pixels where that is more than 3.
    """

    def __init__(self, signature: Signature, *, width: int | None = None, stride: int = 1) -> None:
        super().__init__()
        outputs = width or signature.channels
        half = max(1, outputs // 2)
        first, second = stem_strides(stride)
        self.first = _convolution(signature.channels, half, first)
        self.first_norm = ChannelNorm(half, bias=True)
        self.act = nn.GELU()
        self.second = _convolution(half, outputs, second)
        self.second_norm = ChannelNorm(outputs, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, norm, GELU, convolution, norm."""
        x = self.act(self.first_norm(self.first(x)))
        return self.second_norm(self.second(x))  # type: ignore[no-any-return]


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    """A dense convolution with bias that rounds sizes up."""
    kernel = stem_kernel(stride)
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    nn.init.trunc_normal_(convolution.weight, std=0.02)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution
