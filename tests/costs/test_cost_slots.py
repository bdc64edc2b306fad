"""From decisions to rows, and the names of columns."""

from __future__ import annotations

import numpy as np
import pytest

from nas.costs.columns import COLUMN_NAMES, ENTRIES, LIVE, CostColumns
from nas.costs.slots import LARGEST_CODE, SlotRows
from nas.errors import UnknownNameError


class Finder:
    """Numbers each combination of decisions it is asked about, and remembers what it was asked."""

    def __init__(self, population: np.ndarray, columns: tuple[int, ...]) -> None:
        self.population = population
        self.columns = columns
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, index: int) -> int:
        self.asked.append(tuple(self.population[index, list(self.columns)].tolist()))
        return row_of(self.asked[-1])


def row_of(decisions: tuple[int, ...]) -> int:
    return 7 + sum(1000**place * value for place, value in enumerate(decisions))


OPTIONS = [(3, 4, 2, 5), (1, 1, 3, 2), (2**20, 2**20, 2**21, 5), (2**30, 2**30, 2**30, 2**30)]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("columns", [(0, 1, 2, 3), (2, 0), (1,), ()])
def test_each_combination_is_asked_for_once(options, columns):
    rng = np.random.default_rng(0)
    slot = SlotRows(columns, [options[column] for column in columns])
    known: set[tuple[int, ...]] = set()
    for n in (1, 50, 200, 50):
        population = rng.integers(0, np.minimum(options, 4), (n, 4))
        find = Finder(population, columns)
        rows = slot.rows(population, find)
        expected = [tuple(vector) for vector in population[:, list(columns)].tolist()]
        assert rows.tolist() == [row_of(vector) for vector in expected]
        assert len(find.asked) == len(set(find.asked))
        assert set(find.asked) == set(expected) - known
        known |= set(expected)


def test_the_largest_options_stay_apart():
    options = (2**31, 2**31 - 1)
    assert options[0] * options[1] < LARGEST_CODE
    population = np.array([[2**31 - 1, 2**31 - 2], [2**31 - 2, 2**31 - 2], [0, 0], [2**31 - 1, 2**31 - 2]])
    slot = SlotRows((0, 1), options)
    assert slot.rows(population, lambda index: index).tolist() == [0, 1, 2, 0]


def test_a_population_of_none():
    assert SlotRows((0,), (3,)).rows(np.empty((0, 2), dtype=np.int64), lambda index: index).shape == (0,)


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
