"""What the algorithms of a convolution take: arithmetic, traffic and workspace, counted exactly.

- ``direct``: loops over the input where it lies; no workspace.
- ``im2col``: a matrix of patches, then one product; workspace C · kernel² · output positions.
- ``im2win``: input rows gathered per output row (arXiv:2306.14316): C · width · output and kernel height.
- ``sliding``: a product for each filter tap, summed in the output (arXiv:2310.05218); no workspace.
- ``winograd``: F(2 x 2, 3 x 3) (arXiv:1509.09308): 16 products of transformed tiles in place of 36.
- ``fft``: products of transforms (arXiv:1312.5851), whose arithmetic does not depend on the kernel.

Filters are transformed once, before any input comes: that is workspace, but no time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nas.costs.operators import Operator

CONVOLUTIONS = frozenset({"conv", "conv_depthwise", "conv_grouped"})
COMPLEX = 2
"""Numbers in a complex one."""


@dataclass(frozen=True)
class ConvShape:
    """A convolution of two dimensions: `size` is that of the padded input, `width_bytes` of one number."""

    batch: int
    inputs: int
    outputs: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    width_bytes: int = 4

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the output."""
        height, width = (
            (extent - by * (kernel - 1) - 1) // step + 1
            for extent, kernel, step, by in zip(
                self.size, self.kernel, self.stride, self.dilation, strict=True
            )
        )
        return height, width

    @property
    def taps(self) -> int:
        """The positions of the kernel."""
        return math.prod(self.kernel)

    @property
    def macs(self) -> int:
        """Multiply-adds of the definition, for the batch."""
        return self.batch * self.outputs * math.prod(self.out) * self.taps * self.inputs // self.groups

    @property
    def input_bytes(self) -> int:
        """The padded input."""
        return self.batch * self.inputs * math.prod(self.size) * self.width_bytes

    @property
    def output_bytes(self) -> int:
        """The output."""
        return self.batch * self.outputs * math.prod(self.out) * self.width_bytes

    @property
    def weight_bytes(self) -> int:
        """The filters."""
        return self.outputs * self.inputs // self.groups * self.taps * self.width_bytes


@dataclass(frozen=True)
class Stage:
    """A pass of an algorithm: the unit it runs on, its operations, the bytes it moves.

    Units are ``gemm``, ``direct``, ``fft`` and ``vector``. `scratch_bytes` are those of its bytes that
    belong to the workspace.
    """

    unit: str
    flops: float
    bytes_moved: float
    scratch_bytes: float = 0


@dataclass(frozen=True)
class Algorithm:
    """How one convolution is computed: its passes, one after the other, and the bytes it needs besides."""

    name: str
    stages: tuple[Stage, ...]
    workspace_bytes: int

    @property
    def flops(self) -> float:
        """All arithmetic, 2 per multiply-add."""
        return sum(stage.flops for stage in self.stages)


