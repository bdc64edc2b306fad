"""The exported-program format: `torch.export`, loaded with ``torch.export.load``."""

from __future__ import annotations

import io

import torch
from torch import Tensor

from nas.errors import ExportError
from nas.export.agreement import check_agreement, check_inputs, export_errors
from nas.export.exporter import ExportReport, ExportRequest
from nas.export.program import export_program, quiet
from nas.files import whole_file

TOLERANCE = 1e-5


def write(request: ExportRequest) -> ExportReport:
    """Writes a ``.pt2`` file, loads it again and compares it with the module."""
    program = export_program(request.module, request.example)
    with export_errors("a torch.export program"), quiet():
        buffer = io.BytesIO()
        torch.export.save(program.exported, buffer)
        buffer.seek(0)
        loaded = torch.export.load(buffer).module()

    def run(inputs: list[Tensor]) -> list[Tensor]:
        with torch.inference_mode():
            return [loaded(x) for x in inputs]

    inputs = check_inputs(request.example, program.batches)
    with export_errors("a torch.export program"):
        difference = check_agreement("the exported program", request.module, inputs, run, TOLERANCE)
    with whole_file(request.path, ExportError) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    return ExportReport(
        request.path, difference, ("load it with torch.export.load(PATH).module()", *program.notes)
    )
