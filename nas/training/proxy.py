"""A zero-cost proxy: a score of a network before it is trained, as a plugin offers it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nas._lazy import resolve
from nas.errors import TrialError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class ProxyBatch:
    """What a proxy may look at beside the network: one batch of the task.

    `inputs` (N, ...) are float32, normalised, as training sees them; `targets` (N,) are their classes, int64;
    `loss(scores, targets)` is the mean loss of a batch. `seed` is for what a proxy draws itself: pass it to a
    generator.
    """

    inputs: Tensor
    targets: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    seed: int = 0


Score: TypeAlias = "Callable[[nn.Module, ProxyBatch], float]"


@dataclass(frozen=True)
class Proxy:
    """A score of an untrained network by name: what ``--proxy NAME`` may ask for.

    `score(module, batch)` (or ``"module:name"`` of it) returns one finite number. It is given a copy of the
    module, in training mode, and may change it; draws from torch's own generators start at `batch.seed` and
    leave no trace. `higher_is_better` says which end promises a good network. Without `needs_gradient` it is
    called with autograd switched off, which is faster. `source` is the paper.
    """

    name: str
    score: Score | str
    description: str = ""
    source: str = ""
    higher_is_better: bool = True
    needs_gradient: bool = True

    @property
    def sign(self) -> float:
        """Factor that turns the value into one of which more is better."""
        return 1.0 if self.higher_is_better else -1.0

    def value(self, module: nn.Module, batch: ProxyBatch) -> float:
        """The score of a module, which stays as it is; TrialError, in one line, where there is none."""
        score: Callable[[nn.Module, ProxyBatch], float]
        score = resolve(self.score) if isinstance(self.score, str) else self.score
        try:
            with _undisturbed(batch.seed, self.needs_gradient):
                found = float(score(copy.deepcopy(module).train(), batch))
        except TrialError as error:
            raise TrialError(f"proxy {self.name!r}: {error}") from None
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise TrialError(f"proxy {self.name!r}: {type(error).__name__}: {reason}") from error
        if not math.isfinite(found):
            raise TrialError(f"proxy {self.name!r}: the score is {found}, not a finite number")
        return found


@contextmanager
def _undisturbed(seed: int, needs_gradient: bool) -> Iterator[None]:
    """Inside, torch's generator starts at `seed`, and autograd is as asked; behind it all is as it was.

    On one thread: the order of a sum depends on their number, and for a small batch one is the quickest.
    """
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(needs_gradient):
        torch.default_generator.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
