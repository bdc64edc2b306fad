"""What one trial reports while it runs, wherever that is."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator

from nas.errors import MissingPluginError
from nas.search.contracts import Evaluator
from nas.search.trial import Failed, Finished, Progress, Refused, Report, Started, TrialRequest

STEP = "step"
"""The metric by which an evaluator that resumes a trial says which step it has just done."""


def trial_reports(
    request: TrialRequest, find_evaluator: Callable[[], Evaluator], host: str
) -> Iterator[Report]:
    """Yields Started, a Progress for each step, then Finished, Failed or Refused; closing it closes the
    evaluator.

    Steps are counted from 1, or from the number the evaluator gives as its metric ``step``. The evaluator is
    looked for after Started, so that one which cannot be loaded here is a Failed trial like any other.
    """
    number, attempt = request.number, request.attempt
    yield Started(number, attempt, host)
    began = time.monotonic()
    try:
        steps = find_evaluator()(request)
        try:
            step = 0
            for metrics in steps:
                values = {name: float(value) for name, value in metrics.items()}
                step = int(values.pop(STEP, step + 1))
                yield Progress(number, attempt, step, values)
        finally:
            close(steps)
    except MissingPluginError as error:
        yield Refused(number, attempt, str(error))
    except (Exception, SystemExit) as error:
        yield Failed(number, attempt, f"{type(error).__name__}: {error}", _traceback(error))
    else:
        yield Finished(number, attempt, time.monotonic() - began)


def close(steps: object) -> None:
    """Closes a generator, whatever it raises then (the result stands); other iterators are left alone."""
    stop = getattr(steps, "close", None)
    if stop is not None:
        with contextlib.suppress(Exception):
            stop()


def _traceback(error: BaseException) -> str:
    """The traceback below this module's own frame."""
    frame = error.__traceback__
    return "".join(traceback.format_exception(type(error), error, frame.tb_next if frame else None))
