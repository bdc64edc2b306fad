"""Convolution, norm and activation: the part most blocks are made of, and the blocks that are just that."""

from __future__ import annotations

from torch import Tensor, nn

from nas.blocks import fold_batch_norm
from nas.spaces.signature import Signature
from nas_base.activations import activation
from nas_base.norms import ChannelNorm


class ConvNormAct(nn.Module):
    """Convolution, batch norm and activation.

    (N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up. The convolution has no
    bias, is padded by half of its odd kernel, and its weights are drawn as He et al. propose
    (arXiv:1502.01852, fan out).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        act: str = "identity",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = activation(act)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, norm, activation."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """The convolution with the norm folded in, and the activation."""
        return ConvAct(fold_batch_norm(self.conv, self.norm), self.act)


class ConvAct(nn.Module):
    """Convolution with bias and activation: the deployed form of `ConvNormAct`."""

    def __init__(self, conv: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, activation."""
        return self.act(self.conv(x))  # type: ignore[no-any-return]


class Conv(ConvNormAct):
    """One dense convolution with batch norm and activation.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. `kernel` is odd, in pixels; `width` None
    keeps the channels; `activation` stands behind the norm.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 3,
        activation: str = "relu",
    ) -> None:
        super().__init__(
            signature.channels, width or signature.channels, kernel, stride=stride, act=activation
        )


class ConvStem(nn.Module):
    """The first layer of a network: convolution, norm, activation and, where wanted, a max-pool.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. `kernel` is odd, in pixels; `activation`
    stands behind the norm. With `pool` a 3x3 max-pool takes a factor 2 of an even stride and the convolution
    the rest, as in ResNet (stride 4 = 2 and 2). `norm` is "batch", or "layer" for a convolution with bias and
    a layer norm over the channels, as in MetaFormer (arXiv:2210.13452).
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 3,
        activation: str = "relu",
        norm: str = "batch",
        pool: bool = False,
    ) -> None:
        super().__init__()
        outputs = width or signature.channels
        shared = 2 if pool and stride % 2 == 0 else 1
        self.conv: nn.Module
        if norm == "batch":
            self.conv = ConvNormAct(
                signature.channels, outputs, kernel, stride=stride // shared, act=activation
            )
        else:
            self.conv = LayerNormConv(
                signature.channels, outputs, kernel, stride=stride // shared, act=activation
            )
        self.pool = nn.MaxPool2d(3, shared, 1) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, norm, activation, pool."""
        return self.pool(self.conv(x))  # type: ignore[no-any-return]


class LayerNormConv(nn.Module):
    """Convolution with bias, layer norm over the channels, activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, act: str = "identity"
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.norm = ChannelNorm(outputs)
        self.act = activation(act)
        nn.init.trunc_normal_(self.conv.weight, std=0.02)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, norm, activation."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]
