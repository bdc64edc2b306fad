"""Traces what a module executes, on the meta device: shapes without memory or arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import index
from typing import TypeAlias, cast

import torch
from torch import nn

from nas.costs.memory_order import ANY, lay_out_weights
from nas.costs.operators import Operator, Trace
from nas.costs.precision import widths_of
from nas.costs.recorder import Recorder
from nas.costs.twin import cpu_twin, has_sparse_weights, meta_twin
from nas.errors import CostError, PluginError

__all__ = ["Operator", "Trace", "run_traced", "trace"]

Shapes: TypeAlias = Sequence[int] | Sequence[Sequence[int]]
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def trace(
    module: nn.Module, input_shape: Shapes, batch_size: int = 1, precision: str = "fp32", layout: str = "nchw"
) -> Trace:
    """Every operator that `module` executes in eval mode for an input of (batch_size, *input_shape).

    `input_shape` is without the batch; a sequence of shapes stands for several inputs. Inputs are float
    tensors, or indices where the module embeds them. `precision` says how many bytes a number takes,
    `layout` how images lie in memory: ``nchw``, ``nhwc`` with the channels innermost, or ``any`` where a
    compiler chooses. The module itself is not touched: a copy without data runs on the meta device, or one
    with data on the CPU where values matter. Raises CostError where it cannot run on such an input, and
    PluginError where the rule of an operator is wrong.

    >>> trace(nn.Linear(8, 4), (8,)).macs
    32
    """
    widths_of(precision)
    shapes = batched(input_shape, batch_size)
    attempts: list[tuple[Callable[[nn.Module], nn.Module], str, torch.dtype]] = [
        (cpu_twin, "cpu", torch.float32)
    ]
    if not has_sparse_weights(module):
        attempts.insert(0, (meta_twin, "meta", torch.float32))
    if any(isinstance(part, EMBEDDINGS) for part in module.modules()):
        attempts += [(twin, device, torch.int64) for twin, device, _ in attempts]
    problems: list[tuple[bool, str]] = []
    for twin, device, dtype in attempts:
        ran = False
        try:
            with undisturbed():
                copied = twin(module)
                ran = True
                return run_traced(copied, shapes, precision, device, dtype, layout)
        except PluginError:
            raise
        except Exception as error:
            problems.append((ran, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))
    reason = next((text for ran, text in reversed(problems) if ran), problems[0][1])
    raise CostError(f"{type(module).__name__} cannot run on an input of shape {_shown(shapes)}: {reason}")


def run_traced(
    module: nn.Module,
    shapes: Sequence[tuple[int, ...]],
    precision: str = "fp32",
    device: str = "meta",
    dtype: torch.dtype = torch.float32,
    layout: str = "nchw",
    innermost: bool | None = None,
) -> Trace:
    """The trace of a module that may be used up: it runs itself, on the device where it is, in eval mode.

    `shapes` are those of its inputs, with the batch in front. `innermost` says whether its input comes with
    the channels innermost, by default as the layout has it.
    """
    place = torch.device(device)
    if any(part.training for part in module.modules()):
        module.eval()
    with undisturbed(), _weights_in(module, layout), torch.inference_mode():
        inputs = [_input(shape, dtype, place) for shape in shapes]
        if innermost or (innermost is None and layout == "nhwc"):
            inputs = [_with_channels_innermost(tensor) for tensor in inputs]
        return Recorder(module, place, shapes[0][0], precision, layout != ANY).run(inputs)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Quiet, off the fused paths that no rule could look into, and with torch's random state as it was."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _input(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """An input: noise that is the same every time, or the first index."""
    if device.type == "meta" or not dtype.is_floating_point:
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.randn(shape, dtype=dtype, device=device, generator=torch.Generator().manual_seed(0))


@contextmanager
def _weights_in(module: nn.Module, layout: str) -> Iterator[None]:
    """The weights of convolutions in the memory order of a layout."""
    if layout != "nhwc":
        yield
        return
    lay_out_weights(module, layout)
    try:
        yield
    finally:
        lay_out_weights(module, "nchw")


def _with_channels_innermost(tensor: torch.Tensor) -> torch.Tensor:
    """Images in another order; anything else as it is."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def batched(input_shape: Shapes, batch_size: int) -> list[tuple[int, ...]]:
    """The shapes of all inputs with the batch in front; CostError where they are none."""
    try:
        batch = index(batch_size)
    except TypeError:
        raise CostError(f"a batch size is an integer, not {batch_size!r:.100}") from None
    try:
        several = len(input_shape) > 0 and not hasattr(input_shape[0], "__index__")
        shapes = cast(Sequence[Sequence[int]], input_shape if several else [input_shape])
        batched = [(batch, *(index(extent) for extent in shape)) for shape in shapes]
    except (TypeError, ValueError, KeyError):
        raise CostError(
            f"an input shape is a sequence of integers without the batch, not {input_shape!r:.100}"
        ) from None
    if any(extent < 1 for shape in batched for extent in shape):
        raise CostError(
            f"input shape {tuple(input_shape)} at batch size {batch_size}: every size must be at least 1"
        )
    return batched


def _shown(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(str(shape) for shape in shapes)
