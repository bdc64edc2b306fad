"""The weights format: safetensors of the deployed form, with the architecture in its header."""

from __future__ import annotations

import json

import torch
from torch import Tensor, nn

from nas.errors import ExportError
from nas.export.agreement import check_agreement, check_inputs, export_errors
from nas.export.exporter import ExportReport, ExportRequest
from nas.files import whole_file

TOLERANCE = 1e-5


def write(request: ExportRequest) -> ExportReport:
    """Writes a ``.safetensors`` file, reads it back into a copy of the module and compares the two.

    The keys are those of ``nas.blocks.fuse(nas.blocks.build(...))``; the header's entry ``nas`` is JSON with
    the network, the shape of one sample (``input``) and how it is made (``preparation``).
    """
    from safetensors.torch import load_file, save_file

    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in request.module.state_dict().items()
    }
    with whole_file(request.path, ExportError) as temporary:
        with export_errors("safetensors"):
            save_file(state, temporary, metadata=header(request))
            loaded = load_file(temporary)
        inputs = check_inputs(request.example)
        with export_errors("safetensors"):
            difference = check_agreement(
                "the file", request.module, inputs, lambda x: _run(request.module, loaded, x), TOLERANCE
            )
    note = "load it into nas.blocks.fuse(nas.blocks.build(network, blocks)); the header holds the network"
    return ExportReport(request.path, difference, (note,))


def header(request: ExportRequest) -> dict[str, str]:
    """What stands in the header beside the tensors: one entry, since several have no fixed order."""
    from nas import __version__
    from nas.spaces.architecture import network_to_dict

    content = {
        "version": __version__,
        "network": network_to_dict(request.network),
        "input": list(request.example.shape[1:]),
        "preparation": request.preparation,
    }
    return {"nas": json.dumps(content, sort_keys=True)}


def _run(module: nn.Module, state: dict[str, Tensor], inputs: list[Tensor]) -> list[Tensor]:
    kept = module.state_dict()
    fixed = {name: buffer for name, buffer in module.named_buffers() if name not in kept}
    tensors = {**fixed, **state}  # what a state leaves out is made anew by the module itself
    with torch.inference_mode():
        return [
            torch.func.functional_call(module, tensors, (x,), tie_weights=False, strict=True) for x in inputs
        ]
