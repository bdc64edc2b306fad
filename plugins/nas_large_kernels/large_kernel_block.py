"""The skeleton of RepLKNet: a large kernel between 1x1 convolutions, then a convolutional feed-forward."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.convolution import ConvNormAct


class LargeKernelBlock(nn.Module):
    """Norm, 1x1, large kernel, 1x1, residual; norm, 1x1 up, 1x1 down, residual (RepLKNet, arXiv:2203.06717).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. Where channels or size change, a
    `LargeKernelDownsample` stands in front. Every convolution has a batch norm and no bias.

    - `mixer`: a block of the role mixer: the large kernel, with its norm.
    - `ratio`: inner channels of the feed-forward part as a multiple of the width.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        mixer: Callable[[Signature], nn.Module],
        ratio: float = 4,
    ) -> None:
        super().__init__()
        inside = signature.after(width, stride)
        C, inner = inside.channels, max(1, round(inside.channels * ratio))
        is_kept = inside == signature
        self.downsample = (
            nn.Identity() if is_kept else LargeKernelDownsample(signature, width=width, stride=stride)
        )
        self.mixer_norm = nn.BatchNorm2d(C)
        self.expand = ConvNormAct(C, C, act="relu")
        self.mixer = mixer(inside)
        self.act = nn.ReLU()
        self.project = ConvNormAct(C, C)
        self.ffn_norm = nn.BatchNorm2d(C)
        self.ffn = nn.Sequential(ConvNormAct(C, inner, act="gelu"), ConvNormAct(inner, C))

    def forward(self, x: Tensor) -> Tensor:
        """Both residual branches."""
        x = self.downsample(x)
        x = x + self.project(self.act(self.mixer(self.expand(self.mixer_norm(x)))))
        y: Tensor = x + self.ffn(self.ffn_norm(x))
        return y


class LargeKernelDownsample(nn.Module):
    """A 1x1 convolution that widens and a depthwise 3x3 one that strides (RepLKNet, arXiv:2203.06717).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up; each with batch norm and ReLU.
    """

    def __init__(self, signature: Signature, *, width: int | None = None, stride: int = 1) -> None:
        super().__init__()
        outputs = width or signature.channels
        self.widen = ConvNormAct(signature.channels, outputs, act="relu")
        self.stride = ConvNormAct(outputs, outputs, 3, stride=stride, groups=outputs, act="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Widened, then strided."""
        return self.stride(self.widen(x))  # type: ignore[no-any-return]


class LargeKernelStem(nn.Module):
    """Dense 3x3, depthwise 3x3, 1x1 and depthwise 3x3 convolutions (RepLKNet, arXiv:2203.06717).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up; each with batch norm and ReLU. The first
    and the last one take a factor 2 of a stride that 4 divides each, else the first takes all of it.
    """

    def __init__(self, signature: Signature, *, width: int | None = None, stride: int = 1) -> None:
        super().__init__()
        outputs, last = width or signature.channels, 2 if stride % 4 == 0 else 1
        self.layers = nn.Sequential(
            ConvNormAct(signature.channels, outputs, 3, stride=stride // last, act="relu"),
            ConvNormAct(outputs, outputs, 3, groups=outputs, act="relu"),
            ConvNormAct(outputs, outputs, act="relu"),
            ConvNormAct(outputs, outputs, 3, stride=last, groups=outputs, act="relu"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The four convolutions."""
        return self.layers(x)  # type: ignore[no-any-return]
