"""Mobile bottlenecks whose 1x1 convolutions are pruned and whose depthwise convolution stays dense."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.convolution import ConvNormAct
from nas_base.squeeze_excite import squeeze_excite
from nas_sparse_ops.pointwise import BlockPointwise, PrunedConvNormAct


def sparse_pointwise(
    inputs: int, outputs: int, sparsity: float, block: int, act: str = "identity"
) -> PrunedConvNormAct:
    """A pruned 1x1 convolution with norm and activation."""
    return PrunedConvNormAct(BlockPointwise(inputs, outputs, sparsity=sparsity, block=block), act)


class SparseSeparableConv(nn.Module):
    """Depthwise convolution, then a pruned 1x1 convolution, each with norm and activation: the block of
    MobileNetV1 (arXiv:1704.04861) as Fast Sparse ConvNets prunes it (arXiv:1911.09723).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. The depthwise convolution is dense.

    - `kernel`: of the depthwise convolution, odd, in pixels.
    - `sparsity`: share of the 1x1 weights that is pruned, reached gradually over training; 0 for none.
    - `block`: output channels that are pruned together; divides `width`.
    - `activation`: behind both convolutions.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 3,
        sparsity: float = 0.9,
        block: int = 1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels = signature.channels
        self.depthwise = ConvNormAct(
            channels, channels, kernel, stride=stride, groups=channels, act=activation
        )
        self.pointwise = sparse_pointwise(channels, width or channels, sparsity, block, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Depthwise, pointwise."""
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


class SparseInvertedResidual(nn.Module):
    """Pruned 1x1 expansion, depthwise convolution with the stride, squeeze-and-excitation, pruned linear 1x1
    projection: the block of MobileNetV2 (arXiv:1801.04381) as Fast Sparse ConvNets prunes it
    (arXiv:1911.09723).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. The input is added where stride is 1 and
    width is C. Depthwise convolution and gate are dense.

    - `kernel`: of the depthwise convolution, odd, in pixels.
    - `expansion`: inner channels as a multiple of C; at 1 there is no expanding convolution.
    - `se`: squeezed channels of the gate as a share of C; 0 for none.
    - `sparsity`: share of the 1x1 weights that is pruned, reached gradually over training; 0 for none.
    - `block`: output channels that are pruned together; divides `width` and the inner channels.
    - `activation`: behind the expansion and the depthwise convolution; also inside the gate.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 3,
        expansion: float = 6,
        se: float = 0.0,
        sparsity: float = 0.9,
        block: int = 1,
        activation: str = "relu6",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs, inner = width or channels, round(channels * expansion)
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = sparse_pointwise(channels, inner, sparsity, block, activation)
        self.depthwise = ConvNormAct(inner, inner, kernel, stride=stride, groups=inner, act=activation)
        self.se = squeeze_excite(inner, se, of=channels, act=activation)
        self.project = sparse_pointwise(inner, outputs, sparsity, block)
        self.is_residual = stride == 1 and outputs == channels

    def forward(self, x: Tensor) -> Tensor:
        """Expansion, depthwise convolution, gate, projection, and the input where the shape is kept."""
        y: Tensor = self.project(self.se(self.depthwise(self.expand(x))))
        return x + y if self.is_residual else y
