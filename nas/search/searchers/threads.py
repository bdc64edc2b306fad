"""One thread for small matrices: several wait for each other, above all where trials keep the cores busy."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """A context in which numpy and scipy compute on one thread.

    >>> with one_thread():
    ...     pass
    """
    limit: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> ThreadpoolController:
    """Found once: it looks through all libraries of the process."""
    import scipy.linalg  # noqa: F401  (loaded first, so that its library is among them)

    return ThreadpoolController()
