"""Measures operators where they belong: within networks, each in the company of all others.

A kernel measured over and over by itself finds its code and its weights in caches that a network has long
filled with something else, and does not find what a network has just written. The operators of a network,
timed one by one while it runs, add up to what the network takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from nas.costs.measuring.clocks import Clock, clock_for
from nas.costs.measuring.conditions import pinned
from nas.costs.measuring.fresh import Caller, called_here
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.latency import DTYPES, Ready, ready
from nas.costs.measuring.micro import drift
from nas.costs.measuring.operator_clock import TimedOperators
from nas.costs.measuring.reference import WARM_SECONDS, Reference
from nas.costs.reading import Reading, middle_reading
from nas.costs.speed import MATRIX_KINDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Trace
    from nas.costs.target import Target

    Times: TypeAlias = NDArray[np.float64]

CPU = torch.device("cpu")
ROUNDS = 2
"""So often each network is measured: rather more networks than more rounds."""
WARM_UP = (2, 0.015)
"""So often, and for so many seconds, a network runs before its passes: the first ones are slower."""
PASSES = (4, 60)
"""How often a network runs in each round: at least, and at most."""
PASS_SECONDS = 0.04
"""No further pass begins after so long: rather many networks than each of them closely."""
TINY = 1e-9
OUTLIER = 2.0
"""What takes so many times its median was disturbed, and does not count."""


def can_watch(target: Target, device: torch.device) -> bool:
    """Whether operators can be timed within networks: where the processor runs them one by one."""
    return device.type == "cpu" and target.runtime == "eager" and target.precision in DTYPES


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network by name, what it executes, and what that took in milliseconds: each operator, as the mean of
    all passes at the usual speed of the machine, and all of it in each round at the speed of that moment."""

    name: str
    trace: Trace
    operators_ms: tuple[float, ...]
    rounds_ms: tuple[float, ...]


@dataclass(frozen=True)
class InCompany:
    """Networks measured in rounds; `reference` is what the reference usually took, `drift` how much longer in
    the slowest round than in the quickest: 0.1 is a tenth."""

    networks: Sequence[MeasuredNetwork]
    reference: Reading
    drift: float


def measure_in_company(
    networks: Sequence[MicroKernel],
    target: Target,
    seconds: float,
    on_progress: Callable[[int, int], None] = lambda done, all_of_them: None,
    caller: Caller = called_here,
) -> InCompany:
    """Measures the operators of networks in ROUNDS for so many seconds, each time by a call of `caller`.

    Each round has its share of the time; what the first one did not come to is left out, but for one network.
    """
    begin = time.monotonic()
    left = [_Watched(one, target) for one in networks]
    for number in range(ROUNDS):
        end = begin + seconds * (number + 1) / ROUNDS
        for done, one in enumerate(left):
            if time.monotonic() > end and left[0].readings:
                break
            one.measure(caller)
            on_progress(number * len(left) + done + 1, ROUNDS * len(left))
        left = [one for one in left if one.readings]
    usual = middle_reading([reading for one in left for reading in one.readings])
    slowness = drift([[reading.mean_ms for reading in one.readings] for one in left], ROUNDS)
    return InCompany([one.found(usual) for one in left], usual, slowness)


@dataclass(frozen=True)
class _Round:
    """One round of a network: its operators; milliseconds of each of them and of the whole, of shape (passes,
    operators + 1); and what the reference took meanwhile."""

    timed: TimedOperators
    passes: Times
    reading: Reading


def prepare(target: Target) -> None:
    """Imports all that a round takes, by one of the smallest network."""
    _round(MicroKernel("the smallest", torch.nn.ReLU, ((1, 8),)), target, None, threads=1)


def _round(network: MicroKernel, target: Target, timed: TimedOperators | None, threads: int) -> _Round:
    """Some passes, whole and by operators, between two readings of the reference each."""
    with pinned(threads):
        clock = clock_for(CPU)
        reference, shapes = Reference(clock), network.shapes
        run = ready(network.make(), shapes, CPU, target.precision, target.runtime, target.layout)
        timed = timed or TimedOperators(run, shapes[0][0], target.precision)
        timed.milliseconds(run, clock)
        _warm_up(run)
        times = _times(run, clock)
        passes: list[Times] = []
        readings, end = [reference.read()], time.monotonic() + PASS_SECONDS
        while len(passes) < PASSES[0] or (len(passes) < PASSES[1] and time.monotonic() < end):
            for _ in range(times if times > 1 else 0):
                run()  # behind itself, not behind the reference
            whole = 1e3 * clock.seconds(run, times) / times
            passes.append(np.append(timed.milliseconds(run, clock), whole))
            readings.append(reference.read())
    return _Round(timed, np.array(passes), middle_reading(readings))


class _Watched:
    """A network that is measured in rounds. It is made anew for each: not all of them lie in memory."""

    def __init__(self, network: MicroKernel, target: Target) -> None:
        self._network, self._target = network, target
        self._timed: TimedOperators | None = None
        self.readings: list[Reading] = []
        self._passes: list[Times] = []

    def measure(self, caller: Caller) -> None:
        """One more round."""
        found = caller(_round, self._network, self._target, self._timed, torch.get_num_threads())
        self._timed = found.timed
        self._passes.append(found.passes)
        self.readings.append(found.reading)

    def found(self, usual: Reading) -> MeasuredNetwork:
        """What was found, at the speed that the machine has with the usual reading.

        Watching costs small operators time: each has its share of what the whole takes unwatched.
        """
        assert self._timed is not None
        is_matrix = np.array([one.kind in MATRIX_KINDS for one in self._timed.trace.operators], dtype=float)
        rounds = zip(self._passes, self.readings, strict=True)
        scaled = [_at_usual_speed(passes, now.slowness(usual, is_matrix)) for passes, now in rounds]
        *operators, whole = _undisturbed_mean(np.concatenate(scaled)).tolist()
        share = whole / max(sum(operators), TINY)
        whole_ms = tuple(float(_undisturbed_mean(each[:, -1:])[0]) for each in self._passes)
        times = tuple(share * time for time in operators)
        return MeasuredNetwork(self._network.name, self._timed.trace, times, whole_ms)


def _at_usual_speed(passes: Times, slowness: Times) -> Times:
    """Passes of operators, and of the whole behind them, without what slowed each operator down."""
    operators = passes[:, :-1] / slowness
    whole = passes[:, -1:] * (operators.sum() / max(passes[:, :-1].sum(), TINY))
    return np.hstack([operators, whole])


def _warm_up(run: Ready) -> None:
    end, runs = time.monotonic() + WARM_UP[1], 0
    while runs < WARM_UP[0] or time.monotonic() < end:
        run()
        runs += 1


def _times(run: Ready, clock: Clock) -> int:
    """How often a network runs at a time: a short one so often that nothing else is felt."""
    return max(1, round(WARM_SECONDS / max(clock.seconds(run, 1), 1e-6)))


def _undisturbed_mean(times: Times) -> Times:
    """The mean of each column without its outliers. A machine that changes between two speeds has a median
    that is one or the other, and means that add up."""
    kept = np.where(times <= OUTLIER * np.median(times, axis=0), times, np.nan)
    found: Times = np.nanmean(kept, axis=0)
    return found
