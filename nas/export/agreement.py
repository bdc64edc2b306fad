"""Whether what was written computes what torch computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas.errors import ExportError

BATCHES = (1, 3)
"""Batch sizes a file is checked with; a file for a fixed batch is checked with the first alone."""


def check_inputs(example: Tensor, batches: tuple[int, ...] = BATCHES) -> list[Tensor]:
    """Random inputs of the shape of `example` (1, ...), one for each batch size, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn((n, *example.shape[1:]), generator=generator, dtype=example.dtype) for n in batches]


def scores(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """What the module gives for each input; ExportError where it gives no finite tensor."""
    with torch.inference_mode():
        found = [module(x) for x in inputs]
    if not all(isinstance(y, Tensor) for y in found):
        raise ExportError("the network gives no single tensor, which the export formats cannot hold")
    if not all(bool(torch.isfinite(y).all()) for y in found):
        raise ExportError("the network gives NaN or infinity: its weights are of no use")
    return found


def largest_difference(expected: list[Tensor], found: list[Tensor]) -> float:
    """The largest absolute difference; infinite where shapes differ or a value is NaN."""
    if [y.shape for y in expected] != [y.shape for y in found]:
        return float("inf")
    differences = [float((a.double() - b.double()).abs().max()) for a, b in zip(expected, found, strict=True)]
    return max(differences) if all(d == d for d in differences) else float("inf")


def check_agreement(
    what: str,
    module: nn.Module,
    inputs: list[Tensor],
    run: Callable[[list[Tensor]], list[Tensor]],
    tolerance: float,
) -> float:
    """The largest difference between torch and what `run` gives; ExportError where it exceeds `tolerance`.

    The tolerance is absolute for scores up to 1 and relative to the largest score above.
    """
    expected = scores(module, inputs)
    scale = max(1.0, *(float(y.abs().max()) for y in expected))
    difference = largest_difference(expected, run(inputs))
    if not difference <= tolerance * scale:
        raise ExportError(
            f"{what} does not agree with torch: the largest difference is {difference:.2g}, allowed is "
            f"{tolerance * scale:.2g}. Nothing was written; please report it with the network's architecture."
        )
    return difference


@contextmanager
def export_errors(what: str) -> Iterator[None]:
    """Turns whatever a converter raises into an ExportError of one line."""
    try:
        yield
    except (ExportError, OSError, KeyboardInterrupt, MemoryError):
        raise
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise ExportError(
            f"the network cannot be written as {what}: {type(error).__name__}: {reason[:300]}"
        ) from error
