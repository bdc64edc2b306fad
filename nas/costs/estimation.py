"""What a module or an architecture takes on a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.costs.cost import DEFAULT_MODEL, Cost
from nas.costs.operators import join_traces
from nas.costs.resolve import resolve_target
from nas.costs.trace_keys import Profile, border_behind, first_border, traced_layout
from nas.errors import CostError

if TYPE_CHECKING:
    from torch import nn

    from nas.costs.operators import Trace
    from nas.costs.target import Target
    from nas.costs.trace import Shapes
    from nas.costs.tracing import TraceCache
    from nas.plugins import Registry
    from nas.spaces.architecture import Architecture, Graph, Layer, Network


def estimate(
    module: nn.Module,
    input_shape: Shapes,
    target: str | Path | Target = "a100",
    *,
    batch_size: int | None = None,
    precision: str | None = None,
    runtime: str | None = None,
    layout: str | None = None,
    model: str = DEFAULT_MODEL,
    fused: bool | None = None,
    registry: Registry | None = None,
) -> Cost:
    """What any torch module takes on a target, for inputs of (batch size, *input_shape).

    `target` is a name, an alias, a target file or a Target; what is not None replaces that part of its
    profile. With `fused` the deployed form is priced: norms folded, re-parameterised blocks merged; `params`
    stay those of the module as given. By default it is, but in eager mode, which runs a module as it is. The
    module is not changed and may live on any device. Raises CostError where it cannot run.

    >>> import torch
    >>> estimate(torch.nn.Linear(8, 4), (8,), target="a100").macs
    32
    """
    registry = or_default(registry)
    resolved = resolve_target(
        target, registry, precision=precision, batch_size=batch_size, runtime=runtime, layout=layout
    )
    found = trace_module(module, input_shape, resolved, fused)
    return registry.cost_models[model].price(found, resolved, registry.cost_models.provider(model))


def trace_module(module: nn.Module, input_shape: Shapes, target: Target, fused: bool | None = None) -> Trace:
    """The trace of a module as a target runs it; `fused` as in `estimate`."""
    from nas.costs.deployed import trace_deployed
    from nas.costs.trace import trace

    find = trace_deployed if fused or (fused is None and target.runtime != "eager") else trace
    return find(module, input_shape, target.batch_size, target.precision, traced_layout(target))


def estimate_architecture(
    architecture: Architecture,
    target: str | Path | Target,
    registry: Registry | None = None,
    model: str = DEFAULT_MODEL,
    cache: TraceCache | None = None,
) -> Cost:
    """What an architecture takes on a target at its deployment input, with every operator.

    Layers are traced one by one in their deployed form and put together, as the cost table does it; operators
    carry the path of their module in the built network. What `cache` holds is not traced again.
    """
    registry = or_default(registry)
    resolved = resolve_target(target, registry)
    found = trace_network(network_of(architecture), resolved, registry, cache)
    return registry.cost_models[model].price(found, resolved, registry.cost_models.provider(model))


def trace_network(
    network: Network, target: Target, registry: Registry, cache: TraceCache | None = None
) -> Trace:
    """The deployed form of a network, layer by layer; layers that are alike are traced once."""
    from nas.costs.tracing import Tracing
    from nas.spaces import element_signatures

    pairs = element_signatures(network, registry.blocks)
    keys = [(element, signature, network.classes) for element, signature in pairs]
    distinct = list(dict.fromkeys(keys))
    profiles = Profile.of(target)
    tracing = Tracing(registry, list(profiles.values()), cache)
    traces = dict(zip(distinct, tracing.traces(distinct), strict=True))
    border, held = first_border(target), 0
    parts: list[tuple[str, Trace]] = []
    for index, key in enumerate(keys):
        found = dict(zip(profiles, traces[key], strict=True))[border]
        parts.append((f"layers.{index}_{_name(key[0])}", found.holding(held)))
        border = border_behind(found, target).traced
        if target.runtime == "eager" and found.output != -1:
            held = held or found.input_bytes
    if not parts:
        raise CostError("the architecture's network has no layers to price")
    return join_traces(parts)


def _name(element: Layer | Graph) -> str:
    """What a layer is called in the built network (`nas.blocks.Model`)."""
    from nas.spaces.architecture import Layer

    name = element.block.use.rpartition("/")[2] if isinstance(element, Layer) else "cell"
    return name.replace(".", "_")


def network_of(architecture: Architecture) -> Network:
    """The network of an architecture; CostError where it is one of a flat space, which has none."""
    if architecture.network is None:
        raise CostError("an architecture of a flat space has no network to price")
    return architecture.network


def or_default(registry: Registry | None) -> Registry:
    """The registry itself, or that of all installed plugins."""
    if registry is not None:
        return registry
    from nas.plugins import default_registry

    return default_registry()
