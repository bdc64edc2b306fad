"""Squeeze-and-excitation."""

from __future__ import annotations

from torch import Tensor, nn

from nas_base.activations import activation


class SqueezeExcite(nn.Module):
    """A gate per channel from the channel means: ``x * sigmoid(W2 relu(W1 mean(x)))`` (arXiv:1709.01507).

    (N, C, H, W) keeps its shape. `squeezed` channels stand between W1 and W2, both with bias: 2 C squeezed
    + squeezed + C parameters.
    """

    def __init__(self, channels: int, squeezed: int, *, act: str = "relu") -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = activation(act)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The map times its gate."""
        means = x.mean((2, 3), keepdim=True)
        gate: Tensor = self.expand(self.act(self.reduce(means)))
        return x * gate.sigmoid()


def squeeze_excite(channels: int, ratio: float, *, of: int, act: str = "relu") -> nn.Module:
    """A gate on `channels` that squeezes to `ratio` times `of` channels, at least one; nothing where 0."""
    return SqueezeExcite(channels, max(1, round(of * ratio)), act=act) if ratio else nn.Identity()
