"""How a candidate is trained: every choice of the training, in one file.

First the recipe itself and its checks; below it what the choices mean: data in batches, augmentation,
optimizer, learning rate, the average of the weights, one epoch, and the evaluation. All random numbers come
from generators that the caller seeds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.errors import UnknownNameError, UsageError

OPTIMIZERS = ("sgd", "adamw")
IMAGE_AXES = 4


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    `optimizer` is ``sgd`` (with Nesterov `momentum`) or ``adamw``; `learning_rate` is the peak of a linear
    warm-up over the share `warmup` of all steps, followed by a half cosine to 0; `weight_decay` spares norms
    and biases; `clip_norm` bounds the norm of the gradient (0: off); `average_decay` is the decay per step of
    the moving average of the weights, which is then what is evaluated and kept (0: off); `shift` is the
    largest shift of a training picture as a share of its side; `flip` mirrors pictures where the data allows
    it; `mixed_precision` (bfloat16) applies on CUDA only; `threads` is the number of CPU threads, part of the
    recipe because the order of a sum depends on it.
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
    shift: float = 0.125
    flip: bool = True
    mixed_precision: bool = True
    threads: int = 1

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UnknownNameError("optimizer", self.optimizer, OPTIMIZERS)
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:  # refuses NaN too
                raise UsageError(f"recipe: {name} must lie between {low:g} and {high:g}, not {value!r}")


BOUNDS: Mapping[str, tuple[float, float]] = {
    "learning_rate": (1e-8, 100.0),
    "momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 10.0),
    "batch_size": (1, 1_000_000),
    "warmup": (0.0, 1.0),
    "label_smoothing": (0.0, 0.99),
    "clip_norm": (0.0, 1e6),
    "average_decay": (0.0, 0.99999),
    "shift": (0.0, 0.5),
    "threads": (1, 1024),
}


def recipe_from(overrides: Mapping[str, Any]) -> Recipe:
    """The default recipe with some values replaced.

    Raises UnknownNameError for a value no recipe has, UsageError for one of another type or out of bounds.

    >>> recipe_from({"learning_rate": 0.1}).learning_rate
    0.1
    """
    values = asdict(Recipe())
    for name, value in overrides.items():
        if name not in values:
            raise UnknownNameError("recipe value", name, values)
        values[name] = _converted(name, value, type(values[name]))
    return Recipe(**values)


def _converted(name: str, value: Any, kind: type) -> Any:
    """The value as the type of its default; only a whole number may stand for a number."""
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"recipe: {name} must be {_KINDS[kind]}, not {value!r}")
    return value


_KINDS: Mapping[type, str] = {float: "a number", int: "a whole number", bool: "true or false", str: "a name"}


# --- data ---


@dataclass(frozen=True)
class Part:
    """One part of a data set, whole on the device: images (N, C, H, W) or others as stored, labels (N,)."""

    inputs: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def batch(self, inputs: Tensor) -> Tensor:
        """Inputs as the network takes them: float32, normalised; images channels last."""
        scale = 255.0 if inputs.dtype == torch.uint8 else 1.0
        normalised = (inputs.float() / scale - self.mean) / self.std
        if normalised.ndim != IMAGE_AXES:
            return normalised.contiguous()
        return normalised.contiguous(memory_format=torch.channels_last)


def batches(count: int, recipe: Recipe, generator: torch.Generator) -> Iterator[Tensor]:
    """The indices of one epoch in random order; a last batch of one sample joins the one before.

    Batch norm cannot learn from one sample.
    """
    order = torch.randperm(count, generator=generator)
    pieces = [order[start : start + recipe.batch_size] for start in range(0, count, recipe.batch_size)]
    if len(pieces) > 1 and len(pieces[-1]) == 1 < recipe.batch_size:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    yield from pieces


def steps_per_epoch(count: int, recipe: Recipe) -> int:
    """How many batches `batches` yields."""
    whole, rest = divmod(count, recipe.batch_size)
    return max(1, whole + (rest > 1 or (rest == 1 and recipe.batch_size == 1)))


def augment(inputs: Tensor, recipe: Recipe, flip: bool, generator: torch.Generator) -> Tensor:
    """A batch (N, C, H, W) with each picture shifted, edges reflected, and half of them mirrored.

    What is no picture stays as it is.
    """
    if inputs.ndim != IMAGE_AXES:
        return inputs
    count, _, height, width = inputs.shape
    if recipe.flip and flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        inputs = torch.where(mirrored.to(inputs.device)[:, None, None, None], inputs.flip(-1), inputs)
    rows = _shifted(count, height, recipe.shift, generator).to(inputs.device)
    columns = _shifted(count, width, recipe.shift, generator).to(inputs.device)
    samples = torch.arange(count, device=inputs.device)[:, None, None]
    return inputs.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _shifted(count: int, extent: int, share: float, generator: torch.Generator) -> Tensor:
    """For each picture (count, extent) where its rows or columns come from, reflected at the borders."""
    most = min(round(share * extent), extent - 1)
    offsets = torch.randint(-most, most + 1, (count, 1), generator=generator)
    sources = (torch.arange(extent) + offsets).abs()
    return extent - 1 - (extent - 1 - sources).abs()


# --- optimisation ---


def make_optimizer(recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over two groups: matrices and kernels with weight decay, norms and biases without."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of one step (counted from 0): linear warm-up, then a half cosine towards 0."""
    warm = round(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


class WeightAverage:
    """The exponential moving average of a module's weights and statistics, as a module of its own.

    Its memory is short at the beginning and grows to `decay`, so that the initial weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module)
        self._decay = decay
        pairs = list(zip(self.module.state_dict().values(), module.state_dict().values(), strict=True))
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average towards the module as it is after this step (counted from 0)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for mean, value in self._averaged:
            mean.lerp_(value, 1 - decay)
        for mean, value in self._copied:
            mean.copy_(value)


@dataclass
class Learner:
    """What is trained: the module, its optimizer, and the average of its weights where the recipe has one."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None

    @classmethod
    def of(cls, module: nn.Module, recipe: Recipe) -> Learner:
        """A learner at its beginning."""
        average = WeightAverage(module, recipe.average_decay) if recipe.average_decay else None
        return cls(module, make_optimizer(recipe, module), average)

    @property
    def evaluated(self) -> nn.Module:
        """The module whose accuracy counts and whose weights are kept."""
        return self.module if self.average is None else self.average.module

    def begin_epoch(self, progress: float) -> None:
        """Calls ``on_epoch(progress)`` on every module that has it; `progress` rises from 0 to 1."""
        for root in {id(m): m for m in (self.module, self.evaluated)}.values():
            announce_epoch(root, progress)


def announce_epoch(module: nn.Module, progress: float) -> None:
    """Calls ``on_epoch(progress)`` on every part of a module that has it."""
    for part in module.modules():
        on_epoch: Any = getattr(part, "on_epoch", None)
        if on_epoch is not None:
            on_epoch(progress)


def train_epoch(
    learner: Learner,
    recipe: Recipe,
    part: Part,
    flip: bool,
    generator: torch.Generator,
    epoch: int,
    epochs: int,
) -> Tensor:
    """Trains one epoch (counted from 0, of `epochs`); returns the loss of each step."""
    learner.module.train()
    steps = steps_per_epoch(len(part.labels), recipe)
    losses = []
    for index, drawn in enumerate(batches(len(part.labels), recipe, generator)):
        picked = drawn.to(part.labels.device)
        inputs = part.batch(augment(part.inputs[picked], recipe, flip, generator))
        step = epoch * steps + index
        for group in learner.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, steps * epochs)
        losses.append(train_step(learner, recipe, inputs, part.labels[picked]))
        if learner.average is not None:
            learner.average.update(step)
    return torch.stack(losses)


