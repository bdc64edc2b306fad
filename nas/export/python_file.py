"""The python format: one file that needs only torch, its weights inside."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import ExportError
from nas.export.agreement import check_agreement, check_inputs, export_errors
from nas.export.exporter import ExportReport, ExportRequest
from nas.export.program import export_program
from nas.export.python_source import network_source
from nas.files import whole_file

TOLERANCE = 1e-5
LARGEST = 400_000_000
SECONDS = 600

_FILE = '''\
"""A trained network in one file. It needs torch and nothing else.

Input: {preparation}.
Output: ({batch}, {outputs}) scores before softmax.

    import torch
    from {stem} import load

    network = load()
    scores = network(torch.zeros(1, {shape}))

{parameters:,} parameters; written by nas {version}.
"""

import base64
import io

import torch
from torch import nn
from torch.nn import functional as F


{network}

def load() -> Network:
    """The network with its trained weights, in eval mode."""
    network = Network()
    weights = torch.load(io.BytesIO(base64.b64decode(WEIGHTS)), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


# The state dict, as torch.save writes it, in base64.
WEIGHTS = """
{weights}
"""


if __name__ == "__main__":
    print(load())
'''

_CHECK = """
import runpy, sys
for name in ("nas", "safetensors", "numpy"):
    sys.modules[name] = None
import torch
torch.set_num_threads(1)
network = runpy.run_path(sys.argv[1])["load"]()
with torch.inference_mode():
    torch.save([network(x) for x in torch.load(sys.argv[2], weights_only=True)], sys.argv[3])
"""


def write(request: ExportRequest) -> ExportReport:
    """Writes a ``.py`` file, runs it in a fresh interpreter without nas, and compares its scores."""
    program = export_program(request.module, request.example)
    with export_errors("Python code"):
        source, state = network_source(program.exported, request.module)
        text = file_text(source, state, request, any_batch=len(program.batches) > 1)
    inputs = check_inputs(request.example, program.batches)
    with whole_file(request.path, ExportError) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        difference = check_agreement(
            "the Python file", request.module, inputs, lambda x: run_file(temporary, x), TOLERANCE
        )
    return ExportReport(
        request.path, difference, ("checked in a fresh interpreter with torch alone", *program.notes)
    )


def file_text(source: str, state: dict[str, Tensor], request: ExportRequest, *, any_batch: bool) -> str:
    """The whole file: how to use it, the network, its weights."""
    from nas import __version__

    with torch.inference_mode():
        outputs = request.module(request.example).shape[1:]
    batch, shape = "N" if any_batch else "1", ", ".join(map(str, request.example.shape[1:]))
    stem = request.path.stem
    return _FILE.format(
        preparation=comment(request.preparation or f"({batch}, {shape}), prepared as the training data was"),
        batch=batch,
        shape=shape,
        outputs=", ".join(map(str, outputs)),
        stem=stem if stem.isidentifier() and stem.isascii() else "network_file",
        parameters=sum(value.numel() for value in state.values()),
        version=__version__,
        network=source,
        weights=encode(state),
    )


def comment(text: str) -> str:
    """Text that cannot end the docstring it stands in."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def encode(state: dict[str, Tensor]) -> str:
    """A state dict as lines of base64."""
    buffer = io.BytesIO()
    torch.save({name: value.cpu().contiguous().clone() for name, value in state.items()}, buffer)
    if buffer.tell() > LARGEST:
        raise ExportError(
            f"the weights take {buffer.tell() / 1e6:.0f} MB, too many for a Python file: export 'weights'"
        )
    text = base64.b64encode(buffer.getvalue()).decode()
    return "\n".join(text[begin : begin + 100] for begin in range(0, len(text), 100))


def run_file(path: Path, inputs: list[Tensor]) -> list[Tensor]:
    """The scores the file gives in an interpreter of its own, in which nas cannot be imported."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "inputs.pt"), Path(folder, "scores.pt")
        torch.save(inputs, given)
        command = [sys.executable, "-I", "-B", "-c", _CHECK, str(path.resolve()), str(given), str(found)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise ExportError(f"the Python file did not answer within {SECONDS} s") from None
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ExportError(f"the Python file does not run with torch alone: {reason[:300]}")
        scores: list[Tensor] = torch.load(found, weights_only=True)
        return scores
