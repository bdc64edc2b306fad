"""What a module or an architecture takes on a target."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.costs.cost import Cost
from nas.costs.resolve import resolve_target
from nas.errors import CostError, InputError

if TYPE_CHECKING:
    from torch import nn

    from nas.blocks.block import Block
    from nas.costs.operators import Trace
    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.spaces.architecture import Architecture, Graph, Layer
    from nas.spaces.signature import Signature

DEFAULT_MODEL = "roofline"


def estimate(
    module: nn.Module,
    input_shape: Sequence[int],
    target: str | Path | Target = "a100",
    *,
    batch_size: int | None = None,
    precision: str | None = None,
    runtime: str | None = None,
    model: str = DEFAULT_MODEL,
    fused: bool = True,
    registry: Registry | None = None,
) -> Cost:
    """What any torch module takes on a target, for inputs of (batch size, *input_shape).

    `target` is a name, an alias, a target file or a Target; what is not None replaces that part of its profile.
    With `fused` the deployed form is priced: norms folded, re-parameterised blocks merged. The module is not
    changed and may have no device in common with the target. Raises CostError where it cannot run.

    >>> import torch
    >>> estimate(torch.nn.Linear(8, 4), (8,), target="a100").macs
    32
    """
    registry = _registry(registry)
    resolved = resolve_target(target, registry, precision=precision, batch_size=batch_size, runtime=runtime)
    return registry.cost_models[model].price(trace_deployed(module, input_shape, resolved.batch_size, fused=fused), resolved)


def trace_deployed(module: nn.Module, input_shape: Sequence[int], batch_size: int, *, fused: bool = True) -> Trace:
    """The trace of a module's deployed form, with the parameter count of the form that was given."""
    from nas.blocks import fuse
    from nas.costs.trace import trace

    params = sum(parameter.numel() for parameter in {id(p): p for p in module.parameters()}.values())
    deployed = module
    if fused:
        try:
            deployed = fuse(module)
        except Exception as error:
            raise CostError(f"{type(module).__name__} has no deployed form: {type(error).__name__}: {error}") from error
    return replace(trace(deployed, input_shape, batch_size, owned=fused), params=params)


def trace_element(
    element: Layer | Graph, signature: Signature, blocks: Mapping[str, Block], classes: int, batch_size: int
) -> Trace:
    """The trace of one layer or cell in its deployed form, built without data on the meta device."""
    import torch

    from nas.blocks import build_element
    from nas.blocks.shapes import ShapesOnly

    with torch.device("meta"), ShapesOnly():
        module = build_element(element, signature, blocks, classes)
    return trace_deployed(module, signature.shape, batch_size)


def estimate_architecture(
    architecture: Architecture,
    target: str | Path | Target,
    registry: Registry | None = None,
    model: str = DEFAULT_MODEL,
) -> Cost:
    """What an architecture takes on a target at its deployment input, with every operator.

    Layers are traced one by one and put together, exactly as the cost table does it; operators carry the path of
    their layer.
    """
    from nas.spaces import element_signatures

    if architecture.network is None:
        raise CostError("an architecture of a flat space has no network to price")
    registry = _registry(registry)
    resolved = resolve_target(target, registry)
    classes = architecture.network.classes
    traces = [
        _at(f"{index}", trace_element(element, signature, registry.blocks, classes, resolved.batch_size))
        for index, (element, signature) in enumerate(element_signatures(architecture.network, registry.blocks))
    ]
    return registry.cost_models[model].price(join_traces(traces), resolved)


def join_traces(traces: Sequence[Trace]) -> Trace:
    """The trace of layers that run one behind the other: sums, and the largest of the live activations."""
    return replace(
        traces[0],
        operators=tuple(operator for trace in traces for operator in trace.operators),
        params=sum(trace.params for trace in traces),
        buffer_elements=sum(trace.buffer_elements for trace in traces),
        peak_live_elements=max(trace.peak_live_elements for trace in traces),
    )


def _at(place: str, trace: Trace) -> Trace:
    """The trace with its place in the network: in module paths, in scopes, and in the ids of activations."""
    offset = (int(place) + 1) << 32

    def moved(ids: Iterable[int]) -> tuple[int, ...]:
        return tuple(i if i < 0 else i + offset for i in ids)

    operators = tuple(
        replace(
            op,
            module=f"{place}.{op.module}".rstrip("."),
            scope=place,
            inputs=moved(op.inputs),
            outputs=moved(op.outputs),
        )
        for op in trace.operators
    )
    return replace(trace, operators=operators)


def load_module(reference: str) -> nn.Module:
    """The torch module that ``package.module:callable`` returns; the current folder is looked in first.

    Raises InputError that names what could not be found, called or used.
    """
    from torch import nn

    name, _, attribute = reference.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(name), attribute)
    except ModuleNotFoundError as error:
        raise InputError(f"{reference}: there is no module {error.name!r} here or among the installed ones") from None
    except AttributeError:
        raise InputError(f"{reference}: the module {name!r} has no {attribute!r}") from None
    except Exception as error:
        raise InputError(f"{reference}: importing {name!r} raised {type(error).__name__}: {error}") from error
    if isinstance(found, nn.Module):
        return found
    try:
        made = found()
    except Exception as error:
        raise InputError(f"{reference}: calling it raised {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise InputError(f"{reference}: returned {type(made).__name__}, not a torch module")
    return made


def _registry(registry: Registry | None) -> Registry:
    if registry is not None:
        return registry
    from nas.plugins import default_registry

    return default_registry()
