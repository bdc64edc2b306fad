"""Measures micro-kernels: what each takes, beside the operators it executes."""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.costs.measuring.clocks import Run, clock_for
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.latency import Ready, measure, ready
from nas.costs.measuring.timing import time_call
from nas.costs.operators import Trace
from nas.costs.target import Target
from nas.costs.trace import trace
from nas.costs.trace_keys import traced_layout

EVICTING_TIMES = 4
EVICTING_BYTES = (1 << 24, 1 << 26)
"""Before each sample on a processor so many times the bytes that the kernel moves are read, within these
limits: in a network too, the rest of it has passed through the caches since the kernel was last run."""
WEIGHTS_ALONE = 0.9
LEAST_BESIDE_WEIGHTS = 1 << 22
"""The lower limit where weights are such a share of what it moves: the layers of a perceptron are all alike,
and few of them are a network."""
CHAIN_SHARE = 0.2
"""The share of the time that chains take."""
LEAST_SECONDS = 0.02
"""A kernel is measured for at least so long."""
ROUNDS = 3
"""How often each kernel is measured."""


@dataclass(frozen=True)
class MeasuredKernel:
    """A micro-kernel, what it executes, and what it took; `spread` is a share of that."""

    name: str
    trace: Trace
    latency_ms: float
    spread: float


