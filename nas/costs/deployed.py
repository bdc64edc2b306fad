"""Traces of the form in which a network is deployed: eval mode, norms folded, branches merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from nas.blocks import build_element, fuse, parameter_count
from nas.blocks.layer import unchecked
from nas.blocks.shapes import ShapesOnly, WithoutValues
from nas.costs.memory_order import has_channels_innermost
from nas.costs.operators import Trace
from nas.costs.precision import AUTOCAST
from nas.costs.trace import Shapes, batched, run_traced, trace
from nas.costs.trace_keys import Profile
from nas.costs.twin import meta_twin
from nas.errors import CostError
from nas.spaces.architecture import Network
from nas.spaces.fitting import output_signature

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.spaces.architecture import Graph, Layer
    from nas.spaces.signature import Signature


def trace_deployed(
    module: nn.Module, input_shape: Shapes, batch_size: int = 1, precision: str = "fp32", layout: str = "nchw"
) -> Trace:
    """The trace of a module's deployed form, with the number of parameters it has as given.

    Merging is tried without data first; a module that needs its values to be merged is copied with them.
    """
    try:
        shapes = batched(input_shape, batch_size)
        deployed = run_traced(fuse(meta_twin(module)), shapes, precision, layout=layout)
    except Exception:  # whatever it is, trace() finds it again and says it in one line
        deployed = trace(_merged(module), input_shape, batch_size, precision, layout)
    return replace(deployed, params=parameter_count(module))


def trace_element(
    element: Layer | Graph,
    signature: Signature,
    blocks: Mapping[str, Block],
    classes: int,
    profiles: Sequence[Profile],
) -> list[Trace]:
    """The traces of a layer or cell in its deployed form, built without data, one for each profile.

    Raises BlockError where it breaks the contract of its block, CostError where it cannot run.
    """
    try:
        return _traced_once(element, signature, blocks, classes, profiles)
    except Exception:  # whatever it is, building it with all checks finds it again and says it in one line
        return _traced_with_checks(element, signature, blocks, classes, profiles)


def _traced_once(
    element: Layer | Graph,
    signature: Signature,
    blocks: Mapping[str, Block],
    classes: int,
    profiles: Sequence[Profile],
) -> list[Trace]:
    """The traces, from one run for each profile, that also shows whether the output is as declared."""
    with torch.device("meta"), WithoutValues(), unchecked():
        module = build_element(element, signature, blocks, classes)
    params = parameter_count(module)
    deployed = fuse(module, in_place=True)
    outputs: list[torch.Tensor] = []
    deployed.register_forward_hook(lambda part, given, output: outputs.append(output))
    found = [_run(deployed, signature, profile) for profile in profiles]
    declared = output_signature(Network(signature, (element,), classes), blocks).shape
    for profile, output in zip(profiles, outputs, strict=True):
        if output.shape != (profile.batch_size, *declared):
            raise CostError(f"an output of shape {tuple(output.shape)} where {declared} is declared")
    lower = [AUTOCAST.get(profile.precision) for profile in profiles]
    return [
        replace(
            one,
            params=params,
            is_lower=output.dtype == dtype,
            is_innermost=has_channels_innermost(output),
        )
        for one, output, dtype in zip(found, outputs, lower, strict=True)
    ]


def _run(deployed: nn.Module, signature: Signature, profile: Profile) -> Trace:
    dtype = AUTOCAST[profile.precision] if profile.border.is_lower else torch.float32
    return run_traced(
        deployed,
        [(profile.batch_size, *signature.shape)],
        profile.precision,
        dtype=dtype,
        layout=profile.layout,
        innermost=profile.border.is_innermost,
    )


def _traced_with_checks(
    element: Layer | Graph,
    signature: Signature,
    blocks: Mapping[str, Block],
    classes: int,
    profiles: Sequence[Profile],
) -> list[Trace]:
    with torch.device("meta"), ShapesOnly():  # type: ignore[no-untyped-call]
        module = build_element(element, signature, blocks, classes)
    params = parameter_count(module)
    deployed = fuse(module, in_place=True)
    found = [trace(deployed, signature.shape, one.batch_size, one.precision) for one in profiles]
    return [replace(one, params=params) for one in found]


def _merged(module: nn.Module) -> nn.Module:
    try:
        return fuse(module)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise CostError(
            f"{type(module).__name__} cannot be brought to its deployed form: {reason}"
        ) from error
