"""Trials on Ray Tune's workers, on this machine or on a cluster."""

from __future__ import annotations

import math

from nas.errors import UsageError
from nas.search.contracts import Evaluator, TrialSource


class RayRunner:
    """Runs up to `slots` trials at a time through Ray Tune, in worker processes that live for many trials.

    Without an `address` a cluster of this machine's own is started for the run and ended with it; with one
    (``HOST:PORT`` or ``auto``) the run joins that cluster. Where Ray is already initialised in this process
    it is used as it is. `cpus_per_trial` and `gpus_per_trial` may be fractions.

    A worker that dies is reported as Lost and its trial runs again where the source gives it again; an error
    of the evaluator is reported once, as Failed. Raises UsageError where the address or the resources cannot
    be had.
    """

    def __init__(
        self, slots: int, *, address: str | None = None, cpus_per_trial: float = 1, gpus_per_trial: float = 0
    ) -> None:
        if slots < 1:
            raise UsageError(f"workers must be at least 1, not {slots}")
        if cpus_per_trial < 0 or gpus_per_trial < 0:
            raise UsageError("CPUs and GPUs per trial must not be negative")
        self.slots = slots
        self.address = address
        self.cpus_per_trial = cpus_per_trial
        self.gpus_per_trial = gpus_per_trial

    def run(self, source: TrialSource, evaluate: Evaluator) -> None:
        """Runs every trial of the source; KeyboardInterrupt passes through with the workers gone."""
        from nas.runners.ray_cluster import ray_cluster
        from nas.runners.ray_tune import TuneSetup, run_on_ray

        with ray_cluster(self.address, cpus=self.slots * self.cpus_per_trial, gpus=self._gpus()) as folder:
            setup = TuneSetup(self.slots, self.cpus_per_trial, self.gpus_per_trial, folder)
            run_on_ray(source, evaluate, setup)

    def _gpus(self) -> float:
        """The GPUs that all slots together need; no trial is spread over parts of two."""
        if 0 < self.gpus_per_trial <= 1:
            return math.ceil(self.slots / trials_per_gpu(self.gpus_per_trial))
        return self.slots * self.gpus_per_trial


def trials_per_gpu(gpus_per_trial: float) -> int:
    """How many trials share one GPU where each takes this fraction of it.

    >>> trials_per_gpu(0.4)
    2
    """
    return math.floor(1 / gpus_per_trial + 1e-9)
