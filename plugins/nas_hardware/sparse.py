"""How fast a sparse product runs where there are kernels for it: a curve over sparsity and block size.

A kernel works through the stored blocks of a row of blocks (arXiv:1911.09723). Beside its multiply-adds a
block costs a look-up and loads that its rows share, and a row costs its beginning and its end::

    share of the peak = dense share / (1 + column cost / block + row cost · rows / stored weights)

so that the time is a sum of the stored weights, the blocks and the rows: it grows with every weight that is
stored, and falls below that of a dense product at the sparsity that `break_even_sparsity` tells.
"""

from __future__ import annotations

from nas.costs.operators import Operator
from nas_hardware import assumptions


def sparse_share(operator: Operator, dense: float = assumptions.COMPUTE_UTILISATION["conv"]) -> float:
    """The share of the peak that a sparse product reaches on the weights it stores, where `dense` is that of
    dense products."""
    rows, stored = operator.dim("rows") or 0, operator.dim("nonzeros") or 0
    block = max(1, operator.dim("block") or 1)
    extra = assumptions.SPARSE_COLUMN_COST / block + assumptions.SPARSE_ROW_COST * rows / max(1, stored)
    return dense / (1 + extra)


def break_even_sparsity(inner: int, block: int = 1) -> float:
    """The share of zeros above which the product of a matrix with `inner` columns takes less time than a
    dense one, where computing bounds both."""
    left = 1 - assumptions.SPARSE_ROW_COST / inner
    return 1 - max(0.0, left) / (1 + assumptions.SPARSE_COLUMN_COST / block)
