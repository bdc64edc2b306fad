"""The block and the stem of BiFormer."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_base.norms import channel_scale, map_norm
from nas_group_attention.bilevel_routing import local_convolution


class BiFormer(nn.Module):
    """Positional convolution, token mixer and feed-forward, each with a residual (arXiv:2303.08810).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. Where channels or size change, a 3x3
    convolution with the stride and bias and a batch norm stand in front. A layer norm with gain and bias
    stands in front of the mixer and of the feed-forward part.

    - `mixer`: a block of the role mixer.
    - `ffn`: a block of the role ffn; BiFormer has an MLP of ratio 3 with bias and GELU.
    - `position_kernel`: side of the positional convolution, odd, in pixels; 0 for none.
    - `layer_scale`: initial value of a learned factor per channel on both branches; 0 for none.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        mixer: Callable[[Signature], nn.Module],
        ffn: Callable[[Signature], nn.Module],
        position_kernel: int = 3,
        layer_scale: float = 0.0,
    ) -> None:
        super().__init__()
        inside = signature.after(width, stride)
        channels = inside.channels
        is_kept = stride == 1 and channels == signature.channels
        self.embedding = nn.Identity() if is_kept else embedding(signature.channels, channels, stride)
        self.position = local_convolution(channels, position_kernel)
        self.mixer_norm = map_norm("layer_bias", channels)
        self.mixer = mixer(inside)
        self.mixer_scale = channel_scale(channels, layer_scale)
        self.ffn_norm = map_norm("layer_bias", channels)
        self.ffn = ffn(inside)
        self.ffn_scale = channel_scale(channels, layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        """The embedding where needed, then the positions, the mixing branch and the feed-forward branch."""
        x = self.embedding(x)
        if self.position is not None:
            x = x + self.position(x)
        x = x + self.mixer_scale(self.mixer(self.mixer_norm(x)))
        y: Tensor = x + self.ffn_scale(self.ffn(self.ffn_norm(x)))
        return y


class BiFormerStem(nn.Module):
    """Two 3x3 convolutions with bias and batch norm, the activation between them (arXiv:2303.08810).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. The first convolution has half of the
    width, and takes a factor 2 of an even stride; the second takes the rest.

    - `activation`: between the two.
    """

    def __init__(
        self, signature: Signature, *, width: int | None = None, stride: int = 1, activation: str = "gelu"
    ) -> None:
        super().__init__()
        outputs = width or signature.channels
        inner = max(1, outputs // 2)
        first = 2 if stride % 2 == 0 else 1
        self.first = embedding(signature.channels, inner, first)
        self.act = make_activation(activation)
        self.second = embedding(inner, outputs, stride // first)

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, norm, activation, convolution, norm."""
        return self.second(self.act(self.first(x)))  # type: ignore[no-any-return]


def embedding(inputs: int, outputs: int, stride: int) -> nn.Module:
    """A 3x3 convolution with the stride and bias, and a batch norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs))
