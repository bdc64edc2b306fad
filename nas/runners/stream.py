"""What one trial reports, as a worker sees it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator

from nas.search.contracts import Evaluator
from nas.search.trial import Failed, Finished, Progress, Report, Started, TrialRequest


def trial_reports(request: TrialRequest, find_evaluator: Callable[[], Evaluator], host: str) -> Iterator[Report]:
    """Yields Started, a Progress for each step, then Finished or Failed.

    The evaluator is found after Started was yielded, so that an evaluator which cannot be loaded here is a
    Failed trial like any other. Closing this iterator closes the evaluator.
    """
    number, attempt = request.number, request.attempt
    yield Started(number, attempt, host)
    began = time.monotonic()
    try:
        steps = find_evaluator()(request)
        try:
            for step, metrics in enumerate(steps, start=1):
                values = {name: float(value) for name, value in metrics.items()}
                yield Progress(number, attempt, step, values)
        finally:
            close(steps)
    except (Exception, SystemExit) as error:
        yield Failed(number, attempt, f"{type(error).__name__}: {error}", _traceback(error))
    else:
        yield Finished(number, attempt, time.monotonic() - began)


def close(steps: object) -> None:
    """Closes a generator; any other iterator is left alone."""
    stop = getattr(steps, "close", None)
    if stop is not None:
        stop()


def _traceback(error: BaseException) -> str:
    """The traceback below this module's own frame."""
    frame = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, frame.tb_next if frame else None))
