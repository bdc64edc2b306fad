"""What a module takes on a device of this machine."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from nas.costs.measuring.clocks import Clock, clock_for
from nas.costs.measuring.conditions import busy_with, conditions
from nas.costs.measuring.measurement import Measurement
from nas.costs.measuring.reference import SpeedClock, Usual
from nas.costs.measuring.timing import time_call
from nas.costs.memory_order import lay_out_weights
from nas.errors import CostError

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Precision → the type that the weights and inputs of a module are brought to; autocast leaves them alone."""
RUNTIMES = ("eager", "compiled")
"""The runtimes that can be measured."""


def measure(
    module: nn.Module,
    shapes: Sequence[tuple[int, ...]],
    device: torch.device,
    *,
    precision: str = "fp32",
    runtime: str = "eager",
    layout: str = "nchw",
    seconds: float = 2.0,
    usual: Usual | None = None,
) -> Measurement:
    """The latency of a module in eval mode for inputs of these shapes, with the batch in front.

    On a processor it is told at the `usual` speed of the machine, if that is given. The module is copied and
    stays where it is. Raises CostError where it cannot run so.
    """
    with _matrix_precision(precision), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run = ready(module, shapes, device, precision, runtime, layout)
            clock = _clock(device, usual)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            found = time_call(run, clock, seconds, single=True)
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            reason = " ".join(str(error).split())[:300]
            raise CostError(
                f"{type(module).__name__} cannot run {runtime} in {precision} on {device}: {reason}"
            ) from error
    busy = busy_with(device)
    speed = clock.speed if isinstance(clock, SpeedClock) else None
    return replace(
        found,
        latency_ms=found.latency_ms * (speed or 1.0),
        spread_ms=found.spread_ms * (speed or 1.0),
        noisy=found.noisy or busy is not None,
        speed=speed,
        peak_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        conditions={**conditions(device, clock.name), **({"busy": busy} if busy else {})},
    )


def _clock(device: torch.device, usual: Usual | None) -> Clock:
    clock = clock_for(device)
    if usual is None or device.type != "cpu":
        return clock
    watching = SpeedClock(clock, usual)
    return watching if watching.knows_machine else clock


@dataclass(frozen=True)
class Ready:
    """A module and its inputs where they are measured; calling it runs the module once."""

    module: Callable[..., Any]
    inputs: Sequence[torch.Tensor]
    autocast: str | None = None

    def __call__(self) -> Any:
        if self.autocast is None:
            return self.module(*self.inputs)
        with torch.autocast(self.autocast, torch.float16):
            return self.module(*self.inputs)


def ready(
    module: nn.Module,
    shapes: Sequence[tuple[int, ...]],
    device: torch.device,
    precision: str,
    runtime: str = "eager",
    layout: str = "nchw",
) -> Ready:
    """A copy of the module on the device, in the precision, layout and runtime, with its inputs."""
    dtype = DTYPES.get(precision, torch.float32)
    copied = copy.deepcopy(module).eval().to(device, dtype)
    if layout == "nhwc":
        lay_out_weights(copied, layout)
    placed: Callable[..., Any] = copied
    inputs = [_input(module, shape, device, dtype, layout) for shape in shapes]
    if runtime == "compiled":
        placed = _compiled(placed, inputs)
    return Ready(placed, inputs, device.type if precision == "amp-fp16" else None)


def _input(
    module: nn.Module, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype, layout: str
) -> torch.Tensor:
    """Noise; the first index where the module begins with an embedding."""
    first = next((part for part in module.modules() if not list(part.children())), None)
    if isinstance(first, nn.Embedding | nn.EmbeddingBag):
        return torch.zeros(shape, dtype=torch.int64, device=device)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    is_picture = layout == "nhwc" and noise.ndim == 4
    return noise.to(memory_format=torch.channels_last) if is_picture else noise


def _compiled(module: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> Callable[..., Any]:
    """The module compiled for its inputs, on a GPU as one graph that the host starts, as costs are predicted;
    CostError where there is no compiler that works."""
    import torch._dynamo

    torch._dynamo.reset()
    compiled: Callable[..., Any] = torch.compile(module, mode="reduce-overhead")
    try:
        compiled(*inputs)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CostError(f"torch.compile does not work here, measure --runtime eager: {reason}") from error
    return compiled


@contextmanager
def _matrix_precision(precision: str) -> Iterator[None]:
    """Matrix units of a GPU with tf32 for ``tf32`` alone, whatever torch is set to."""
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
