"""What a grouped convolution costs, by hand: work, data, arithmetic intensity and energy. No torch.

Constant group size (E2GC) and constant number of groups are two ways to say how many channels work together;
the costs depend on the group size alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.spaces.signature import Signature

MAC_JOULE = 4.6e-12
"""A 32-bit floating-point multiplication and addition: 3.7 + 0.9 pJ at 45 nm (Horowitz, ISSCC 2014)."""
DRAM_JOULE = 640e-12
"""A 32-bit word from or to DRAM at 45 nm (same source)."""


@dataclass(frozen=True)
class GroupedConvCost:
    """The cost of one grouped convolution for one sample; `weights` and `data` count numbers, not bytes.

    `data` is what must be moved at least: the input map, the output map and the weights, each once.

    >>> cost = grouped_conv_cost(Signature("image", 64, (8, 8)), group_size=4)
    >>> cost.macs, cost.weights, cost.data
    (147456, 2304, 10496)
    """

    macs: int
    weights: int
    data: int

    @property
    def intensity(self) -> float:
        """Multiply-accumulates per number that is moved."""
        return self.macs / self.data

    def energy(self, mac_joule: float = MAC_JOULE, dram_joule: float = DRAM_JOULE) -> float:
        """Joules: the work at `mac_joule` per multiply-accumulate, the data at `dram_joule` per number."""
        return energy(self.macs, self.data, mac_joule, dram_joule)


def energy(macs: float, words: float, mac_joule: float = MAC_JOULE, dram_joule: float = DRAM_JOULE) -> float:
    """Joules of computing and of moving `words` numbers; the defaults are 32-bit numbers at 45 nm."""
    return mac_joule * macs + dram_joule * words


def grouped_conv_cost(
    signature: Signature, width: int | None = None, stride: int = 1, *, kernel: int = 3, group_size: int = 1
) -> GroupedConvCost:
    """The cost of a convolution whose outputs each see `group_size` of the input channels.

    MACs = kernel² · group size · outputs · positions behind it; weights the same without the positions.
    """
    behind = signature.after(width, stride)
    weights = kernel ** len(signature.size) * group_size * behind.channels
    moved = numbers(signature) + numbers(behind) + weights
    return GroupedConvCost(weights * positions(behind), weights, moved)


def positions(signature: Signature) -> int:
    """How many positions a map has."""
    count = 1
    for extent in signature.size:
        count *= extent
    return count


def numbers(signature: Signature) -> int:
    """How many numbers a map holds."""
    return signature.channels * positions(signature)


# --- the rules and formulas of the blocks ---


def group_count(channels: int, group_size: int, groups: int) -> int:
    """How many groups so many channels fall into; `groups` where that is not 0."""
    return groups or channels // group_size


def inner_channels(width: int, ratio: float) -> int:
    """The channels inside a bottleneck."""
    return max(1, round(width * ratio))


def divides(channels: int, group_size: int, groups: int) -> bool:
    """Whether the channels fall into equal groups, said in one way only: by `group_size` or by `groups`."""
    if groups:
        return group_size == 1 and channels % groups == 0
    return channels % group_size == 0


def fits_separable(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    group_size: int,
    groups: int,
    **_: Any,
) -> bool:
    """The kernel is odd, and the channels in front fall into equal groups."""
    return kernel % 2 == 1 and divides(signature.channels, group_size, groups)


def fits_bottleneck(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    group_size: int,
    groups: int,
    ratio: float,
    **_: Any,
) -> bool:
    """The kernel is odd, and the inner channels fall into equal groups."""
    inner = inner_channels(width or signature.channels, ratio)
    return kernel % 2 == 1 and divides(inner, group_size, groups)


def separable_costs(
    signature: Signature, width: int | None, stride: int, *, kernel: int, group_size: int, groups: int
) -> tuple[int, int]:
    """Parameters and multiply-accumulates of a grouped separable block."""
    channels = signature.channels
    behind = signature.after(width, stride)
    outputs, per_group = behind.channels, channels // group_count(channels, group_size, groups)
    grouped = grouped_conv_cost(signature, None, stride, kernel=kernel, group_size=per_group)
    parameters = grouped.weights + 2 * channels + channels * outputs + 2 * outputs
    return parameters, grouped.macs + channels * numbers(behind)


def bottleneck_costs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    group_size: int,
    groups: int,
    ratio: float,
) -> tuple[int, int]:
    """Parameters and multiply-accumulates of a grouped bottleneck."""
    channels = signature.channels
    behind = signature.after(width, stride)
    outputs = behind.channels
    inner = inner_channels(outputs, ratio)
    inside = signature.after(inner, 1)
    per_group = inner // group_count(inner, group_size, groups)
    grouped = grouped_conv_cost(inside, None, stride, kernel=kernel, group_size=per_group)
    parameters = channels * inner + grouped.weights + inner * outputs + 4 * inner + 2 * outputs
    macs = channels * numbers(inside) + grouped.macs + inner * numbers(behind)
    if stride > 1 or outputs != channels:
        parameters += channels * outputs + 2 * outputs
        macs += channels * numbers(behind)
    return parameters, macs


def separable_params(
    signature: Signature, width: int | None, stride: int, *, activation: str, **knobs: Any
) -> int:
    """The parameters of a grouped separable block; activations have none that are offered here."""
    return separable_costs(signature, width, stride, **knobs)[0]


def separable_macs(
    signature: Signature, width: int | None, stride: int, *, activation: str, **knobs: Any
) -> int:
    """The multiply-accumulates of a grouped separable block."""
    return separable_costs(signature, width, stride, **knobs)[1]


def bottleneck_params(
    signature: Signature, width: int | None, stride: int, *, activation: str, **knobs: Any
) -> int:
    """The parameters of a grouped bottleneck."""
    return bottleneck_costs(signature, width, stride, **knobs)[0]


def bottleneck_macs(
    signature: Signature, width: int | None, stride: int, *, activation: str, **knobs: Any
) -> int:
    """The multiply-accumulates of a grouped bottleneck."""
    return bottleneck_costs(signature, width, stride, **knobs)[1]