def measure_kernels(
    kernels: Sequence[MicroKernel],
    target: Target,
    device: torch.device,
    seconds: float,
    on_progress: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> list[MeasuredKernel]:
    """Measures kernels in turn for so many seconds; those that are left when they are over are left out.

    They are measured in ROUNDS, as many as there is time for, of which the middle figure of each kernel
    counts: a host that is busy for some seconds disturbs one of them.
    """
    share = max(LEAST_SECONDS, seconds / ROUNDS / max(1, len(kernels)))
    return in_rounds(kernels, lambda kernel: _measured(kernel, target, device, share), seconds, on_progress)


@dataclass(frozen=True)
class Together:
    """Kernels and chains measured among each other, and how much longer all of them took in the slowest round
    than in the quickest: 0.1 is a tenth."""

    kernels: Sequence[MeasuredKernel]
    chains: Sequence[MeasuredKernel]
    drift: float


def measure_all(
    kernels: Sequence[MicroKernel],
    chains: Sequence[MicroKernel],
    target: Target,
    device: torch.device,
    seconds: float,
    on_progress: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> Together:
    """Measures kernels like `measure_kernels` and chains of other names as whole networks, among each other:
    a host that slows down for a minute slows both, and what lies between them stays. Each chain is measured
    once, whatever time is left."""
    in_company = {chain.name for chain in chains}
    for_kernel = max(LEAST_SECONDS, (1 - CHAIN_SHARE) * seconds / ROUNDS / max(1, len(kernels)))
    for_chain = CHAIN_SHARE * seconds / ROUNDS / max(1, len(chains))

    def measured(one: MicroKernel) -> MeasuredKernel:
        if one.name in in_company:
            return measure_chain(one, target, device, for_chain)
        return _measured(one, target, device, for_kernel)

    rounds = _rounds(_among(kernels, chains), measured, seconds, on_progress)
    found = [_middle(each) for each in rounds]
    known = {one.name for one in found}
    found += [measured(chain) for chain in chains if chain.name not in known]
    return Together(
        [one for one in found if one.name not in in_company],
        [one for one in found if one.name in in_company],
        drift([[one.latency_ms for one in each] for each in rounds]),
    )


def drift(rounds: Sequence[Sequence[float]], number: int = ROUNDS) -> float:
    """How much longer kernels took in the slowest round than in the quickest, each against its middle one;
    0 where none was measured in so many rounds. `rounds` are the milliseconds of each kernel.

    >>> round(drift([[1.0, 1.2, 1.0], [2.0, 2.4, 2.0], [3.0, 3.6]]), 3)
    0.2
    """
    full = np.array([each for each in rounds if len(each) == number]).reshape(-1, number)
    if not len(full):
        return 0.0
    levels = np.median(full / np.median(full, axis=1, keepdims=True), axis=0)
    return float(levels.max() / levels.min() - 1)


def _among(many: Sequence[MicroKernel], few: Sequence[MicroKernel]) -> list[MicroKernel]:
    """Both in their order, the few spread evenly among the many."""
    places = [
        ((index + 0.5) / len(several), one) for several in (many, few) for index, one in enumerate(several)
    ]
    return [one for _, one in sorted(places, key=lambda place: place[0])]


def in_rounds(
    kernels: Sequence[MicroKernel],
    measured: Callable[[MicroKernel], MeasuredKernel],
    seconds: float = math.inf,
    on_progress: Callable[[int, int], None] = lambda done, all_of_them: None,
) -> list[MeasuredKernel]:
    """The kernels that were measured at least once in ROUNDS rounds or so many seconds, with the middle one
    of the figures of each."""
    return [_middle(each) for each in _rounds(kernels, measured, seconds, on_progress)]


def _rounds(
    kernels: Sequence[MicroKernel],
    measured: Callable[[MicroKernel], MeasuredKernel],
    seconds: float,
    on_progress: Callable[[int, int], None],
) -> list[list[MeasuredKernel]]:
    """What was found for each kernel in each round that there was time for."""
    end = time.monotonic() + seconds
    found: dict[int, list[MeasuredKernel]] = defaultdict(list)
    for done, index in enumerate(index for _ in range(ROUNDS) for index in range(len(kernels))):
        if time.monotonic() > end:
            break
        found[index].append(measured(kernels[index]))
        on_progress(done + 1, ROUNDS * len(kernels))
    return list(found.values())


def _middle(found: Sequence[MeasuredKernel]) -> MeasuredKernel:
    return sorted(found, key=lambda one: one.latency_ms)[(len(found) - 1) // 2]


def measure_chain(chain: MicroKernel, target: Target, device: torch.device, seconds: float) -> MeasuredKernel:
    """Measures a chain as a whole network is measured."""
    module = chain.make()
    traced = traced_kernel(chain, module, target)
    found = measure(
        module,
        chain.shapes,
        device,
        precision=target.precision,
        runtime=target.runtime,
        layout=target.layout,
        seconds=seconds,
    )
    return MeasuredKernel(chain.name, traced, found.latency_ms, found.spread_ms / found.latency_ms)


def traced_kernel(kernel: MicroKernel, module: nn.Module, target: Target) -> Trace:
    """What a kernel executes on a target; `module` is what it makes."""
    shapes, batch = [shape[1:] for shape in kernel.shapes], kernel.shapes[0][0]
    return trace(module, shapes, batch, target.precision, traced_layout(target))


def _measured(kernel: MicroKernel, target: Target, device: torch.device, seconds: float) -> MeasuredKernel:
    module = kernel.make()
    traced = traced_kernel(kernel, module, target)
    run = ready(module, kernel.shapes, device, target.precision, target.runtime, target.layout)
    if device.type == "cuda":
        found = time_call(_captured(run).replay, clock_for(device), seconds)
    else:
        call = _AsInNetwork(run, evicting_bytes(traced))
        found = time_call(call, clock_for(device), seconds, prepare=call.prepare)
    return MeasuredKernel(kernel.name, traced, found.latency_ms, found.spread_ms / found.latency_ms)


def evicting_bytes(traced: Trace) -> int:
    """What is read before each sample of a micro-kernel."""
    least, most = EVICTING_BYTES
    if traced.weight_bytes >= WEIGHTS_ALONE * traced.bytes_moved:
        least = LEAST_BESIDE_WEIGHTS
    return min(max(EVICTING_TIMES * traced.bytes_moved, least), most)


class _AsInNetwork:
    """A call as it comes in a network: behind other work, on an input that was just written, which it has not
    seen before; a processor learns by heart which way the branches of a small one go."""

    def __init__(self, run: Ready, evicting_bytes: int) -> None:
        self._run = run
        self._ballast = _ballast()[: evicting_bytes // 4]
        self._draw = random.Random(0)

    def prepare(self) -> None:
        """Leaves nothing of the last call in the nearest cache, and writes its inputs anew: where they lie,
        beside what the call will write, takes part in what it takes."""
        picture, kernel = _others()
        self._ballast.sum()
        torch.nn.functional.conv2d(picture, kernel, padding=1).sigmoid()
        self._run = replace(self._run, inputs=[self._like(one) for one in self._run.inputs])

    def _like(self, given: torch.Tensor) -> torch.Tensor:
        """Other numbers in a tensor that lies in memory as the given one; the same where there are more than
        in the ballast, which nothing learns by heart."""
        beyond = _ballast().numel() - given.numel()
        if beyond < 0:
            return given.clone()
        begin = self._draw.randint(0, beyond)
        return torch.empty_like(given).copy_(_ballast()[begin : begin + given.numel()].view(given.shape))

    def __call__(self) -> Any:
        return self._run()


@cache
def _ballast() -> torch.Tensor:
    return torch.randn(EVICTING_BYTES[1] // 4, generator=torch.Generator().manual_seed(0))


@cache
def _others() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(1, 32, 14, 14), torch.ones(32, 32, 3, 3)


def _captured(run: Run) -> torch.cuda.CUDAGraph:
    """A graph of the call: it runs the kernels alone, without their dispatch on the host."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph
