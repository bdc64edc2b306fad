"""A large depthwise kernel that trains beside small dilated ones and is deployed as one."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from nas.blocks import fold_batch_norm
from nas.spaces.signature import Signature
from nas_large_kernels.dilated_reparam_costs import BRANCHES


class DilatedReparam(nn.Module):
    """A depthwise convolution and its dilated branches (UniRepLKNet, arXiv:2311.15599). Keeps (N, C, H, W).

    In training the sum of a depthwise convolution of kernel x kernel and of smaller, mostly dilated ones,
    each with a batch norm and none with a bias. The branches as side x side @ dilation:

    - 5: 3@1, 3@2; 7: 5@1, 3@2, 3@3; 9: 5@1, 5@2, 3@3, 3@4; 11: 5@1, 5@2, 3@3, 3@4, 3@5;
    - 13: 5@1, 7@2, 3@3, 3@4, 3@5; 15: 5@1, 7@2, 3@3, 3@5, 3@7; 17: 5@1, 9@2, 3@4, 3@5, 3@7.

    Deployed it is one depthwise convolution of kernel x kernel with bias: a dilated kernel is a larger one
    with zeros in between. Parameters: C (k² + 2) for every kernel of side k in training, C (kernel² + 1)
    deployed. The kernel may be larger than the map.

    - `kernel`: odd, in pixels; 3 has no branches.
    """

    def __init__(self, signature: Signature, *, kernel: int = 13) -> None:
        super().__init__()
        channels = signature.channels
        pairs = ((kernel, 1), *BRANCHES.get(kernel, ()))
        self.branches = nn.ModuleList(_branch(channels, side, dilation) for side, dilation in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of the branches, the large kernel first."""
        large, *others = self.branches
        y: Tensor = large(x)
        for branch in others:
            y = y + branch(x)
        return y

    def fused(self) -> nn.Conv2d:
        """The depthwise convolution with bias that the sum is in eval."""
        merged, *others = self._folded()
        weight, bias = merged.weight.detach().clone(), _bias(merged).clone()
        for branch in others:
            _add_dilated(weight, branch)
            bias += _bias(branch)
        merged.weight, merged.bias = nn.Parameter(weight), nn.Parameter(bias)
        return merged

    def _folded(self) -> Iterator[nn.Conv2d]:
        """The convolution of each branch with its norm folded in."""
        for branch in self.branches:
            assert isinstance(branch, nn.Sequential)
            convolution = fold_batch_norm(branch[0], branch[1])
            assert isinstance(convolution, nn.Conv2d)
            yield convolution


def _branch(channels: int, side: int, dilation: int) -> nn.Sequential:
    """A depthwise convolution and its norm."""
    return nn.Sequential(depthwise(channels, side, dilation), nn.BatchNorm2d(channels))


def depthwise(channels: int, side: int, dilation: int = 1) -> nn.Conv2d:
    """A depthwise convolution without bias that keeps the size."""
    padding = dilation * (side // 2)
    convolution = nn.Conv2d(
        channels, channels, side, padding=padding, dilation=dilation, groups=channels, bias=False
    )
    nn.init.trunc_normal_(convolution.weight, std=0.02)
    return convolution


def _add_dilated(weight: Tensor, branch: nn.Conv2d) -> None:
    """Adds the kernel of a branch to a larger one: its taps `dilation` apart around the same middle."""
    side, dilation = branch.kernel_size[0], branch.dilation[0]
    reach = dilation * (side // 2)
    middle = weight.shape[-1] // 2
    taps = slice(middle - reach, middle + reach + 1, dilation)
    weight[:, :, taps, taps] += branch.weight.detach()


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias.detach()
