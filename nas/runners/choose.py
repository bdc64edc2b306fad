"""Which runner a number of workers asks for."""

from __future__ import annotations

import logging
import math
import os

from nas.errors import UsageError
from nas.runners.inline import InlineRunner
from nas.runners.ray import RayRunner, trials_per_gpu
from nas.search.contracts import Runner

logger = logging.getLogger("nas.runners")


def make_runner(
    workers: str | int = "auto",
    *,
    address: str | None = None,
    cpus_per_trial: float = 1,
    gpus_per_trial: float = 0,
    cheap: bool = False,
) -> Runner:
    """The runner for `workers` trials at a time: inline for one, Ray for more.

    ``"auto"`` takes as many as there are CPUs (and GPUs, where a trial asks for some). Asking for more than
    there is room for is no error: what fits is used, and the logger ``nas.runners`` warns. With an `address`
    trials always run on that Ray cluster. `cheap` says that an evaluation costs less than sending it away:
    always inline. Raises UsageError.

    >>> type(make_runner(1)).__name__
    'InlineRunner'
    """
    _check(workers, cpus_per_trial, gpus_per_trial)
    if cheap:
        return InlineRunner()
    room = _room(address, cpus_per_trial, gpus_per_trial)
    slots = room if isinstance(workers, str) else min(workers, room)
    if not isinstance(workers, str) and slots < workers:
        logger.warning("%d workers asked for, but there is room for %d: %d used", workers, room, slots)
    if slots == 1 and address is None:
        return InlineRunner()
    return RayRunner(slots, address=address, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial)


def available_cpus() -> int:
    """The CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_gpus() -> int:
    """The CUDA devices torch sees; imports torch."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _check(workers: str | int, cpus: float, gpus: float) -> None:
    if workers != "auto" and (isinstance(workers, bool) or not isinstance(workers, int)):
        raise UsageError(f"--workers is 'auto' or a whole number of at least 1, not {workers!r}")
    if isinstance(workers, int) and workers < 1:
        raise UsageError(f"--workers must be at least 1, not {workers}")
    if not (math.isfinite(cpus) and cpus > 0):
        raise UsageError(f"CPUs per trial must be above 0, not {cpus:g}")
    if not (math.isfinite(gpus) and gpus >= 0) or (gpus > 1 and gpus != int(gpus)):
        raise UsageError(f"GPUs per trial must be a fraction of one or a whole number, not {gpus:g}")


def _room(address: str | None, cpus: float, gpus: float) -> int:
    """How many trials fit at once."""
    if address is None:
        have_cpus, have_gpus = float(available_cpus()), float(available_gpus()) if gpus else 0.0
        where = "this machine has"
    else:
        have_cpus, have_gpus = _cluster_resources(address)
        where = f"the Ray cluster at {address} has"
    room = math.floor(have_cpus / cpus + 1e-9)
    if gpus:
        if have_gpus < gpus:
            raise UsageError(f"{gpus:g} GPUs per trial asked for, but {where} {have_gpus:g}")
        room = min(room, int(have_gpus) * trials_per_gpu(gpus) if gpus <= 1 else int(have_gpus // gpus))
    if room < 1 and address is not None:
        raise UsageError(f"{cpus:g} CPUs per trial asked for, but {where} {have_cpus:g}")
    return max(1, room)


def _cluster_resources(address: str) -> tuple[float, float]:
    import ray

    from nas.runners.ray_cluster import ray_cluster

    with ray_cluster(address):
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)
