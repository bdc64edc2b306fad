"""Fixtures of the searchers' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Small matrices on one thread: where tests run side by side, several wait for each other."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
