"""The operations on the edges of a cell (NAS-Bench-201, arXiv:2001.00326)."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.convolution import ConvNormAct


class Zero(nn.Module):
    """Nothing passes: zeros; (N, C, H, W) to (N, width, H / stride, W / stride), rounded up."""

    def __init__(self, signature: Signature, *, width: int | None = None, stride: int = 1) -> None:
        super().__init__()
        self.width = width or signature.channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Zeros of the type and on the device of the input."""
        N, _, H, W = x.shape
        return x.new_zeros((N, self.width, -(-H // self.stride), -(-W // self.stride)))


class Identity(nn.Module):
    """Everything passes: keeps (N, C, H, W); fits where neither width nor size changes."""

    def __init__(self, signature: Signature, *, width: int | None = None, stride: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        return x


class ConvOperation(nn.Module):
    """ReLU, convolution, batch norm; (N, C, H, W) to (N, width, H / stride, W / stride), rounded up.

    `kernel` is odd, in pixels.
    """

    def __init__(
        self, signature: Signature, *, width: int | None = None, stride: int = 1, kernel: int = 3
    ) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.conv = ConvNormAct(signature.channels, width or signature.channels, kernel, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Activation, convolution, norm."""
        return self.conv(self.act(x))  # type: ignore[no-any-return]


class AveragePool(nn.Module):
    """Average pooling that does not count the padding; (N, C, H, W) to (N, C, H / stride, W / stride).

    `kernel` is odd, in pixels; sizes are rounded up.
    """

    def __init__(
        self, signature: Signature, *, width: int | None = None, stride: int = 1, kernel: int = 3
    ) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """The mean of each neighbourhood."""
        return self.pool(x)  # type: ignore[no-any-return]
