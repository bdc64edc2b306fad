"""Traces of the form in which a network is deployed: eval mode, norms folded, branches merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from nas.blocks import build_element, fuse, parameter_count
from nas.blocks.shapes import ShapesOnly
from nas.costs.operators import Trace
from nas.costs.trace import Shapes, batched, run_traced, trace
from nas.costs.twin import meta_twin
from nas.errors import CostError

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.spaces.architecture import Graph, Layer
    from nas.spaces.signature import Signature


def trace_deployed(
    module: nn.Module, input_shape: Shapes, batch_size: int = 1, precision: str = "fp32"
) -> Trace:
    """The trace of a module's deployed form, with the number of parameters it has as given.

    Merging is tried without data first; a module that needs its values to be merged is copied with them.
    """
    try:
        deployed = run_traced(fuse(meta_twin(module)), batched(input_shape, batch_size), precision)
    except Exception:  # whatever it is, trace() finds it again and says it in one line
        deployed = trace(_merged(module), input_shape, batch_size, precision)
    return replace(deployed, params=parameter_count(module))


def trace_element(
    element: Layer | Graph,
    signature: Signature,
    blocks: Mapping[str, Block],
    classes: int,
    profiles: list[tuple[int, str]],
) -> list[Trace]:
    """The traces of a layer or cell in its deployed form, built without data, one for each (batch size,
    precision)."""
    with torch.device("meta"), ShapesOnly():  # type: ignore[no-untyped-call]
        module = build_element(element, signature, blocks, classes)
    params = parameter_count(module)
    deployed = fuse(module, in_place=True)
    shape = signature.shape
    try:
        found = [run_traced(deployed, [(batch, *shape)], precision) for batch, precision in profiles]
    except Exception:
        found = [trace(deployed, shape, batch, precision) for batch, precision in profiles]
    return [replace(one, params=params) for one in found]


def _merged(module: nn.Module) -> nn.Module:
    try:
        return fuse(module)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise CostError(
            f"{type(module).__name__} cannot be brought to its deployed form: {reason}"
        ) from error
