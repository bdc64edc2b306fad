"""Times a call: warm-up, as many samples as a budget of seconds allows, outliers done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from nas.costs.measuring.clocks import Clock, Run
from nas.costs.measuring.measurement import Measurement, is_noisy, spread

WARM_UP = 3
SAMPLES = (10, 300)
"""The least and the most samples of one figure."""
SAMPLE_SECONDS = 5e-4
"""A sample takes at least so long: shorter calls are repeated within it."""
OUTLIER = 5.0
"""Samples so many spreads above the median are done again."""


def time_call(
    run: Run, clock: Clock, seconds: float, *, single: bool = False, prepare: Run | None = None
) -> Measurement:
    """The median time of a call and the spread of its samples, from about `seconds` of measuring.

    Calls that are short against SAMPLE_SECONDS are repeated within a sample. With `single` each sample is one
    call, as a caller sees it who waits for every answer; so it is with `prepare`, which runs before each
    sample and does not count.
    """
    for _ in range(WARM_UP):
        run()
    once = max(1e-7, min(clock.seconds(run, 1) for _ in range(2)))
    times = 1 if single or prepare else max(1, round(SAMPLE_SECONDS / once))

    def sample() -> float:
        if prepare is not None:
            prepare()
        return clock.seconds(run, times) / times

    samples = _steady(_sampled(sample, seconds), sample)
    return Measurement(1e3 * median(samples), 1e3 * spread(samples), len(samples), is_noisy(samples))


def _sampled(sample: Callable[[], float], seconds: float) -> list[float]:
    """As many samples as there is time for."""
    end = time.monotonic() + seconds
    samples: list[float] = []
    while len(samples) < SAMPLES[0] or (len(samples) < SAMPLES[1] and time.monotonic() < end):
        samples.append(sample())
    return samples


def _steady(samples: list[float], sample: Callable[[], float]) -> list[float]:
    """The samples with outliers measured once more: what happens again is no accident."""
    limit = median(samples) + OUTLIER * max(spread(samples), 0.01 * median(samples))
    return [found if found <= limit else min(found, sample()) for found in samples]
