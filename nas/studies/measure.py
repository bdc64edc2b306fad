"""Measures networks on this machine in their deployed form, beside what is predicted for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nas.costs.cost import Cost
from nas.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from nas.costs.measuring import Measurement
    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.spaces.architecture import Architecture
    from nas.store import Store, TrialRecord

    Measuring: TypeAlias = Callable[[str, Architecture], "Comparison"]

TIER = "T4"
"""What is measured itself."""


@dataclass(frozen=True)
class Comparison:
    """What a network took on this machine, and what was predicted."""

    name: str
    predicted: Cost
    measured: Cost
    measurement: Measurement

    @property
    def is_inside(self) -> bool:
        """Whether what was measured lies in the interval that was predicted."""
        return self.predicted.low_ms <= self.measured.latency_ms <= self.predicted.high_ms


def measure_architecture(
    name: str, architecture: Architecture, target: Target, registry: Registry, model: str, seconds: float
) -> Comparison:
    """Builds an architecture in its deployed form, measures it, and prices it too."""
    from nas.blocks import build, fuse
    from nas.costs import estimate_architecture
    from nas.costs.estimation import network_of

    predicted = estimate_architecture(architecture, target, registry, model)
    network = network_of(architecture)
    module = fuse(build(network, registry.blocks).eval(), in_place=True)
    shapes = [(target.batch_size, *network.input.shape)]
    return _compared(name, module, shapes, target, predicted, seconds)


def measure_module(
    name: str,
    module: nn.Module,
    shape: tuple[int, ...],
    target: Target,
    registry: Registry,
    model: str,
    seconds: float,
) -> Comparison:
    """Measures any torch module in its deployed form for inputs of (batch size, *shape), and prices it."""
    from nas.blocks import fuse
    from nas.costs import estimate

    predicted = estimate(module, shape, target, model=model, fused=True, registry=registry)
    shapes = [(target.batch_size, *shape)]
    return _compared(name, fuse(module.eval()), shapes, target, predicted, seconds)


def measure_front(
    store: Store, study: str, target: Target, registry: Registry, model: str, seconds: float
) -> list[Comparison]:
    """Measures every network on the Pareto front of a study, and stores what it took beside the prediction.

    Each has a process of its own where the processor runs operators one by one. Raises UsageError where the
    study has no finished trial.
    """
    from nas.search.study import StudySpec
    from nas.studies.front import study_front

    front = study_front(store, StudySpec.from_json(store.study(study).spec))
    if not front:
        raise UsageError(f"study {study!r} has no finished trial yet: there is no front to measure")
    with _each_apart(target, registry, model, seconds) as measuring:
        return [_measure_trial(store, study, trial, measuring) for trial in front]


def measure_trial(
    store: Store, study: str, number: int, target: Target, registry: Registry, model: str, seconds: float
) -> Comparison:
    """Measures one network of a study, and stores what it took beside the prediction."""
    return _measure_trial(
        store,
        study,
        store.trial(study, number),
        lambda name, architecture: measure_architecture(name, architecture, target, registry, model, seconds),
    )


def _measure_trial(store: Store, study: str, trial: TrialRecord, measuring: Measuring) -> Comparison:
    found = measuring(f"{study}#{trial.number}", trial.architecture)
    store.record_costs(study, {trial.architecture.hash: [found.measured]})
    return found


@contextmanager
def _each_apart(target: Target, registry: Registry, model: str, seconds: float) -> Iterator[Measuring]:
    """What measures architectures: each as its user runs it, in a process that has run nothing else. Here,
    where such a process would not find the plugins of the registry, or a runtime would begin anew."""
    from nas.costs.measuring.devices import device_of
    from nas.costs.measuring.fresh import FreshProcesses
    from nas.costs.measuring.in_company import can_watch
    from nas.plugins import default_registry

    if registry is default_registry() and can_watch(target, device_of(target)):
        with FreshProcesses(_prepare, target) as caller:
            yield lambda name, what: caller(_measure_as_installed, name, what, target, model, seconds)
    else:
        yield lambda name, what: measure_architecture(name, what, target, registry, model, seconds)


def _prepare(target: Target) -> None:
    """Imports all plugins, and all that measuring takes."""
    from nas.costs.measuring.in_company import prepare
    from nas.plugins import default_registry

    default_registry()
    prepare(target)


def _measure_as_installed(
    name: str, architecture: Architecture, target: Target, model: str, seconds: float
) -> Comparison:
    """An architecture measured with the plugins that are installed."""
    from nas.plugins import default_registry

    return measure_architecture(name, architecture, target, default_registry(), model, seconds)


def _compared(
    name: str,
    module: nn.Module,
    shapes: Sequence[tuple[int, ...]],
    target: Target,
    predicted: Cost,
    seconds: float,
) -> Comparison:
    from nas.costs.measuring.devices import on_machine
    from nas.costs.measuring.latency import measure
    from nas.costs.measuring.reference import usual_for

    with on_machine(target) as device:
        found = measure(
            module,
            shapes,
            device,
            precision=target.precision,
            runtime=target.runtime,
            layout=target.layout,
            seconds=seconds,
            usual=usual_for(target, predicted),
        )
    return Comparison(name, predicted, measured_cost(found, target, predicted), found)


def measured_cost(found: Measurement, target: Target, facts: Cost) -> Cost:
    """A measurement as a cost of kind ``"measured"``.

    Of `facts` it takes what needs no device: parameters, MACs, bytes. Memory is 0 where the device cannot be
    asked, energy always: neither was measured.
    """
    conditions = found.conditions
    machine = f"{conditions['host']}, torch {conditions['torch']}"
    machine += "" if found.speed is None else ", at the speed of the calibration"
    return Cost(
        target=target.label,
        kind="measured",
        tier=TIER,
        model=f"median of {found.samples} runs on {machine}",
        latency_ms=found.latency_ms,
        low_ms=found.low_ms,
        high_ms=found.high_ms,
        peak_memory_bytes=found.peak_memory_bytes or 0,
        energy_mj=0.0,
        params=facts.params,
        macs=facts.macs,
        bytes_moved=facts.bytes_moved,
        activation_bytes=facts.activation_bytes,
    )
