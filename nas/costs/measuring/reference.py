"""How fast a processor is at the moment: what two small kernels take that never change.

A shared host changes its speed from one second to the next, with what its other guests do: by a quarter and
more. What is measured between two readings of the reference is put in relation to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from nas.costs.measuring.clocks import Clock, Run
from nas.costs.reading import Reading, matrix_share, middle_reading

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.costs.target import Target

WIDTH = 128
"""Rows and columns of the matrices, which fit into the nearest caches."""
PICTURE, KERNEL = (48, 16, 16), 5
"""What is convolved, channel by channel: so little that much of the time goes by around the arithmetic. Rows
of 14 numbers take up to 1.4 times as long in a process that made and freed many networks."""
WARM_PRODUCTS, WARM_CONVOLUTIONS = 2, 10
"""So often each runs before it is timed: what ran before it has pushed it out of the caches, of which a
convolution takes ten runs to recover from a large network."""
TIMED = 5
"""So often each is timed then, of which the middle one counts: single ones scatter more than the machine."""
WARM_SECONDS = 2e-3
"""What takes longer does not feel what ran before it."""
SHORTEST = 1e-6
"""What counts as the time of a run that a clock does not tell from none."""
ANOTHER = 2.0
"""A machine that is so many times as fast as it was, or as slow, is another one."""


class Reference:
    """A matrix product and a small depthwise convolution."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        draws, channels = torch.Generator().manual_seed(0), PICTURE[0]
        self._left, self._right = (torch.randn(WIDTH, WIDTH, generator=draws) for _ in range(2))
        self._product = torch.empty(WIDTH, WIDTH)
        self._picture = torch.randn(1, *PICTURE, generator=draws)
        self._kernels = torch.randn(channels, 1, KERNEL, KERNEL, generator=draws)

    def read(self) -> Reading:
        """What both take now, warm."""
        product = self._seconds(self._multiply, WARM_PRODUCTS)
        return Reading(1e3 * product, 1e3 * self._seconds(self._convolve, WARM_CONVOLUTIONS))

    def _seconds(self, run: Run, warm_runs: int) -> float:
        for _ in range(warm_runs):
            run()
        return median(self._clock.seconds(run, 1) for _ in range(TIMED))

    def _multiply(self) -> None:
        torch.mm(self._left, self._right, out=self._product)

    @torch.inference_mode()
    def _convolve(self) -> None:
        functional.conv2d(self._picture, self._kernels, padding=KERNEL // 2, groups=PICTURE[0])


@dataclass(frozen=True)
class Usual:
    """The usual reading of a machine, and the share of the time of what is measured that is matrix work."""

    reading: Reading
    matrix_share: float


def usual_for(target: Target, cost: Cost) -> Usual | None:
    """At which speed a network of such a predicted cost is told; None where the calibration of the target has
    no reading."""
    calibration = target.calibration
    if calibration is None or calibration.reference is None:
        return None
    return Usual(calibration.reference, matrix_share(cost))


class SpeedClock:
    """Another clock, which reads the reference before and after what it times.

    A reading is too short to say how fast the machine was for a longer run: many of them together do.
    """

    def __init__(self, clock: Clock, usual: Usual) -> None:
        self._clock, self._reference, self._usual = clock, Reference(clock), usual
        self._readings: list[Reading] = []
        self.name = f"{clock.name}, told at the speed of the calibration"

    @property
    def speed(self) -> float:
        """How fast the machine was meanwhile, beside the usual: 0.8 where all took a quarter longer."""
        now = middle_reading(self._readings or [self._reference.read()])
        return 1 / now.slowness(self._usual.reading, self._usual.matrix_share)

    @property
    def knows_machine(self) -> bool:
        """Whether it may be the machine whose usual speed was given."""
        now = self._reference.read()
        slowness = (now.slowness(self._usual.reading, share) for share in (0.0, 1.0))
        return all(1 / ANOTHER < each < ANOTHER for each in slowness)

    def seconds(self, run: Run, times: int) -> float:
        """Seconds that `times` calls take together, at the speed of the moment."""
        self._readings.append(self._reference.read())
        spent = taken = self._clock.seconds(run, times)
        while spent < WARM_SECONDS:  # so much is still felt of the reference: once more behind itself
            taken = self._clock.seconds(run, times)
            spent += max(taken, SHORTEST)
        self._readings.append(self._reference.read())
        return taken