def shape_of(operator: Operator) -> ConvShape | None:
    """The shape of a traced convolution of two dimensions; None for anything else.

    Columns and rows of the input that no window reads are not counted, as no algorithm needs them.
    """
    found = dict(operator.dims)
    if operator.kind not in CONVOLUTIONS or found.get("transposed") or "out_1" not in found:
        return None
    if "out_2" in found:
        return None
    kernel, stride, dilation, out = (
        (found[f"{name}_0"], found[f"{name}_1"]) for name in ("kernel", "stride", "dilation", "out")
    )
    size = tuple(
        (o - 1) * s + d * (k - 1) + 1 for o, s, d, k in zip(out, stride, dilation, kernel, strict=True)
    )
    numbers = found["batch"] * found["out_channels"] * math.prod(out)
    return ConvShape(
        found["batch"],
        found["in_channels"],
        found["out_channels"],
        (size[0], size[1]),
        kernel,
        stride,
        dilation,
        found["groups"],
        max(1, operator.bytes_written // numbers),
    )


def algorithms(shape: ConvShape) -> tuple[Algorithm, ...]:
    """Every algorithm that can compute a convolution."""
    found = [ALGORITHMS[name](shape) for name in ("direct", "im2col", "im2win", "sliding", "fft")]
    return (*found, winograd(shape)) if has_winograd(shape) else tuple(found)


def direct(shape: ConvShape) -> Algorithm:
    """Loops in place."""
    moved = shape.input_bytes + shape.weight_bytes + shape.output_bytes
    return Algorithm("direct", (Stage("direct", 2 * shape.macs, moved),), 0)


def im2col(shape: ConvShape) -> Algorithm:
    """A matrix of patches; a 1x1 convolution of stride 1 is a matrix product as it is."""
    if shape.taps == 1 and shape.stride == (1, 1):
        return _gathered("im2col", shape, 0)
    patches = shape.batch * shape.inputs * shape.taps * math.prod(shape.out)
    return _gathered("im2col", shape, patches * shape.width_bytes)


def im2win(shape: ConvShape) -> Algorithm:
    """A tensor of windows."""
    columns = shape.size[1] * shape.kernel[0]
    windows = shape.batch * shape.inputs * shape.out[0] * columns
    return _gathered("im2win", shape, windows * shape.width_bytes)


def sliding(shape: ConvShape) -> Algorithm:
    """A product for each tap; all but the first read the sum so far."""
    seen = shape.batch * shape.inputs * math.prod(shape.out) * shape.width_bytes
    moved = seen + shape.weight_bytes / shape.taps + shape.output_bytes
    flops = 2 * shape.macs / shape.taps
    first = Stage("gemm", flops, moved)
    other = Stage("gemm", flops, moved + shape.output_bytes)
    return Algorithm("sliding", (first, *[other] * (shape.taps - 1)), 0)


def has_winograd(shape: ConvShape) -> bool:
    """F(2 x 2, 3 x 3) is for 3x3 kernels without stride and dilation."""
    return (shape.kernel, shape.stride, shape.dilation) == ((3, 3), (1, 1), (1, 1))


def winograd(shape: ConvShape) -> Algorithm:
    """Transforms of 4x4 tiles (32 additions), 16 products, transforms back to 2x2 (24 additions)."""
    tiles = shape.batch * math.prod(-(-extent // 2) for extent in shape.out)
    maps = 16 * tiles * shape.inputs * shape.width_bytes
    sums = 16 * tiles * shape.outputs * shape.width_bytes
    filters = 16 * shape.outputs * shape.inputs // shape.groups * shape.width_bytes
    product = 2 * 16 * tiles * shape.outputs * shape.inputs / shape.groups
    stages = (
        Stage("vector", 32 * tiles * shape.inputs, shape.input_bytes + maps, maps),
        Stage("gemm", product, maps + filters + sums, maps + sums),
        Stage("vector", 24 * tiles * shape.outputs, sums + shape.output_bytes, sums),
    )
    return Algorithm("winograd", stages, maps + sums + filters)


def fft(shape: ConvShape) -> Algorithm:
    """A transform of each input map, products of complex numbers, a transform of each output map back."""
    lengths = tuple(fast_length(extent) for extent in shape.size)
    points = math.prod(lengths)
    kept = lengths[0] * (lengths[1] // 2 + 1)
    transform = 2.5 * points * math.log2(points) if points > 1 else 1.0
    per_map = COMPLEX * kept * shape.width_bytes
    maps, sums = shape.batch * shape.inputs * per_map, shape.batch * shape.outputs * per_map
    filters = shape.outputs * shape.inputs // shape.groups * per_map
    unit = "vector" if shape.groups == shape.inputs else "gemm"
    product = 8 * shape.batch * kept * shape.outputs * shape.inputs / shape.groups
    stages = (
        Stage("fft", transform * shape.batch * shape.inputs, shape.input_bytes + maps, maps),
        Stage(unit, product, maps + filters + sums, maps + sums),
        Stage("fft", transform * shape.batch * shape.outputs, sums + shape.output_bytes, sums),
    )
    return Algorithm("fft", stages, maps + sums + filters)


def fast_length(extent: int) -> int:
    """The least length from `extent` on whose prime factors are 2, 3 and 5.

    >>> [fast_length(extent) for extent in (1, 58, 62, 86)]
    [1, 60, 64, 90]
    """
    rest = extent
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    return extent if rest == 1 else fast_length(extent + 1)


def _gathered(name: str, shape: ConvShape, workspace: int) -> Algorithm:
    """Copies the input into the workspace, where it needs one, and multiplies."""
    source = workspace or shape.input_bytes
    product = Stage("gemm", 2 * shape.macs, source + shape.weight_bytes + shape.output_bytes, workspace)
    copy = Stage("vector", 0, shape.input_bytes + workspace, workspace)
    return Algorithm(name, (copy, product) if workspace else (product,), workspace)


ALGORITHMS: Mapping[str, Callable[[ConvShape], Algorithm]] = {
    "direct": direct,
    "im2col": im2col,
    "im2win": im2win,
    "sliding": sliding,
    "winograd": winograd,
    "fft": fft,
}
