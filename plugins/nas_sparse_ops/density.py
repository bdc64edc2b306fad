"""How a global density is shared out among layers, exact to one weight.

The rules of random pruning (arXiv:2202.02643): uniform; uniform_plus (arXiv:1902.09574); ER
(arXiv:1707.04780); ERK (arXiv:1911.11134). A layer is given by the shape of its weight, (out, in, *kernel).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

Shape = Sequence[int]
LAST_DENSITY = 0.2
"""The least density of the last layer under uniform_plus."""


def layer_densities(shapes: Sequence[Shape], density: float, rule: str) -> list[float]:
    """The density of each layer, at most 1; together the weights kept are `density` of all.

    Raises ValueError for a density outside of 0 to 1 and KeyError for a rule that is not in `RULES`.
    """
    if not 0 < density <= 1:
        raise ValueError(f"a density lies above 0 and at most at 1, not at {density}")
    return RULES[rule](shapes, density)


def layer_counts(shapes: Sequence[Shape], density: float, rule: str) -> list[int]:
    """How many weights each layer keeps: the nearest whole number of all, shared out by largest remainders.

    Every layer keeps at least one weight where there are enough for that.
    """
    sizes = [prod(shape) for shape in shapes]
    total = round(density * sum(sizes))
    wanted = [d * size for d, size in zip(layer_densities(shapes, density, rule), sizes, strict=True)]
    least = 1 if total >= len(sizes) else 0
    counts = [min(size, max(least, int(share))) for share, size in zip(wanted, sizes, strict=True)]
    _level(counts, wanted, sizes, total, least)
    return counts


def _level(counts: list[int], wanted: list[float], sizes: list[int], total: int, least: int) -> None:
    """Moves counts by one weight at a time, where that does least harm, until they add up to `total`."""
    while (missing := total - sum(counts)) > 0:
        open_layers = [i for i, size in enumerate(sizes) if counts[i] < size]
        for i in sorted(open_layers, key=lambda i: counts[i] - wanted[i])[:missing]:
            counts[i] += 1
    while (excess := sum(counts) - total) > 0:
        open_layers = [i for i, count in enumerate(counts) if count > least]
        for i in sorted(open_layers, key=lambda i: wanted[i] - counts[i])[:excess]:
            counts[i] -= 1


def _uniform(shapes: Sequence[Shape], density: float) -> list[float]:
    return [density] * len(shapes)


def _uniform_plus(shapes: Sequence[Shape], density: float) -> list[float]:
    """The first layer dense, the last at a fifth or more, the rest uniform; plainly uniform where the first
    two demands alone take more than there is."""
    sizes = [prod(shape) for shape in shapes]
    budget = density * sum(sizes) - sizes[0]
    rest = sum(sizes[1:])
    if len(sizes) < 2 or budget < 0:
        return _uniform(shapes, density)
    shared = budget / rest
    if shared >= LAST_DENSITY:
        return [1.0, *[shared] * (len(sizes) - 1)]
    middle = rest - sizes[-1]
    budget -= LAST_DENSITY * sizes[-1]
    if budget < 0 or not middle:
        return _uniform(shapes, density)
    return [1.0, *[budget / middle] * (len(sizes) - 2), LAST_DENSITY]


def _er(shapes: Sequence[Shape], density: float) -> list[float]:
    """Proportional to (in + out) / (in · out)."""
    return _proportional(shapes, density, [sum(shape[:2]) / prod(shape[:2]) for shape in shapes])


def _erk(shapes: Sequence[Shape], density: float) -> list[float]:
    """Proportional to (in + out + kernel) / (in · out · kernel), each extent of the kernel counted."""
    return _proportional(shapes, density, [sum(shape) / prod(shape) for shape in shapes])


def _proportional(shapes: Sequence[Shape], density: float, scores: Sequence[float]) -> list[float]:
    """In proportion to scores; layers that would exceed 1 are made dense and the rest is solved again."""
    sizes = [prod(shape) for shape in shapes]
    dense: set[int] = set()
    while True:
        budget = density * sum(sizes) - sum(sizes[i] for i in dense)
        weighed = sum(
            score * size for i, (score, size) in enumerate(zip(scores, sizes, strict=True)) if i not in dense
        )
        factor = budget / weighed if weighed else 0.0
        exceeding = {i for i, score in enumerate(scores) if i not in dense and factor * score > 1}
        if not exceeding:
            return [1.0 if i in dense else factor * score for i, score in enumerate(scores)]
        dense |= exceeding


RULES: Mapping[str, Callable[[Sequence[Shape], float], list[float]]] = {
    "uniform": _uniform,
    "uniform_plus": _uniform_plus,
    "er": _er,
    "erk": _erk,
}
"""The rules by name."""
