"""How a candidate is trained: every choice of the training loop, in one place.

The defaults are for small pictures and few epochs: AdamW with a one-cycle learning rate, label smoothing, shifts
by a pixel. `recipe_from` reads the values a user overrides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nas.errors import UnknownNameError, UsageError

OPTIMIZERS = ("adamw", "sgd")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    `optimizer` is ``adamw`` or ``sgd`` (Nesterov `momentum`); `learning_rate` is the peak of a linear warm-up over
    the share `warmup` of all steps, followed by a half cosine to 0; `weight_decay` spares norms and biases;
    `clip_norm` bounds the norm of the gradient (0: off); `average_decay` is the decay of the moving average
    of the weights that is evaluated (0: off); `shift` is the largest shift of a training picture in pixels;
    `flip` mirrors pictures where the data allows it; `mixed_precision` applies on CUDA only; `threads` is the
    number of CPU threads, fixed because a sum depends on it.
    """

    optimizer: str = "adamw"
    learning_rate: float = 0.005
    momentum: float = 0.9
    weight_decay: float = 0.05
    batch_size: int = 32
    warmup: float = 0.25
    label_smoothing: float = 0.1
    clip_norm: float = 5.0
    average_decay: float = 0.0
    shift: int = 1
    flip: bool = True
    mixed_precision: bool = True
    threads: int = 1

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UnknownNameError("optimizer", self.optimizer, OPTIMIZERS)
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise UsageError(f"recipe: {name} must lie between {low:g} and {high:g}, not {value!r}")


_BOUNDS = (
    ("learning_rate", 1e-8, 100.0),
    ("momentum", 0.0, 0.9999),
    ("weight_decay", 0.0, 10.0),
    ("batch_size", 1, 1_000_000),
    ("warmup", 0.0, 1.0),
    ("label_smoothing", 0.0, 0.99),
    ("clip_norm", 0.0, 1e6),
    ("average_decay", 0.0, 0.99999),
    ("shift", 0, 1000),
    ("threads", 1, 1024),
)


def recipe_from(overrides: Mapping[str, Any]) -> Recipe:
    """The default recipe with some values replaced; names and types are checked.

    >>> recipe_from({"learning_rate": 0.1}).learning_rate
    0.1
    """
    defaults = asdict(Recipe())
    for name, value in overrides.items():
        if name not in defaults:
            raise UnknownNameError("recipe value", name, defaults)
        defaults[name] = _converted(name, value, type(defaults[name]))
    return Recipe(**defaults)


def _converted(name: str, value: Any, kind: type) -> Any:
    """The value as the type of its default; an int may stand for a float, nothing else is converted."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"recipe: {name} must be {_KINDS[kind]}, not {value!r}")
    return value


_KINDS: Mapping[type, str] = {float: "a number", int: "a whole number", bool: "true or false", str: "a name"}


def make_optimizer(recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over two groups: matrices and kernels with weight decay, norms and biases without."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of one step (counted from 0): linear warm-up, then a half cosine towards 0."""
    warm = max(1, round(recipe.warmup * steps))
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def augment(inputs: torch.Tensor, recipe: Recipe, flip: bool, generator: torch.Generator) -> torch.Tensor:
    """A batch (N, C, H, W), each picture shifted by up to `shift` pixels (edges reflected), half of them mirrored."""
    if recipe.shift and min(inputs.shape[-2:]) > recipe.shift:
        inputs = _shift(inputs, recipe.shift, generator)
    if flip and recipe.flip:
        mirrored = torch.rand(len(inputs), generator=generator) < 0.5
        inputs = torch.where(mirrored.to(inputs.device)[:, None, None, None], inputs.flip(-1), inputs)
    return inputs


def _shift(inputs: torch.Tensor, shift: int, generator: torch.Generator) -> torch.Tensor:
    count, _, height, width = inputs.shape
    padded = F.pad(inputs, (shift, shift, shift, shift), mode="reflect")
    offsets = torch.randint(0, 2 * shift + 1, (2, count), generator=generator).to(inputs.device)
    rows = offsets[0][:, None] + torch.arange(height, device=inputs.device)
    columns = offsets[1][:, None] + torch.arange(width, device=inputs.device)
    samples = torch.arange(count, device=inputs.device)
    return padded.permute(0, 2, 3, 1)[samples[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def batches(count: int, recipe: Recipe, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """The indices of one epoch in random order, in batches; a last batch of one sample joins the one before."""
    order = torch.randperm(count, generator=generator)
    pieces = list(order.split(recipe.batch_size))
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    yield from pieces


def steps_per_epoch(count: int, recipe: Recipe) -> int:
    """How many batches `batches` yields."""
    whole, rest = divmod(count, recipe.batch_size)
    return max(1, whole + (rest > 1 or (rest == 1 and whole == 0)))


def extra_loss(module: nn.Module) -> torch.Tensor | float:
    """The sum of `aux_loss()` over the modules that have one."""
    return sum((m.aux_loss() for m in module.modules() if hasattr(m, "aux_loss")), 0.0)


def tell_epoch(module: nn.Module, progress: float) -> None:
    """Calls `on_epoch(progress)` on the modules that have it; `progress` runs from 0 to 1."""
    for part in module.modules():
        if hasattr(part, "on_epoch"):
            part.on_epoch(progress)


def field_names() -> tuple[str, ...]:
    """The names of all values of a recipe."""
    return tuple(field.name for field in fields(Recipe))
