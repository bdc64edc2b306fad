"""Which trials of another study count, as text: ``0-2,5;3@1``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby


def counted_text(finished: Iterable[int], stopped: Mapping[int, int]) -> str:
    """Finished trials as ranges; behind a semicolon the stopped ones, each with the step it came to.

    >>> counted_text([0, 1, 2, 5], {3: 1, 4: 9})
    '0-2,5;3@1,4@9'
    """
    ordered = enumerate(sorted(set(finished)))
    runs = [[number for _, number in run] for _, run in groupby(ordered, lambda pair: pair[1] - pair[0])]
    ranges = ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    at_steps = ",".join(f"{number}@{step}" for number, step in sorted(stopped.items()))
    return f"{ranges};{at_steps}" if at_steps else ranges


def read_counted(text: str) -> tuple[list[int], dict[int, int]]:
    """The finished trials, and the step of each stopped one, that `counted_text` wrote.

    >>> read_counted("0-2,5;3@1")
    ([0, 1, 2, 5], {3: 1})
    """
    ranges, _, at_steps = text.partition(";")
    finished: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        finished.extend(range(int(first), int(last or first) + 1))
    pairs = (part.partition("@") for part in filter(None, at_steps.split(",")))
    return finished, {int(number): int(step) for number, _, step in pairs}
