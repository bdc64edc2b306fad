"""Which weights of a matrix are kept: masks by magnitude, in blocks, n of m, or at random.

Each takes a matrix (rows, inner) and gives a bool mask of its shape; equal magnitudes keep the first, so that
a mask depends on the weights alone. The grouped n:m pattern is that of STen (arXiv:2304.07613).
"""

from __future__ import annotations

from functools import cache
from math import comb

import torch
from torch import Tensor

from nas_sparse_ops.costs import kept_count


def keep_all(weight: Tensor) -> Tensor:
    """Everything."""
    return torch.ones_like(weight, dtype=torch.bool)


def random(weight: Tensor, *, density: float, seed: int = 0) -> Tensor:
    """A random share of the weights, drawn from a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(weight.shape, generator=generator, device="cpu")
    return scalar_fraction(drawn, density=density).to(weight.device)


def scalar_fraction(weight: Tensor, *, density: float) -> Tensor:
    """The largest share of the weights."""
    return _largest(weight.detach().abs(), kept_count(weight.numel(), density))


def block_fraction(weight: Tensor, *, density: float, block: int) -> Tensor:
    """The largest share of the blocks of `block` rows by one column, by their sum of magnitudes."""
    rows, inner = weight.shape
    if rows % block:
        raise ValueError(f"{rows} rows are no multiple of blocks of {block}")
    sums = weight.detach().abs().reshape(rows // block, block, inner).sum(1)
    kept = _largest(sums, kept_count(sums.numel(), density))
    return kept.unsqueeze(1).expand(-1, block, -1).reshape(rows, inner)


def nm(weight: Tensor, *, n: int, m: int) -> Tensor:
    """The `n` largest of every `m` columns in a row."""
    check_nm(weight.shape, n, m)
    grouped = weight.detach().abs().reshape(len(weight), -1, m)
    places = grouped.argsort(dim=-1, descending=True, stable=True)[..., :n]
    return torch.zeros_like(grouped, dtype=torch.bool).scatter_(-1, places, True).reshape(weight.shape)


def nmg(weight: Tensor, *, n: int, m: int, g: int) -> Tensor:
    """n of every m columns, such that chunks of C(m, n) · g rows hold each pattern exactly `g` times.

    Rows and patterns are matched greedily, the pair that keeps the most first.
    """
    check_nmg(weight.shape, n, m, g)
    table = pattern_table(n, m).to(weight.device)
    chunk = len(table) * g
    grouped = weight.detach().abs().reshape(len(weight) // chunk, chunk, -1, m).transpose(1, 2)
    scores = grouped @ table.to(weight.dtype).T  # (chunks, groups, rows of a chunk, patterns)
    matched = _match(scores.reshape(-1, chunk, len(table)), g)
    mask = table[matched].reshape(grouped.shape).transpose(1, 2)
    return mask.reshape(weight.shape)


def check_nm(shape: tuple[int, ...], n: int, m: int) -> None:
    """ValueError where a matrix cannot be n:m."""
    if not 0 < n <= m or shape[1] % m:
        raise ValueError(f"{shape[1]} columns cannot keep {n} of every {m}")


def check_nmg(shape: tuple[int, ...], n: int, m: int, g: int) -> None:
    """ValueError where a matrix cannot be n:m:g."""
    check_nm(shape, n, m)
    if g < 1 or shape[0] % (comb(m, n) * g):
        raise ValueError(f"{shape[0]} rows are no multiple of the {comb(m, n)} patterns of {n}:{m} times {g}")


@cache
def patterns(n: int, m: int) -> tuple[tuple[int, ...], ...]:
    """Every choice of n of m places, neighbours differing in one place (the revolving door order)."""
    if n == 0:
        return ((),)
    if n == m:
        return (tuple(range(m)),)
    return (*patterns(n, m - 1), *((*chosen, m - 1) for chosen in reversed(patterns(n - 1, m - 1))))


def pattern_table(n: int, m: int) -> Tensor:
    """`patterns` as bool rows of m."""
    table = torch.zeros(comb(m, n), m, dtype=torch.bool, device="cpu")
    return table.scatter_(1, torch.tensor(patterns(n, m), device="cpu"), True)


def _match(scores: Tensor, g: int) -> Tensor:
    """The pattern of each row, (batch, rows): each pattern for `g` rows."""
    batch, rows, count = scores.shape
    left = scores.clone()
    capacity = torch.full((batch, count), g, device=scores.device)
    matched = torch.zeros(batch, rows, dtype=torch.long, device=scores.device)
    every = torch.arange(batch, device=scores.device)
    for _ in range(rows):
        best = left.flatten(1).argmax(1)
        row, pattern = best // count, best % count
        matched[every, row] = pattern
        capacity[every, pattern] -= 1
        left[every, row] = -torch.inf
        left.masked_fill_((capacity == 0).unsqueeze(1), -torch.inf)
    return matched


def _largest(values: Tensor, count: int) -> Tensor:
    """A mask of the `count` largest values."""
    order = values.flatten().argsort(dim=0, descending=True, stable=True)
    mask = torch.zeros_like(order, dtype=torch.bool)
    mask[order[:count]] = True
    return mask.reshape(values.shape)
