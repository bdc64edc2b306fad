"""The micro-kernels of a calibration: small modules that spread over kinds, sizes and shapes.

Their sizes are drawn from a Halton sequence over the logarithms of channels and extents, so that any number
of them covers the range evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.costs.measuring.network_parts import Apply

Shape: TypeAlias = tuple[int, ...]
LARGEST_MACS = 3e8
"""The most multiply-adds of a micro-kernel for one sample."""
LARGEST_ELEMENTS = 1 << 21
"""The most elements of one input of a micro-kernel."""


@dataclass(frozen=True)
class MicroKernel:
    """A module to measure, and the shapes of its inputs with the batch in front."""

    name: str
    make: Callable[[], nn.Module]
    shapes: tuple[Shape, ...]


class Draw:
    """The sizes of one micro-kernel: the coordinates of a point of a Halton sequence."""

    PRIMES = (2, 3, 5, 7)

    def __init__(self, index: int) -> None:
        self.index = index
        self._shares = (_halton(index + 1, prime) for prime in cycle(self.PRIMES))

    def __call__(self, low: float, high: float) -> int:
        """The next size between two, on a logarithmic scale."""
        return round(math.exp(math.log(low) + next(self._shares) * math.log(high / low)))

    def channels(self, low: float, high: float) -> int:
        """The next size as a multiple of 8."""
        return max(8, 8 * round(self(low, high) / 8))


def _halton(index: int, base: int) -> float:
    """The radical inverse of a number: it fills (0, 1) evenly as the index grows."""
    value, share = 0.0, 1.0
    while index:
        share /= base
        value += share * (index % base)
        index //= base
    return value


def designed_kernels(number: int, batch: int = 1) -> list[MicroKernel]:
    """So many micro-kernels for a batch size; the same ones every time.

    Families take turns, those in which networks spend most of their time more often, so that fewer kernels
    still cover all of them.
    """
    return list(islice(_endless(batch), number))


def _endless(batch: int) -> Iterator[MicroKernel]:
    drawn = [0] * len(FAMILIES)
    for turn in cycle(range(max(share for share, _ in FAMILIES))):
        for place, (share, family) in enumerate(FAMILIES):
            if turn < share:
                yield family(Draw(drawn[place]), batch)
                drawn[place] += 1


def _convolution(draw: Draw, batch: int, kernel: int, stride: int = 1, groups: str = "1") -> MicroKernel:
    inner, size = _map(draw)
    outer = draw.channels(max(8, inner / 6), min(1280, 6 * inner))
    split = 1
    if groups == "each":
        outer = split = inner
    elif groups == "some":
        width = draw.channels(8, 48)
        split = max(2, inner // width)
        inner = outer = split * width
    return _convolved(batch, inner, outer, size, kernel, stride, split)


def _convolved(
    batch: int, inner: int, outer: int, size: int, kernel: int, stride: int = 1, groups: int = 1
) -> MicroKernel:
    """A convolution of a map of `size` pixels, or of a smaller one where that would be too much work."""
    size = _fitting(size, inner * outer // groups * kernel**2 / stride**2, inner)
    return MicroKernel(
        f"convolution {kernel}x{kernel}, {inner} to {outer} in {groups} groups, {size}x{size} by {stride}",
        lambda: nn.Conv2d(inner, outer, kernel, stride, kernel // 2, groups=groups),
        ((batch, inner, size, size),),
    )


def _map(draw: Draw) -> tuple[int, int]:
    """Channels, and height and width, as they go together in networks: half the size, twice the channels.

    Large maps come more often than small ones: networks spend more of their time there.
    """
    size = min(112, draw(12, 168)) if draw.index % 2 else draw(5, 112)
    share = 112 / size
    return draw.channels(8 * share**0.75, min(1280, 96 * share)), size


def _expansion(draw: Draw, batch: int) -> MicroKernel:
    """Few channels to several times as many, on the large maps at the beginning of a network."""
    inner, size, times = draw.channels(8, 48), min(112, draw(48, 150)), draw(2, 7)
    return _convolved(batch, inner, inner * times, size, 1)


def _depthwise_behind_expansion(draw: Draw, batch: int) -> MicroKernel:
    """What follows an expansion: as large a map of several times the channels."""
    channels, size = draw.channels(32, 144), min(112, draw(48, 150))
    return _convolved(batch, channels, channels, size, (3, 5)[draw.index % 2], draw(1, 3), channels)


def _last_stage(draw: Draw, batch: int) -> MicroKernel:
    """Weights of megabytes on the small maps at the end of a network."""
    inner, times, size = draw.channels(96, 256), draw(1, 5), draw(6, 16)
    return _convolved(batch, inner, inner * times, size, 3)


def _fitting(size: int, work: float, channels: int) -> int:
    """The height and width, made smaller where the kernel would be too large."""
    most = min(LARGEST_MACS / work, LARGEST_ELEMENTS / channels)
    return max(4, min(size, math.isqrt(int(most))))


def _transposed(draw: Draw, batch: int) -> MicroKernel:
    inner, size = _map(draw)
    outer, size = max(8, inner // 2), min(size, 56)
    return MicroKernel(
        f"transposed convolution 2x2, {inner} to {outer}, {size}x{size} by 2",
        lambda: nn.ConvTranspose2d(inner, outer, 2, 2),
        ((batch, inner, size, size),),
    )


def _stem(draw: Draw, batch: int) -> MicroKernel:
    outer, size, kernel = draw.channels(16, 64), draw(96, 256), (3, 4, 7)[draw.index % 3]
    stride = 4 if kernel == 4 else 2
    return MicroKernel(
        f"stem {kernel}x{kernel} by {stride}, 3 to {outer}, {size}x{size}",
        lambda: nn.Conv2d(3, outer, kernel, stride, kernel // 2),
        ((batch, 3, size, size),),
    )


def _linear(draw: Draw, batch: int) -> MicroKernel:
    least, most = (512, 4096) if draw.index % 3 == 1 else (48, 1536)  # weights beyond the caches, or within
    inner, outer = draw.channels(least, most), draw.channels(least, most)
    return MicroKernel(f"linear {inner} to {outer}", lambda: nn.Linear(inner, outer), ((batch, inner),))


def _linear_of_tokens(draw: Draw, batch: int) -> MicroKernel:
    inner, outer, rows = draw.channels(32, 1536), draw.channels(32, 1536), draw(12, 784)
    rows = max(4, min(rows, int(LARGEST_MACS / inner / outer)))
    shape = (batch, rows, inner)
    return MicroKernel(f"linear {inner} to {outer}, {rows} rows", lambda: nn.Linear(inner, outer), (shape,))


def _matmul(draw: Draw, batch: int) -> MicroKernel:
    rows, columns, inner, heads = draw(16, 256), draw(16, 256), draw.channels(16, 128), draw(2, 12)
    shapes = ((batch, heads, rows, inner), (batch, heads, inner, columns))
    return MicroKernel(
        f"{heads} matrix products {rows}x{inner}x{columns}", lambda: Apply(torch.matmul), shapes
    )


def _attention(draw: Draw, batch: int) -> MicroKernel:
    length, heads, width = draw(16, 512), draw(2, 12), draw.channels(16, 64)
    shape = (batch, heads, length, width)
    return MicroKernel(
        f"attention of {heads} heads, {length} long, {width} wide",
        lambda: Apply(F.scaled_dot_product_attention),
        (shape, shape, shape),
    )


def _recurrent(draw: Draw, batch: int) -> MicroKernel:
    inner, hidden, length = draw.channels(24, 320), draw.channels(40, 320), draw(8, 96)
    layer, layers = (nn.LSTM, nn.GRU)[draw.index % 2], 1 + draw.index // 2 % 2
    return MicroKernel(
        f"{layer.__name__} {inner} to {hidden}, {layers} layers, {length} steps",
        lambda: layer(inner, hidden, layers, batch_first=True),
        ((batch, length, inner),),
    )


def _tokens(draw: Draw, batch: int) -> tuple[int, Shape]:
    width, length = draw.channels(32, 1024), draw(8, 1024)
    return width, (batch, max(4, min(length, LARGEST_ELEMENTS // width)), width)


def _picture(draw: Draw, batch: int) -> Shape:
    channels, size = _map(draw)
    size = _fitting(size, 1, channels)
    return (batch, channels, size, size)


def _layer_norm(draw: Draw, batch: int) -> MicroKernel:
    width, shape = _tokens(draw, batch)
    if draw.index % 3 == 1:  # of the channels of a picture
        width, rows = 8 * max(1, width // 128), shape[1] * 8
        shape = (batch, min(rows, LARGEST_ELEMENTS // width), width)
    return MicroKernel(f"layer norm of {shape}", lambda: nn.LayerNorm(width), (shape,))


def _heads(draw: Draw, batch: int) -> MicroKernel:
    """Tokens head by head, as attention takes them."""
    width, shape = _tokens(draw, batch)
    depth = 32 if width % 32 == 0 else 8

    def heads(x: Tensor) -> Any:
        return x.unflatten(-1, (-1, depth)).transpose(1, 2).contiguous()

    return MicroKernel(f"heads of {depth}, {shape}", lambda: Apply(heads), (shape,))


def _channel_norm(draw: Draw, batch: int) -> MicroKernel:
    shape = _picture(draw, batch)
    if draw.index % 3 == 2:
        return MicroKernel(f"group norm of {shape}", lambda: nn.GroupNorm(8, shape[1]), (shape,))
    return MicroKernel(f"batch norm of {shape}", lambda: nn.BatchNorm2d(shape[1]), (shape,))


def _on_pictures(*functions: Callable[[Tensor], Any]) -> Family:
    """A family of functions of one picture, which take turns."""

    def family(draw: Draw, batch: int) -> MicroKernel:
        shape, function = _picture(draw, batch), functions[draw.index % len(functions)]
        name = getattr(function, "__name__", "function").strip("_")
        return MicroKernel(f"{name} of {shape}", lambda: Apply(function), (shape,))

    return family


def _sum_of_two(draw: Draw, batch: int) -> MicroKernel:
    shape = _picture(draw, batch)
    if draw.index % 3 == 2:  # the gate of squeeze and excitation
        return MicroKernel(f"gated {shape}", lambda: Apply(torch.mul), (shape, (*shape[:2], 1, 1)))
    return MicroKernel(f"sum of two {shape}", lambda: Apply(torch.add), (shape, shape))


def _softmax(draw: Draw, batch: int) -> MicroKernel:
    heads, length = draw(1, 12), draw(16, 400)
    shape = (batch, heads, length, length)
    return MicroKernel(f"softmax of {shape}", lambda: Apply(_last_softmax), (shape,))


def _last_softmax(x: Tensor) -> Tensor:
    return x.softmax(-1)


def spatial_mean(x: Tensor) -> Tensor:
    """The mean of each channel."""
    return x.mean((2, 3))


def channel_sum(x: Tensor) -> Tensor:
    """The sum over channels."""
    return x.sum(1)


def max_pool(x: Tensor) -> Tensor:
    """Max pooling, 3 by 2."""
    return F.max_pool2d(x, 3, 2, 1)


def halved(x: Tensor) -> Tensor:
    """Max pooling, 2 by 2."""
    return F.max_pool2d(x, 2)


def average_pool(x: Tensor) -> Tensor:
    """Average pooling, 3 by 1."""
    return F.avg_pool2d(x, 3, 1, 1)


def global_pool(x: Tensor) -> Tensor:
    """Average pooling of the whole picture."""
    return F.adaptive_avg_pool2d(x, 1)


def concatenation(x: Tensor) -> Tensor:
    """The input behind itself."""
    return torch.cat((x, x), 1)


def channels_last(x: Tensor) -> Tensor:
    """The channels moved to the end, in memory."""
    return x.permute(0, 2, 3, 1).contiguous()


def shuffle(x: Tensor) -> Tensor:
    """The channels of two groups, one by one."""
    return x.view(x.shape[0], 2, -1, *x.shape[2:]).transpose(1, 2).contiguous()


def every_other(x: Tensor) -> Tensor:
    """Every other channel, by index."""
    return x.index_select(1, torch.arange(0, x.shape[1], 2, device=x.device))


def nearest(x: Tensor) -> Tensor:
    """Twice as high and wide, by repetition."""
    return F.interpolate(x, scale_factor=2.0)


def bilinear(x: Tensor) -> Tensor:
    """Twice as high and wide, linearly."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")


