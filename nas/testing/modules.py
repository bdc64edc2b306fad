"""Modules to test with: built, moved away from their initial values, fed with fixed inputs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from nas.blocks import Block, build_element
from nas.testing.cases import Case

CLASSES = 5
BATCH = 4

T = TypeVar("T")


def built(case: Case, blocks: Mapping[str, Block], *, seed: int = 0) -> nn.Module:
    """The module of a case in float64, its initial values drawn from `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_element(case.layer, case.signature, blocks, classes=CLASSES).double()


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with everything that training would have moved, moved: weights, gains, scales, statistics.

    Norms and layer scales start where a wrong merge cannot be seen; here they do not.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(tensor: Tensor) -> Tensor:
        return torch.rand(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.dtype)

    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                parameter.add_(0.5 * (noise(parameter) - 0.4))
        for part in module.modules():
            for name, buffer in part.named_buffers(recurse=False):
                if name == "running_mean":
                    buffer.copy_(noise(buffer) - 0.4)
                elif name == "running_var":
                    buffer.copy_(noise(buffer) + 0.5)
    return module


def sample_input(case: Case, batch: int = BATCH, seed: int = 1) -> Tensor:
    """A batch of normal numbers of the shape of the case, in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((batch, *case.signature.shape), generator=generator, dtype=torch.float64)


@contextmanager
def told(item: object) -> Iterator[None]:
    """Adds to a failure what it was found on."""
    try:
        yield
    except Exception as error:
        error.add_note(f"found on: {item}")
        raise


def random_states() -> Sequence[Any]:
    """The global random states of torch, numpy and Python, in a form that can be compared."""
    kind, keys, *rest = np.random.get_state()
    return [torch.random.get_rng_state().tolist(), (kind, list(keys), *rest), random.getstate()]


@contextmanager
def no_random_numbers(what: str) -> Iterator[None]:
    """Fails where something inside draws from a global random state."""
    before = random_states()
    yield
    names = ("torch", "numpy", "random")
    drawn = [name for name, old, new in zip(names, before, random_states(), strict=True) if old != new]
    assert not drawn, f"{what} draws from the global random state of {' and '.join(drawn)}"


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, so that what runs beside this does not wait for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def without_grad(module: nn.Module, x: Tensor) -> Tensor:
    """What a module gives, as a plain tensor."""
    with torch.no_grad():
        y: Tensor = module(x)
    return y


def close(found: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Fails where two tensors differ by more than `tolerance`, relative to the largest value above 1."""
    assert found.shape == expected.shape, f"{what}: shape {tuple(found.shape)}, not {tuple(expected.shape)}"
    if not found.numel():
        return
    scale = max(1.0, float(expected.abs().max()))
    difference = float((found.double() - expected.double()).abs().max())
    assert difference <= tolerance * scale, (
        f"{what}: they differ by {difference:.3g} at values up to {scale:.3g}"
    )


def first(items: Sequence[T], count: int, key: Callable[[T], object]) -> list[T]:
    """The first `count` items with different keys."""
    return list({key(item): item for item in reversed(items)}.values())[::-1][:count]
