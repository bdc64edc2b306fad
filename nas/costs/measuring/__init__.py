"""Measuring: what modules take on this machine, and calibrations of targets from it."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports
from nas.costs.measuring.measurement import Measurement

if TYPE_CHECKING:
    from nas.costs.measuring.calibrating import Calibrated, calibrate
    from nas.costs.measuring.latency import measure
    from nas.costs.measuring.micro import MeasuredKernel

__all__ = ["Calibrated", "MeasuredKernel", "Measurement", "calibrate", "measure"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Calibrated": "nas.costs.measuring.calibrating",
        "MeasuredKernel": "nas.costs.measuring.micro",
        "calibrate": "nas.costs.measuring.calibrating",
        "measure": "nas.costs.measuring.latency",
    },
)
