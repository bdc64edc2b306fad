"""NASWOT: how many different activation patterns a batch meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nas.errors import TrialError
from nas.training.proxy import ProxyBatch

ACTIVATIONS = frozenset(
    "relu relu6 gelu silu mish hardswish hardtanh hardsigmoid leaky_relu elu celu selu _prelu_kernel "
    "rrelu_with_noise softplus sigmoid tanh log_sigmoid_forward".split()
)
SMALLEST = 1e-5
"""Eigenvalues count as at least this: two samples of one pattern make the kernel singular."""


def naswot(module: nn.Module, batch: ProxyBatch) -> float:
    """The log-determinant of the kernel of binary activation codes (arXiv:2006.04647v3).

    K[i, j] counts the units that are active (their input above 0) for both samples i and j or for neither;
    units are those of every activation, of whatever kind, module or function.
    """
    codes = Codes(len(batch.targets))
    with codes:
        module(batch.inputs)
    if not codes.units:
        raise TrialError("the network has no activation that could tell one input from another")
    return float(torch.linalg.eigvalsh(codes.kernel).clamp(min=SMALLEST).log().sum())


class Codes(TorchDispatchMode):
    """Inside, every activation adds its units to the kernel of N samples."""

    def __init__(self, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernel = torch.zeros(count, count, dtype=torch.float64)
        self.units = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Takes any call of an operator, and runs it."""
        if _name(func) in ACTIVATIONS:
            self._add(args[0])
        call: Callable[..., Any] = func
        return call(*args, **(kwargs or {}))

    def _add(self, inputs: Tensor) -> None:
        count = len(self.kernel)
        if not inputs.numel() or inputs.numel() % count:
            return  # a gate that is the same for every sample
        signs = (inputs.detach().reshape(count, -1) > 0).float().mul_(2).sub_(1)
        units = signs.shape[1]
        self.kernel += (units + (signs @ signs.T).double()) / 2
        self.units += units


def _name(func: Any) -> str:
    """The bare name of an operator: ``relu`` of ``aten::relu_``."""
    bare = str(func._schema.name).rpartition("::")[2]
    return bare[:-1] if bare.endswith("_") and not bare.endswith("__") else bare
