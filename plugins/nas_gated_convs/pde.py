"""A block without pointwise activations, and the symmetry that this gives its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.blocks import fuse
from nas.errors import BlockError
from nas.spaces.signature import Signature
from nas_base.convolution import ConvNormAct
from nas_gated_convs.pde_costs import KERNEL, is_transition

ORTHOGONAL = 1e-6


class Hardball(nn.Module):
    """The channels of a position, as a vector, clipped to the ball of radius sqrt(C) (arXiv:2308.01621).

    Any (N, C, …); keeps its shape. Rotations of the channels pass through it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x, over its root mean square where that is more than 1."""
        return x * x.square().mean(1, keepdim=True).clamp(min=1).rsqrt()


class PDEBlock(nn.Module):
    """One step of a quasi-linear hyperbolic system (arXiv:2308.01621): x + W3 · DW(a · b), (a, b) = W1 x.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. W1 is a 1x1 convolution to 2 k C channels,
    the product of their halves is the only nonlinearity, DW a depthwise convolution of 3x3 with the stride,
    W3 a 1x1 convolution to the width; a batch norm stands behind each, and none has a bias. Where the
    channels or the size change, a 1x1 convolution with batch norm passes by. The last norm starts at 0, so
    that the block starts as what passes by it.

    - `expansion`: k.
    - `depthwise_multiplier`: channels that leave DW for each that enters it.
    - `activation_placement`: where the `Hardball` ends the block: "none", "transition" where the channels or
      the size change, "all".
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        expansion: int = 4,
        depthwise_multiplier: int = 2,
        activation_placement: str = "transition",
    ) -> None:
        super().__init__()
        channels, outputs = signature.channels, width or signature.channels
        inner = expansion * channels
        wide = depthwise_multiplier * inner
        changes = is_transition(signature, width, stride)
        is_clipped = activation_placement == "all" or (activation_placement == "transition" and changes)
        self.expand: nn.Module = ConvNormAct(channels, 2 * inner)
        self.depthwise: nn.Module = ConvNormAct(inner, wide, KERNEL, stride=stride, groups=inner)
        self.project: nn.Module = ConvNormAct(wide, outputs)
        self.skip: nn.Module = ConvNormAct(channels, outputs, stride=stride) if changes else nn.Identity()
        self.act: nn.Module = Hardball() if is_clipped else nn.Identity()
        _draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Expansion, product, derivatives, projection; plus what passes by."""
        a, b = self.expand(x).chunk(2, 1)
        return self.act(self.skip(x) + self.project(self.depthwise(a * b)))  # type: ignore[no-any-return]


def _draw_weights(block: PDEBlock) -> None:
    """Variance kept from the output back, as for linear layers; the last norm at 0."""
    for part in block.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="linear")
    assert isinstance(block.project, ConvNormAct)
    nn.init.zeros_(block.project.norm.weight)


def symmetry(block: nn.Module, entering: Tensor, leaving: Tensor | None = None) -> PDEBlock:
    """The deployed `PDEBlock` in other coordinates: takes ``entering @ x`` to ``leaving @ block(x)``.

    Both are invertible matrices over the channels, `leaving` is `entering` where it is not given. W1 becomes
    W1 P^-1 and W3 becomes P W3, so that a stage of blocks computes the same in any coordinates
    (arXiv:2308.01621). Raises BlockError where there is no such block: for different matrices where the
    input passes by as it is, and for a `leaving` that is not orthogonal where a `Hardball` ends the block.
    """
    leaving = entering if leaving is None else leaving
    moved = fuse(block)
    if not isinstance(moved, PDEBlock):
        raise BlockError(f"a {type(block).__name__} has no such symmetry; only a PDEBlock does")
    _check_matrices(moved, entering, leaving)
    with torch.no_grad():
        expand, project = _convolution(moved.expand), _convolution(moved.project)
        _enter(expand, entering)
        _leave(project, leaving)
        if not isinstance(moved.skip, nn.Identity):
            passing = _convolution(moved.skip)
            _enter(passing, entering)
            _leave(passing, leaving)
    return moved


def _check_matrices(block: PDEBlock, entering: Tensor, leaving: Tensor) -> None:
    if isinstance(block.skip, nn.Identity) and not torch.equal(entering, leaving):
        raise BlockError("the input of this PDEBlock passes by as it is: `entering` must be `leaving`")
    if isinstance(block.act, Hardball):
        unit = torch.eye(len(leaving), dtype=leaving.dtype, device=leaving.device)
        if not torch.allclose(leaving @ leaving.mT, unit, rtol=0, atol=ORTHOGONAL):
            raise BlockError("a Hardball ends this PDEBlock: `leaving` must be orthogonal")


def _convolution(part: nn.Module) -> nn.Conv2d:
    """The convolution of a deployed part, with its bias."""
    convolution = part.conv
    assert isinstance(convolution, nn.Conv2d)
    return convolution


def _enter(convolution: nn.Conv2d, matrix: Tensor) -> None:
    """W becomes W P^-1."""
    matrix = matrix.to(convolution.weight)
    flat = convolution.weight.flatten(1)
    convolution.weight.copy_(torch.linalg.solve(matrix.mT, flat.mT).mT.reshape_as(convolution.weight))


def _leave(convolution: nn.Conv2d, matrix: Tensor) -> None:
    """W becomes P W, and so does the bias."""
    matrix = matrix.to(convolution.weight)
    convolution.weight.copy_((matrix @ convolution.weight.flatten(1)).reshape_as(convolution.weight))
    assert convolution.bias is not None
    convolution.bias.copy_(matrix @ convolution.bias)
