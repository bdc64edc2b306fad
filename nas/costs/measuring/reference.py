"""How fast a processor is at the moment: what two small kernels take that never change.

A shared host changes its speed from one second to the next, with what its other guests do: by a quarter and
more, for everything at once. What is measured between two readings of the reference is put in relation to
them.
"""

from __future__ import annotations

from statistics import geometric_mean

import torch

from nas.costs.measuring.clocks import Clock, Run

WIDTH = 128
"""Rows and columns of the matrices, which fit into the nearest caches."""
WARM_SECONDS = 2e-3
"""What takes longer does not feel what ran before it."""
ANOTHER = 2.0
"""A machine that is so many times as fast as it was, or as slow, is another one."""


class Reference:
    """A matrix product and a sigmoid: arithmetic that a memory does not slow down."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left, self._right = (
            torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(seed)) for seed in range(2)
        )
        self._product, self._curve = torch.empty(WIDTH, WIDTH), torch.empty(WIDTH, WIDTH)

    def milliseconds(self) -> float:
        """What both take now, as the geometric mean; run once before, so that nothing is cold."""
        self._multiply()
        product = self._clock.seconds(self._multiply, 1)
        self._bend()
        return 1e3 * geometric_mean((product, self._clock.seconds(self._bend, 1)))

    def _multiply(self) -> None:
        torch.mm(self._left, self._right, out=self._product)

    def _bend(self) -> None:
        torch.sigmoid(self._left, out=self._curve)


class SpeedClock:
    """Another clock, which reads the reference before and after what it times.

    A reading is too short to say how fast the machine was for a longer run: many of them together do.
    """

    def __init__(self, clock: Clock, usual_ms: float) -> None:
        self._clock, self._reference, self._usual_ms = clock, Reference(clock), usual_ms
        self._readings: list[float] = []
        self.name = f"{clock.name}, told at the speed of the calibration"

    @property
    def speed(self) -> float:
        """How fast the machine was on average, beside the usual: 0.8 where all took a quarter longer."""
        return self._usual_ms / geometric_mean(self._readings or [self._reference.milliseconds()])

    @property
    def knows_machine(self) -> bool:
        """Whether it may be the machine whose usual speed was given."""
        return 1 / ANOTHER < self._usual_ms / self._reference.milliseconds() < ANOTHER

    def seconds(self, run: Run, times: int) -> float:
        """Seconds that `times` calls take together, at the speed of the moment."""
        self._readings.append(self._reference.milliseconds())
        taken = self._clock.seconds(run, times)
        if taken < WARM_SECONDS:  # so much is still felt of the reference: once more behind itself
            taken = self._clock.seconds(run, times)
        self._readings.append(self._reference.milliseconds())
        return taken
