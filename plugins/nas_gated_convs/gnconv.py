"""Recursive gated convolution: interactions between positions of a chosen order."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.pointwise import pointwise
from nas_gated_convs.gnconv_widths import spatial_channels, widths


class GnConv(nn.Module):
    """The recursive gated convolution g^n Conv (HorNet, arXiv:2207.14284). Keeps (N, C, H, W).

    A 1x1 convolution to 2 C channels gives p of C / 2^(n-1) of them and q_1, …, q_n of C / 2^(n-1), …, C / 2,
    C; all q go through one spatial operator and are scaled. Then p ← p · q_1, and n - 1 times
    p ← PW(p) · q_k, where the 1x1 convolution PW doubles the channels; a 1x1 convolution of C channels ends
    it. All 1x1 convolutions have a bias.

    - `order`: n, the number of products; C must be a multiple of 2^(n-1).
    - `spatial`: a block of the role mixer, on 2 C - C / 2^(n-1) channels: "depthwise_conv" of any kernel,
      "global_filter".
    - `scale`: what the output of the spatial operator is multiplied by; 1/3 in the paper.

    Deployed, the scale is in the weights of the 1x1 convolutions behind the products.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        order: int = 3,
        spatial: Callable[[Signature], nn.Module],
        scale: float = 1 / 3,
    ) -> None:
        super().__init__()
        channels = signature.channels
        self.widths = widths(channels, order)
        inside = spatial_channels(channels, order)
        self.scale = scale
        self.project_in = pointwise(channels, 2 * channels, bias=True)
        self.spatial = spatial(replace(signature, channels=inside))
        self.widen = nn.ModuleList(
            pointwise(narrow, wide, bias=True)
            for narrow, wide in zip(self.widths, self.widths[1:], strict=False)
        )
        self.project_out = pointwise(channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Projection, gates, products from the narrowest to the widest, projection."""
        p, gates = self.project_in(x).split((self.widths[0], sum(self.widths)), 1)
        gates = self.spatial(gates)
        if self.scale != 1:
            gates = gates * self.scale
        first, *others = gates.split(self.widths, 1)
        p = p * first
        for widen, gate in zip(self.widen, others, strict=True):
            p = widen(p) * gate
        return self.project_out(p)  # type: ignore[no-any-return]

    def fused(self) -> GnConv:
        """The same with the scale in the weights: each product carries it into the 1x1 convolution behind."""
        deployed = copy.deepcopy(self)
        with torch.no_grad():
            for convolution in (*deployed.widen, deployed.project_out):
                assert isinstance(convolution, nn.Conv2d)
                convolution.weight.mul_(self.scale)
        deployed.scale = 1.0
        return deployed