Family: TypeAlias = Callable[[Draw, int], MicroKernel]


def _like(kernel: int, stride: int = 1, groups: str = "1") -> Family:
    return lambda draw, batch: _convolution(draw, batch, kernel, stride, groups)


FAMILIES: tuple[tuple[int, Family], ...] = (
    (15, _like(1)),
    (5, _expansion),
    (10, _like(3)),
    (3, _last_stage),
    (5, _like(3, 2)),
    (3, _like(5)),
    (2, _like(1, 2)),
    (4, _stem),
    (3, _transposed),
    (10, _like(3, 1, "each")),
    (5, _like(3, 2, "each")),
    (6, _like(5, 1, "each")),
    (5, _depthwise_behind_expansion),
    (3, _like(5, 2, "each")),
    (5, _like(7, 1, "each")),
    (6, _like(3, 1, "some")),
    (7, _linear),
    (16, _linear_of_tokens),
    (6, _matmul),
    (7, _attention),
    (8, _recurrent),
    (6, _layer_norm),
    (6, _channel_norm),
    (14, _on_pictures(F.relu, F.hardswish, F.gelu, F.silu, F.relu6, torch.sigmoid, F.hardsigmoid)),
    (8, _sum_of_two),
    (8, _on_pictures(spatial_mean, spatial_mean, channel_sum)),
    (4, _softmax),
    (10, _on_pictures(max_pool, average_pool, halved, global_pool)),
    (8, _on_pictures(concatenation, channels_last, shuffle)),
    (3, _heads),
    (3, _on_pictures(every_other)),
    (6, _on_pictures(nearest, bilinear)),
)
"""How many micro-kernels of a family come in each round, and what makes them."""
