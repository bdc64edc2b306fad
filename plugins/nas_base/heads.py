"""Heads: from the last map to the scores of the classes."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation


class PoolLinear(nn.Module):
    """Global average pooling and a linear classifier; (N, C, H, W) to (N, classes).

    - `hidden`: width of a hidden linear layer with bias; 0 for none.
    - `activation`: behind the hidden layer, and behind a batch norm.
    - `norm`: "none"; "batch" for a batch norm and the activation in front of the pooling
      (NAS-Bench-201, arXiv:2001.00326); "layer" for a layer norm behind the pooling and behind the hidden
      activation (MetaFormer, arXiv:2210.13452); "hidden_layer" for the second of them alone
      (InceptionNeXt, arXiv:2303.16900), which needs a hidden layer.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        classes: int,
        hidden: int = 0,
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        super().__init__()
        channels = signature.channels
        self.before = (
            nn.Sequential(nn.BatchNorm2d(channels), make_activation(activation))
            if norm == "batch"
            else nn.Identity()
        )
        behind = norm in ("layer", "hidden_layer")
        self.norm = _vector_norm(norm == "layer", channels)
        self.hidden = (
            nn.Sequential(
                _linear(channels, hidden), make_activation(activation), _vector_norm(behind, hidden)
            )
            if hidden
            else nn.Identity()
        )
        self.classifier = _linear(hidden or channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Pooling, norms and layers to scores without softmax."""
        means = self.before(x).mean((2, 3))
        return self.classifier(self.hidden(self.norm(means)))  # type: ignore[no-any-return]


def _vector_norm(wanted: bool, channels: int) -> nn.Module:
    return nn.LayerNorm(channels, eps=1e-6) if wanted else nn.Identity()


def _linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear
