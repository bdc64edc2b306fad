"""The device of this machine that a target stands for, ready to be measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nas.costs.measuring.conditions import exclusive, pinned
from nas.costs.measuring.latency import RUNTIMES
from nas.costs.target import Target
from nas.costs.this import machine_of
from nas.errors import UsageError


def device_of(target: Target) -> torch.device:
    """The torch device of a target; UsageError where it is not this machine, or has no runtime to measure."""
    machine = machine_of(target)
    if target.runtime not in RUNTIMES:
        raise UsageError(
            f"target {target.name!r}: runtime {target.runtime} cannot be measured here; "
            f"give --runtime {' or '.join(RUNTIMES)}"
        )
    return torch.device(machine.kind)


@contextmanager
def on_machine(target: Target) -> Iterator[torch.device]:
    """The device for this process alone, with as many threads as the target has."""
    device = device_of(target)
    units = target.figures.get("units")
    with exclusive(device), pinned(int(units.value) if units and device.type == "cpu" else None):
        yield device