def train_step(learner: Learner, recipe: Recipe, inputs: Tensor, labels: Tensor) -> Tensor:
    """One step of the optimizer; returns the cross-entropy, without what the blocks add."""
    with precision(recipe, inputs.device):
        outputs = learner.module(inputs)
    loss = F.cross_entropy(outputs.float(), labels, label_smoothing=recipe.label_smoothing)
    learner.optimizer.zero_grad(set_to_none=True)
    (loss + extra_loss(learner.module)).backward()
    if recipe.clip_norm:
        nn.utils.clip_grad_norm_(learner.module.parameters(), recipe.clip_norm)
    learner.optimizer.step()
    return loss.detach()


def extra_loss(module: nn.Module) -> Tensor | float:
    """The sum of ``aux_loss()`` over the modules that have one."""
    losses: list[Any] = [getattr(part, "aux_loss", None) for part in module.modules()]
    return sum((loss() for loss in losses if loss is not None), 0.0)


def precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 on CUDA, which needs no scaling of the loss; full precision elsewhere."""
    if device.type == "cuda" and recipe.mixed_precision:
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


@torch.no_grad()
def evaluate(module: nn.Module, part: Part, batch_size: int = 256) -> dict[str, float]:
    """``accuracy`` (0 to 1) and ``loss`` (mean cross-entropy) of a module, in full precision."""
    module.eval()
    pieces = (part.inputs[start : start + batch_size] for start in range(0, len(part.inputs), batch_size))
    outputs = torch.cat([module(part.batch(piece)).float() for piece in pieces])
    correct = (outputs.argmax(dim=1) == part.labels).double().mean()
    return {"accuracy": float(correct), "loss": float(F.cross_entropy(outputs, part.labels))}
