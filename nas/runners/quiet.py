"""Settings for the time of a block: environment variables, and Ray's talk on the terminal."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets the variables, and restores what was there before."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Keeps Ray's log lines off the terminal: whatever matters in them reaches the source as a report.

    Ray prints a paragraph on every dead worker past its own `log_to_driver` option; the switch for that is
    a private name, and is left alone where a release of Ray has none.
    """
    from ray._private import worker

    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune")]
    levels = [logger.level for logger in loggers]
    prints = getattr(worker, "_worker_logs_enabled", None)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    if prints is not None:
        worker._worker_logs_enabled = False
    try:
        yield
    finally:
        if prints is not None:
            worker._worker_logs_enabled = prints
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
