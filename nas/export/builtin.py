"""The first-party export formats, by name; torch is imported when one is written."""

from __future__ import annotations

from nas.export.exporter import Exporter
from nas.plugins.hookspecs import hookimpl


@hookimpl
def nas_exporters() -> list[Exporter]:
    """ONNX, torch.export, safetensors and plain Python."""
    return [
        Exporter("onnx", ".onnx", "nas.export.onnx_file:write", "ONNX, checked in ONNX Runtime"),
        Exporter("exported-program", ".pt2", "nas.export.program_file:write", "a torch.export program"),
        Exporter(
            "weights", ".safetensors", "nas.export.weights_file:write", "safetensors of the deployed form"
        ),
        Exporter("python", ".py", "nas.export.python_file:write", "one Python file that needs only torch"),
    ]
