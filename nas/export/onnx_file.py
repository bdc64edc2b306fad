"""The ONNX format, checked in ONNX Runtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import ExportError
from nas.export.agreement import check_agreement, check_inputs, export_errors
from nas.export.exporter import ExportReport, ExportRequest
from nas.export.program import export_program, quiet, require_single_input
from nas.files import whole_file

TOLERANCE = 1e-4
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST = 1_900_000_000  # one protobuf file holds less than 2 GiB


def write(request: ExportRequest) -> ExportReport:
    """Writes one ``.onnx`` file with its weights inside and compares ONNX Runtime with the module."""
    check_packages()
    size = sum(t.numel() * t.element_size() for t in request.module.state_dict().values())
    if size > LARGEST:
        raise ExportError(
            f"the weights take {size / 1e9:.1f} GB, more than one ONNX file holds; export another format"
        )
    program = export_program(request.module, request.example)
    require_single_input(program.exported)
    with whole_file(request.path, ExportError) as temporary:
        with export_errors("ONNX"), quiet():
            converted = torch.onnx.export(
                program.exported,
                (),
                input_names=["input"],
                output_names=["scores"],
                dynamo=True,
                verbose=False,
            )
            assert converted is not None
            converted.save(str(temporary), external_data=False)
        inputs = check_inputs(request.example, program.batches)
        difference = check_agreement(
            "ONNX Runtime", request.module, inputs, lambda x: _run(temporary, x), TOLERANCE
        )
    return ExportReport(request.path, difference, (f"checked in {_runtime()}", *program.notes))


def check_packages() -> None:
    """Raises ExportError where a package of the extra is missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {', '.join(missing)}: pip install 'nas[onnx]'")


def _run(path: Path, inputs: list[Tensor]) -> list[Tensor]:
    """The scores ONNX Runtime gives on the CPU."""
    import onnxruntime

    with export_errors("ONNX that ONNX Runtime reads"):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return [torch.from_numpy(session.run(None, {name: x.numpy()})[0]) for x in inputs]


def _runtime() -> str:
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}"
