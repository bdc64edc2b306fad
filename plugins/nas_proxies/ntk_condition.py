"""The condition of the pseudo neural tangent kernel: whether a network can learn all samples at one pace."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nas.errors import TrialError
from nas.training.proxy import ProxyBatch

LARGEST = 1e12
"""Condition numbers count as at most this: that of a singular kernel is only rounding."""


def ntk_condition(module: nn.Module, batch: ProxyBatch) -> float:
    """The natural log of the condition number of the pNTK (arXiv:2206.12543); lower is better.

    Batch norms divide by the statistics of the whole batch, so that each sample has a gradient of its own.
    """
    settle(module, batch.inputs)
    eigenvalues = torch.linalg.eigvalsh(pseudo_ntk(module, batch.inputs))
    largest, smallest = float(eigenvalues[-1]), float(eigenvalues[0])
    if not 0 < largest < math.inf:
        raise TrialError("the scores depend on no parameter of this network, or beyond all bounds")
    return math.log(largest / max(smallest, largest / LARGEST))


def settle(module: nn.Module, inputs: Tensor) -> None:
    """Puts a module into eval mode, its running statistics those of these inputs."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.reset_running_stats()
            part.momentum = None  # a plain average: of this one batch
    with torch.no_grad():
        module.train()(inputs)
    module.eval()


def pseudo_ntk(module: nn.Module, inputs: Tensor) -> Tensor:
    """``<grad f(x), grad f(y)>`` (N, N), float64; f sums the scores, over the root of their number."""
    gradients = torch.stack(list(_sample_gradients(module, inputs))).double()
    return gradients @ gradients.T


def _sample_gradients(module: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise TrialError("the network has no parameter")
    for sample in inputs.split(1):
        scores = module(sample)
        mean = scores.sum() / math.sqrt(scores.numel())
        found = torch.autograd.grad(mean, parameters, allow_unused=True, materialize_grads=True)
        yield torch.cat([gradient.flatten() for gradient in found])
