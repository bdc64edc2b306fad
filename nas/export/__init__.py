"""What people take away: trained networks in formats that run without nas."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports
from nas.export.exporter import Exporter, ExportReport, ExportRequest

if TYPE_CHECKING:
    from nas.export.trial import export_module, export_trial

__all__ = ["ExportReport", "ExportRequest", "Exporter", "export_module", "export_trial"]

__getattr__ = lazy_exports(
    __name__, {"export_module": "nas.export.trial", "export_trial": "nas.export.trial"}
)
