"""What `nas cost --training` shows: a training step of the network on each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nas.cli.architectures import read_architecture
from nas.cli.output import count, millijoules, milliseconds, print_table

if TYPE_CHECKING:
    from torch import nn

    from nas.costs.target import Target
    from nas.costs.training import TrainingCost
    from nas.plugins import Registry

OPTIMIZERS = ("sgd", "adam", "adamw")


def price_training(
    what: str,
    shape: tuple[int, ...],
    targets: Sequence[Target],
    store: str,
    registry: Registry,
    model: str,
    optimizer: str,
) -> list[TrainingCost]:
    """A training step on each target, of a module or of the network of an architecture."""
    from nas.costs import load_module
    from nas.costs.training import estimate_training

    if ":" in what and "#" not in what:
        module = load_module(what)
    else:
        module, shape = _built(what, store, registry)
    return [
        estimate_training(module, shape, target, optimizer=optimizer, model=model, registry=registry)
        for target in targets
    ]


def _built(what: str, store: str, registry: Registry) -> tuple[nn.Module, tuple[int, ...]]:
    """The network of an architecture without data, and the shape of its input."""
    import torch

    from nas.blocks import build
    from nas.costs.estimation import network_of

    network = network_of(read_architecture(what, store, registry))
    with torch.device("meta"):
        return build(network, registry.blocks), network.input.shape


def _step(cost: TrainingCost) -> str:
    bounds = f"{milliseconds(cost.low_ms)} to {milliseconds(cost.high_ms)}"
    return f"{milliseconds(cost.step_ms)} ({bounds}) {cost.tier}"


def training_json(costs: Sequence[TrainingCost]) -> list[dict[str, Any]]:
    """One object for each target."""
    return [asdict(cost) for cost in costs]


def print_training(costs: Sequence[TrainingCost]) -> None:
    """One row for each target."""
    rows = [
        (
            cost.target,
            _step(cost),
            f"{count(cost.peak_memory_bytes)}B",
            f"{count(cost.saved_bytes)}B",
            f"{count(cost.optimizer_bytes)}B",
            millijoules(cost.energy_mj),
        )
        for cost in costs
    ]
    columns = ("target", ">step (90 %), tier", ">peak memory", ">saved", ">optimiser", ">energy")
    print_table(columns, rows, f"One training step with {costs[0].optimizer}")
