"""The two trivial baselines: a proxy that does not beat them is not worth its price."""

from __future__ import annotations

from torch import nn

from nas.blocks import parameter_count
from nas.costs.trace import trace
from nas.training.proxy import ProxyBatch


def params(module: nn.Module, batch: ProxyBatch) -> float:
    """The number of parameters."""
    return float(parameter_count(module))


def macs(module: nn.Module, batch: ProxyBatch) -> float:
    """Multiply-adds for one input of the batch's shape."""
    return float(trace(module, tuple(batch.inputs.shape[1:])).macs)
