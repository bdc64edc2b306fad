"""The sizes that benchmarks read from measured kernels: a wrong one fits constants to the wrong shape."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROW = {"B": "3", "M": "20", "N": "1000", "K": "7"}
CONVOLUTION = {
    "B": "3",
    "Input_Channel": "5",
    "Output_Channel": "7",
    "Kernel_Szie": "3",
    "Input_Size": "16",
    "Stride": "2",
    "Padding": "1",
}
"""Spelt as the files spell it."""


@pytest.mark.parametrize(
    ("row", "kernel", "sizes", "numbers"),
    [
        (ROW, "linear", (1, 60, 7, 1000), 60 * 1000 + 1000 * 7 + 60 * 7),
        (ROW, "bmm", (3, 20, 7, 1000), 3 * (20 * 1000 + 1000 * 7 + 20 * 7)),
        (CONVOLUTION, "conv", (1, 3 * 8 * 8, 7, 45), 3 * 5 * 16**2 + 7 * 45 + 3 * 7 * 8 * 8),
    ],
    ids=["linear", "bmm", "conv"],
)
def test_batch_rows_columns_and_inner_size(monkeypatch, row, kernel, sizes, numbers) -> None:
    """The kernels' grids have a block for each tile of M × K: `K` are the columns, `N` is summed over."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from cost_networks import product_sizes

    assert product_sizes(row, kernel) == (*sizes, 4 * numbers)
