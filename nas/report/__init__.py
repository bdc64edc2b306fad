"""What people look at: a study as one HTML page, its front as a picture, a network in one line."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports
from nas.report.describe import describe

if TYPE_CHECKING:
    from nas.report.page import write_report
    from nas.report.scatter import FrontPoint, front_svg

__all__ = ["FrontPoint", "describe", "front_svg", "write_report"]

__getattr__ = lazy_exports(
    __name__,
    {
        "FrontPoint": "nas.report.scatter",
        "front_svg": "nas.report.scatter",
        "write_report": "nas.report.page",
    },
)
