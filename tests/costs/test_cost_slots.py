"""From decisions to rows, and the names of columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nas.costs.columns import COLUMN_NAMES, ENTRIES, LIVE, CostColumns
from nas.costs.slots import LARGEST_CODE, SlotRows
from nas.errors import UnknownNameError


class Finder:
    """Numbers each combination of decisions it is asked about, and remembers what it was asked."""

    def __init__(self, population: np.ndarray, slots: Sequence[Sequence[int]]) -> None:
        self.population = population
        self.slots = slots
        self.asked: list[tuple[int, tuple[int, ...]]] = []

    def __call__(self, asked: list[tuple[int, int]]) -> list[int]:
        new = [(slot, decisions(self.population[index], self.slots[slot])) for index, slot in asked]
        self.asked += new
        return [row_of(*one) for one in new]


def decisions(vector: np.ndarray, columns: Sequence[int]) -> tuple[int, ...]:
    return tuple(vector[list(columns)].tolist())


def row_of(slot: int, taken: tuple[int, ...]) -> int:
    return 7 + slot + 10 * sum(1000**place * value for place, value in enumerate(taken))


OPTIONS = [(3, 4, 2, 5), (1, 1, 3, 2), (2**20, 2**20, 2**21, 5), (2**30, 2**30, 2**30, 2**30)]
SLOTS = [((0, 1, 2, 3),), ((2, 0), (1,)), ((), (0, 3), (1, 2, 3), (0, 1, 2, 3))]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("slots", SLOTS)
def test_each_combination_is_asked_for_once(options, slots):
    rng = np.random.default_rng(0)
    rows = SlotRows(slots, options)
    known: set[tuple[int, tuple[int, ...]]] = set()
    for n in (1, 50, 200, 50):
        population = rng.integers(0, np.minimum(options, 4), (n, 4))
        find = Finder(population, slots)
        found = rows.rows(population, find)
        expected = [[(slot, decisions(v, columns)) for slot, columns in enumerate(slots)] for v in population]
        assert found.tolist() == [[row_of(*one) for one in vector] for vector in expected]
        met = {one for vector in expected for one in vector}
        assert len(find.asked) == len(set(find.asked))
        assert set(find.asked) == met - known
        known |= met


def test_the_largest_options_stay_apart():
    options = (2**27, 2**26 - 1)
    assert options[0] * options[1] < LARGEST_CODE
    assert options[0] * (options[1] + 1) == LARGEST_CODE
    population = np.array([[2**27 - 1, 2**26 - 2], [2**27 - 2, 2**26 - 2], [0, 0], [2**27 - 1, 2**26 - 2]])
    rows = SlotRows([(0, 1)], options)
    found = rows.rows(population, lambda asked: [index for index, _ in asked])
    assert found[:, 0].tolist() == [0, 1, 2, 0]


def test_what_was_not_found_is_asked_for_again():
    population = np.array([[0], [1], [2]])
    rows = SlotRows([(0,)], (3,))
    with pytest.raises(ZeroDivisionError):
        rows.rows(population, lambda asked: [1 // 0])
    assert rows.rows(population[::-1], lambda asked: [index for index, _ in asked])[:, 0].tolist() == [
        0,
        1,
        2,
    ]


def test_a_population_of_none():
    nobody = np.empty((0, 2), dtype=np.int64)
    assert SlotRows([(0,), (1,)], (3, 3)).rows(nobody, lambda asked: []).shape == (0, 2)


def columns_of(n: int = 3) -> CostColumns:
    values = np.arange(n * 2 * len(ENTRIES), dtype=np.float64).reshape(n, 2, len(ENTRIES))
    return CostColumns(("a100", "pixel6"), values)


@pytest.mark.parametrize("name", [name for name in COLUMN_NAMES if name != "peak_memory"])
def test_columns_by_name(name):
    columns = columns_of()
    place = ENTRIES.index(name)
    assert columns.column(f"{name}@pixel6").tolist() == columns.values[:, 1, place].tolist()
    assert (
        columns.column(name).tolist()
        == columns.column(f"{name}@a100").tolist()
        == columns.values[:, 0, place].tolist()
    )


def test_peak_memory_is_weights_and_the_largest_working_set():
    columns = columns_of()
    weights, live = ENTRIES.index("weight_bytes"), ENTRIES.index(LIVE)
    expected = columns.values[:, 1, weights] + columns.values[:, 1, live]
    assert columns.column("peak_memory@pixel6").tolist() == expected.tolist()


def test_shortcuts_are_those_of_the_first_target():
    columns = columns_of()
    for name in ("latency", "params", "macs", "peak_memory"):
        assert getattr(columns, name).tolist() == columns.column(f"{name}@a100").tolist()
    assert len(columns) == 3


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("latencies", "latency"),
        ("latency@a1000", "latency@a100"),
        ("param", "params"),
        ("latency@", "latency@"),
    ],
)
def test_an_unknown_column_offers_the_nearest(name, nearest):
    with pytest.raises(UnknownNameError, match=nearest):
        columns_of().column(name)
