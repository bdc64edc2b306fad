"""The norm of the first gradient."""

from __future__ import annotations

import math

from torch import nn

from nas.errors import TrialError
from nas.training.proxy import ProxyBatch


def grad_norm(module: nn.Module, batch: ProxyBatch) -> float:
    """The Euclidean norm of the gradient of the loss by all parameters, on one batch (arXiv:2101.08134)."""
    batch.loss(module(batch.inputs), batch.targets).backward()
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    if not gradients:
        raise TrialError("the loss depends on no parameter of this network")
    return math.sqrt(math.fsum(gradient.double().square().sum().item() for gradient in gradients))
