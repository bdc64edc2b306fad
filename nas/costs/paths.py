"""Which submodule of a module runs right now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def module_paths(module: nn.Module, running: list[str]) -> Iterator[None]:
    """Keeps in `running` the paths of the submodules that run, the innermost last, while `module` runs.

    One that stands in several places has its first path.
    """
    handles: list[Any] = []
    for name, part in module.named_modules():
        if not isinstance(part, torch.jit.ScriptModule):
            handles.extend(_watch(part, name, running))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _watch(part: nn.Module, name: str, running: list[str]) -> Iterable[Any]:
    def enter(*_: Any) -> None:
        running.append(name)

    def leave(*_: Any) -> None:
        running.pop()

    yield part.register_forward_pre_hook(enter, prepend=True)
    yield part.register_forward_hook(leave, always_call=True)
