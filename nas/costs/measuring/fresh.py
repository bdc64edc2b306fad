"""Calls functions in processes of their own: ``python -m nas.costs.measuring.fresh`` is their server.

A process that has run many networks is slower than that of a user who runs one (``benchmarks/ageing.py``). So
a server prepares what all calls need, and forks a process for each of them.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import IO, Any, Protocol, TypeVar

from nas.errors import CostError, NasError

Found = TypeVar("Found")


class Caller(Protocol):
    """Calls a function, here or elsewhere, and returns what it found."""

    def __call__(self, function: Callable[..., Found], *given: Any) -> Found:
        """What the function returns for what is given."""
        ...


def called_here(function: Callable[..., Found], *given: Any) -> Found:
    """Calls a function in this process."""
    return function(*given)


class FreshProcesses:
    """Calls each function in a process that has called nothing but `prepare`, which imports what all of them
    need; here, where processes cannot be forked.

    A context manager. Functions, what they are given and what they return must be such as pickle takes.
    Raises CostError where a function raises, or its process ends.
    """

    def __init__(self, prepare: Callable[..., object], *given: Any) -> None:
        self._prepare = (prepare, given)
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> FreshProcesses:
        if hasattr(os, "fork"):
            command = [sys.executable, "-m", "nas.costs.measuring.fresh"]
            self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
            try:
                self(self._prepare[0], *self._prepare[1])
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.communicate()

    def __call__(self, function: Callable[..., Found], *given: Any) -> Found:
        """What the function returns for what is given."""
        if self._server is None:
            return function(*given)
        assert self._server.stdin is not None and self._server.stdout is not None
        try:
            self._server.stdin.write(pickle.dumps((function, given)))
            self._server.stdin.flush()
            works, found = pickle.load(self._server.stdout)  # noqa: S301  # our own
        except (OSError, EOFError) as error:
            raise CostError("the processes that measure ended: measure again") from error
        if not works:
            raise CostError(found)
        return found  # type: ignore[no-any-return]


def serve(calls: IO[bytes], answers: IO[bytes]) -> None:
    """Answers calls until there are no more: the first in this process, all others in one of their own."""
    answered = _answer
    while True:
        try:
            function, given = pickle.load(calls)  # noqa: S301  # who started this process
        except EOFError:
            return
        answers.write(answered(function, given))
        answers.flush()
        answered = forked


def forked(function: Callable[..., Any], given: tuple[Any, ...]) -> bytes:
    """The answer of a process that is forked from this one for a call: a pickle of True and what it found, or
    of False and why there is nothing."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy has idle threads, which hold no lock
        process = os.fork()
    if not process:
        try:
            os.close(read)
            with os.fdopen(write, "wb") as answer:
                answer.write(_answer(function, given))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        found = answer.read()
    _, status = os.waitpid(process, 0)
    return found or pickle.dumps((False, f"a process that measures was ended from outside ({status})"))


def _answer(function: Callable[..., Any], given: tuple[Any, ...]) -> bytes:
    try:
        return pickle.dumps((True, function(*given)))
    except NasError as error:
        return pickle.dumps((False, str(error)))
    except Exception as error:
        return pickle.dumps((False, f"a process that measures ended: {type(error).__name__}: {error}"))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks decides when it is over
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what networks print must not come between the answers
    try:
        serve(sys.stdin.buffer, out)
    except BrokenPipeError:
        os._exit(0)  # nobody is left to tell
