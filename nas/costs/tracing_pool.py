"""Worker processes that share the tracing of many layers with this one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nas.costs.trace_keys import Key, Profile
from nas.costs.tracing_worker import read_reply, request

if TYPE_CHECKING:
    from nas.costs.operators import Trace

FEWEST = 512
"""Layers from which on workers are worth their start: one imports for as long as so many are traced."""
MOST_WORKERS = 8
CHUNK = 16
"""Layers that a worker is asked for at a time."""


def worker_count(layers: int) -> int:
    """How many workers help with so many layers on the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, cores - 1, layers // FEWEST)


class TracingPool:
    """Workers that share the tracing of layers with this process: it starts at the front, they at the back.

    A worker whose code is not that of this process, or that fails, is one less. A context manager.
    """

    def __init__(self, workers: int, profiles: Sequence[Profile], code: str) -> None:
        self._work = _Work()
        self._workers = [_Worker(self._work, profiles, code) for _ in range(workers)]

    def __enter__(self) -> TracingPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._work.close()
        for worker in self._workers:
            worker.stop()

    def traces(self, layers: Sequence[Key], trace: Callable[[Key], list[Trace]]) -> dict[Key, list[Trace]]:
        """The traces of all these layers; `trace` finds them here, and raises for one that has none."""
        self._work.add(layers)
        found = {}
        while (layer := self._work.first()) is not None:
            found[layer] = trace(layer)
        return found | self._work.collect()


class _Work:
    """Layers to trace, taken from both ends."""

    def __init__(self) -> None:
        self._left: deque[Key] = deque()
        self._taken = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._found: dict[Key, list[Trace]] = {}

    def add(self, layers: Sequence[Key]) -> None:
        """More layers to trace."""
        with self._changed:
            self._left.extend(layers)
            self._changed.notify_all()

    def close(self) -> None:
        """There is no more to come: workers are not kept waiting."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def first(self) -> Key | None:
        """The next layer for this process; None when all are traced. Waits for what workers still do."""
        with self._changed:
            while not self._left and self._taken:
                self._changed.wait()
            return self._left.popleft() if self._left else None

    def last(self) -> list[Key]:
        """The next layers for a worker, who must give them to `done`; none when there are no more to come."""
        with self._changed:
            while len(self._left) < CHUNK and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return []
            self._taken += 1
            return [self._left.pop() for _ in range(CHUNK)]

    def done(self, layers: Sequence[Key], traces: Sequence[list[Trace] | None]) -> None:
        """Takes what a worker found; layers without traces are left for this process."""
        with self._changed:
            for layer, found in zip(layers, traces, strict=True):
                if found is None:
                    self._left.appendleft(layer)
                else:
                    self._found[layer] = found
            self._taken -= 1
            self._changed.notify_all()

    def collect(self) -> dict[Key, list[Trace]]:
        """What workers found since the last time."""
        with self._changed:
            found, self._found = self._found, {}
            return found


class _Worker:
    """A worker process, and the thread that talks to it."""

    def __init__(self, work: _Work, profiles: Sequence[Profile], code: str) -> None:
        self._work = work
        self._profiles = profiles
        self._code = code
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nas.costs.tracing_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                text=True,
            )
        except OSError:
            return
        self._thread.start()

    def stop(self) -> None:
        """Ends the process and its thread."""
        if self._process is not None:
            self._process.kill()
            self._thread.join()
            self._process.communicate()

    def _run(self) -> None:
        if self._line().strip() != self._code:
            return
        while layers := self._work.last():
            found: Sequence[list[Trace] | None] = [None] * len(layers)
            try:
                found = self._ask(layers)
            finally:
                self._work.done(layers, found)
            if None in found:
                return

    def _ask(self, layers: Sequence[Key]) -> Sequence[list[Trace] | None]:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request(layers, self._profiles))
            self._process.stdin.flush()
            found = read_reply(self._line())
        except (OSError, ValueError, TypeError):
            found = []
        return found if len(found) == len(layers) else [None] * len(layers)

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()
