"""Clocks: how long calls take on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import torch

Run: TypeAlias = Callable[[], Any]
FINE_SECONDS = 1e-6
"""A clock of a thread that is coarser than this tells no operators apart."""


class Clock(Protocol):
    """Times calls on one device."""

    name: str

    def seconds(self, run: Run, times: int) -> float:
        """Seconds that `times` calls take together, until the device is done."""
        ...


class ThreadClock:
    """The time this thread was on a processor: that of calls which use one thread, whoever else waits for
    it."""

    name = "processor time of the one thread"

    def seconds(self, run: Run, times: int) -> float:
        """Seconds that `times` calls take together."""
        begin = time.thread_time_ns()
        for _ in range(times):
            run()
        return (time.thread_time_ns() - begin) / 1e9


class WallClock:
    """The time on the wall: that of calls which use several threads."""

    name = "wall time"

    def seconds(self, run: Run, times: int) -> float:
        """Seconds that `times` calls take together."""
        begin = time.perf_counter_ns()
        for _ in range(times):
            run()
        return (time.perf_counter_ns() - begin) / 1e9


class CudaClock:
    """The time between two events on the device, which is empty before and after."""

    name = "CUDA events"

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def seconds(self, run: Run, times: int) -> float:
        """Seconds that `times` calls take together, from the first launch to the end of the last kernel."""
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(self._device)
        begin.record()
        for _ in range(times):
            run()
        end.record()
        torch.cuda.synchronize(self._device)
        return float(begin.elapsed_time(end)) / 1e3


def clock_for(device: torch.device) -> Clock:
    """The clock that disturbances of the host move least."""
    if device.type == "cuda":
        return CudaClock(device)
    is_fine = time.get_clock_info("thread_time").resolution < FINE_SECONDS
    return ThreadClock() if is_fine and torch.get_num_threads() == 1 else WallClock()
