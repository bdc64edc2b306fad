"""Whether autocast is on while a module is traced, where there may be no device that has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.amp.autocast_mode import autocast

DEVICE = "cuda"
"""The device that stands for the one a trace is made for."""


class _State(threading.local):
    """What each region that a module enters says, the innermost last."""

    regions: tuple[bool, ...] = ()


_state = _State()
_METHODS = {name: getattr(autocast, name) for name in ("__init__", "__enter__", "__exit__")}
_QUESTIONS = {name: getattr(torch, name) for name in ("is_autocast_enabled", "get_autocast_dtype")}
"""What modules ask torch, by the device of their input."""


def is_autocast_on() -> bool:
    """Whether the innermost region has autocast on. Torch itself says no to whoever watches operators."""
    return bool(_state.regions) and _state.regions[-1]


@contextmanager
def autocast_state(enabled: bool) -> Iterator[None]:
    """A region with autocast on or off, in which modules may switch it and ask for it.

    Also for the meta device, which torch refuses: a module asks for it that names the device of its input.
    """
    before, regions = torch.is_autocast_enabled(DEVICE), _state.regions
    torch.set_autocast_enabled(DEVICE, enabled)
    _state.regions = (enabled,)
    for name, method in (("__init__", _init), ("__enter__", _enter), ("__exit__", _exit)):
        setattr(autocast, name, method)
    for name, question in _QUESTIONS.items():
        setattr(torch, name, partial(_answer, question))
    try:
        yield
    finally:
        for holder, replaced in ((autocast, _METHODS), (torch, _QUESTIONS)):
            for name, function in replaced.items():
                setattr(holder, name, function)
        _state.regions = regions
        torch.set_autocast_enabled(DEVICE, before)


def _init(self: autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
    is_meta = device_type == "meta"
    _METHODS["__init__"](self, DEVICE if is_meta else device_type, *args, **kwargs)
    if is_meta or device_type == DEVICE:  # without such a device torch takes it for a mistake
        self._enabled = bool(args[1] if len(args) > 1 else kwargs.get("enabled", True))


def _answer(question: Callable[..., Any], *args: str, **kwargs: str) -> Any:
    """What torch answers for the device that the meta device stands for."""
    named = {name: DEVICE if device == "meta" else device for name, device in kwargs.items()}
    return question(*(DEVICE if device == "meta" else device for device in args), **named)


def _enter(self: autocast) -> Any:
    if self.device == DEVICE:
        _state.regions = (*_state.regions, self._enabled)
    return _METHODS["__enter__"](self)


def _exit(self: autocast, *error: Any) -> Any:
    if self.device == DEVICE:
        _state.regions = _state.regions[:-1]
    return _METHODS["__exit__"](self, *error)
