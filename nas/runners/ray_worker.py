"""The worker side of the Ray runner: an actor that lives for many trials."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import sys
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune

from nas.runners.wire import decode_evaluator, decode_request
from nas.search.contracts import Evaluator
from nas.search.reports import close, trial_reports
from nas.search.trial import Report

REPORT = "report"
REQUEST = "request"


class TrialActor(tune.Trainable):
    """Runs trials one after the other; each `step` is one report of the current trial.

    `payload` refers to the pickled evaluator. It is loaded at the first trial and kept for those that follow.
    """

    payload: ray.ObjectRef[bytes] | None = None

    def setup(self, config: dict[str, Any]) -> None:
        """Opens the actor's first trial."""
        self._evaluator: Evaluator | None = None
        self._open(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Ends the trial before, where it was stopped, and opens the next in a process as good as new."""
        self.cleanup()
        reset_process()
        self._open(new_config)
        return True

    def step(self) -> dict[str, Report]:
        """The next report; errors of the evaluator are reports too, so that Tune never retries them."""
        return {REPORT: next(self._reports)}

    def cleanup(self) -> None:
        """Closes the evaluator of a trial that was stopped."""
        close(self._reports)

    def _open(self, config: dict[str, Any]) -> None:
        request = decode_request(config[REQUEST])
        self._reports: Iterator[Report] = trial_reports(request, self._find_evaluator, platform.node())
        self.config = {}  # Tune sends it back with every result

    def _find_evaluator(self) -> Evaluator:
        if self._evaluator is None:
            assert self.payload is not None
            self._evaluator = decode_evaluator(ray.get(self.payload))
        return self._evaluator


def actor_class(payload: ray.ObjectRef[bytes]) -> type[TrialActor]:
    """The actor class for one evaluator."""
    return type("TrialActor", (TrialActor,), {"payload": payload})


def reset_process() -> None:
    """Undoes what a trial may leave behind: torch's number of threads, memory on the GPU.

    Random numbers are the evaluator's own matter: its result depends on the request alone.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return
    with contextlib.suppress(ValueError):
        torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", ""))))
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
