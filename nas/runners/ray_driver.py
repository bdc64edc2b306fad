"""The driver side of the Ray runner: Ray Tune's searcher and scheduler, over a trial source."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from nas.runners.ray_worker import REPORT, REQUEST
from nas.runners.wire import encode_request
from nas.search.contracts import TrialSource
from nas.search.trial import Decision, Failed, Finished, Lost, Refused, Report, TrialRequest


class SourceError(BaseException):
    """Carries an error of the source out of Ray Tune, which turns every Exception into one of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Relay:
    """Stands between Ray Tune and the source, and remembers which of Tune's trials runs which request."""

    def __init__(self, source: TrialSource) -> None:
        self._source = source
        self._requests: dict[str, TrialRequest] = {}
        self.reports = 0

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Pickles to None: Tune writes its settings down to be restored, and a source holds a store."""
        return type(None), ()

    @property
    def exhausted(self) -> bool:
        """Whether the source will start nothing more."""
        return self._source.exhausted

    def next(self, trial_id: str) -> str | dict[str, str] | None:
        """The configuration of Tune's next trial, None for 'not now', or Searcher.FINISHED."""
        try:
            request = self._source.next()
            ended = request is None and not self._requests and self._source.exhausted
        except Exception as error:
            raise SourceError(error) from error
        if request is None:
            return Searcher.FINISHED if ended else None
        self._requests[trial_id] = request
        return {REQUEST: encode_request(request)}

    def report(self, trial_id: str, report: Report) -> bool:
        """Passes a report on; whether the trial is to go on."""
        ended = isinstance(report, Finished | Failed | Lost | Refused)
        if ended:
            self._requests.pop(trial_id, None)
        try:
            decision = self._source.report(report)
        except Exception as error:
            raise SourceError(error) from error
        self.reports += 1
        return not ended and decision is not Decision.STOP

    def stopped(self, trial_id: str, seconds: float) -> None:
        """Tells the source that the trial it wanted stopped is stopped."""
        request = self._requests[trial_id]
        self.report(trial_id, Finished(request.number, request.attempt, seconds, stopped=True))

    def broken(self, trial_id: str, error: BaseException | None) -> None:
        """Tells the source about a trial that ended without a report of its own.

        A RayTaskError is raised by code that ran, and would be raised again; anything else is a lost worker.
        """
        request = self._requests.get(trial_id)
        if request is None:
            return
        if isinstance(error, RayTaskError):
            cause = f"{type(error.cause).__name__}: {error.cause}"
            self.report(trial_id, Failed(request.number, request.attempt, cause, str(error)))
        else:
            reason = str(error).strip().splitlines()[0] if error else "the worker is gone"
            self.report(trial_id, Lost(request.number, request.attempt, reason))

    def lose_all(self, reason: str) -> None:
        """Reports every trial on its way as lost."""
        for trial_id, request in list(self._requests.items()):
            self.report(trial_id, Lost(request.number, request.attempt, reason))


class SourceSearcher(Searcher):
    """Ray Tune's view of a trial source: every suggestion is the next request."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def suggest(self, trial_id: str) -> Any:
        """The next request as a configuration; None or FINISHED where there is none."""
        return self._relay.next(trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing to learn here: every report already went through the scheduler."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the store is the only truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a study resumes from its store."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save."""


class ReportScheduler(FIFOScheduler):
    """Passes each report to the source and carries out its decision."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._relay = relay
        self._controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Remembers who to ask for the workers when they have to go at once."""
        self._controller = tune_controller

    def kill_workers(self) -> None:
        """Kills all workers and gives their resources back, without a word to anyone.

        Tune does so only when it ends by itself; an interrupt in a process that stays connected to Ray would
        leave the resources taken for ever.
        """
        with contextlib.suppress(Exception):
            self._controller._actor_manager.cleanup()

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Any pending trial: there are never more than slots, and the thousands that ended need no look."""
        pending = (trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING)
        return next(pending, None)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """One report of one trial."""
        report = result[REPORT]
        if self._relay.report(trial.trial_id, report):
            return TrialScheduler.CONTINUE
        if not isinstance(report, Finished | Failed | Refused):
            self._relay.stopped(trial.trial_id, result["time_total_s"])
        return TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A worker died, or Tune could not run the trial."""
        self._relay.broken(trial.trial_id, _error_of(trial))


def _error_of(trial: Trial) -> BaseException | None:
    """The error Tune has just written down for the trial, in this run's own folder."""
    path = trial.pickled_error_file
    if path is None or not Path(path).is_file():
        return None
    error: BaseException = cloudpickle.loads(Path(path).read_bytes())
    return error
