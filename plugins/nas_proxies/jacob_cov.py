"""Jacobian covariance: whether a network answers different inputs in different ways."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.training.proxy import ProxyBatch

OFFSET = 1e-5


def jacob_cov(module: nn.Module, batch: ProxyBatch) -> float:
    """``-sum(log(v + k) + 1 / (v + k))`` over the eigenvalues v of the correlation (arXiv:2006.04647v1).

    Correlated are, between samples, the gradients of the summed scores by the inputs; k is 1e-5. An input
    whose gradient is constant counts as one direction lost.
    """
    inputs = batch.inputs.clone().requires_grad_()
    scores = module(inputs).sum()
    (gradients,) = torch.autograd.grad(scores, inputs, allow_unused=True, materialize_grads=True)
    eigenvalues = torch.linalg.eigvalsh(correlation(gradients.flatten(1).double())).clamp(min=0) + OFFSET
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


def correlation(rows: Tensor) -> Tensor:
    """Pearson's correlation (N, N) between the rows of (N, D); 0 with a row that is constant."""
    deviations = rows - rows.mean(1, keepdim=True)
    norms = deviations.norm(dim=1, keepdim=True)
    unit = torch.where(norms > 0, deviations / norms.clamp(min=torch.finfo(rows.dtype).tiny), 0.0)
    return unit @ unit.T
