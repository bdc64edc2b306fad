"""Measures networks of a space, each as its user runs it: in a process that has run nothing else."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

import torch

from nas.costs.measuring.conditions import pinned
from nas.costs.measuring.fresh import Caller, FreshProcesses, called_here
from nas.costs.measuring.in_company import can_watch, prepare
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.latency import measure
from nas.costs.measuring.measurement import Measurement
from nas.costs.measuring.micro import MeasuredKernel, traced_kernel
from nas.costs.measuring.reference import Usual, usual_for

if TYPE_CHECKING:
    from nas.costs.model import CostModel
    from nas.costs.target import Target

EACH_SECONDS = 0.15
"""How long a network is measured: rather many of them than each closely."""


def measure_networks(
    networks: Iterable[MicroKernel],
    target: Target,
    model: CostModel,
    device: torch.device,
    seconds: float,
    on_share: Callable[[float], None] = lambda share: None,
) -> list[MeasuredKernel]:
    """Networks measured one after the other for so many seconds, told at the usual speed of the calibrated
    target, where that has one. `on_share` is told which share of the time is over.

    Each has a process of its own where the processor runs operators one by one; where it cannot be sent
    there, and elsewhere, all run in this one.
    """
    begin = time.monotonic()
    found: list[MeasuredKernel] = []
    with ExitStack() as stack:
        caller: Caller | None = None
        for network in networks:
            share = (time.monotonic() - begin) / seconds
            if share > 1:
                break
            on_share(share)
            caller = caller or stack.enter_context(_processes(network, target, device))
            found.append(_measured(network, target, model, device, caller))
    return found


def _measured(
    network: MicroKernel, target: Target, model: CostModel, device: torch.device, caller: Caller
) -> MeasuredKernel:
    traced = traced_kernel(network, network.make(), target)
    usual = usual_for(target, model.price(traced, target))
    found = caller(_latency, network, target, device, usual, torch.get_num_threads())
    return MeasuredKernel(network.name, traced, found.latency_ms, found.spread_ms / found.latency_ms)


def _latency(
    network: MicroKernel, target: Target, device: torch.device, usual: Usual | None, threads: int
) -> Measurement:
    with pinned(threads):
        return measure(
            network.make(),
            network.shapes,
            device,
            precision=target.precision,
            runtime=target.runtime,
            layout=target.layout,
            seconds=EACH_SECONDS,
            usual=usual,
        )


def _processes(network: MicroKernel, target: Target, device: torch.device) -> AbstractContextManager[Caller]:
    """What calls a function for each network of a space, of which this is one."""
    if can_watch(target, device) and _can_be_sent(network):
        return FreshProcesses(_prepare, network, target)
    return nullcontext(called_here)


def _can_be_sent(network: MicroKernel) -> bool:
    try:
        pickle.dumps(network)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _prepare(network: MicroKernel, target: Target) -> None:
    """Imports the plugins whose blocks a network is made of, and all that measuring takes."""
    with pinned(1):  # what is forked from a process with more threads may wait for ever
        network.make()
    prepare(target)
