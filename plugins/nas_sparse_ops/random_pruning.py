"""Random pruning at initialisation: masks drawn once and never changed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.spaces.signature import Signature
from nas_sparse_ops.density import layer_counts

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""The layers whose weights are pruned."""


class RandomlyPruned(nn.Module):
    """A module whose convolutions and linear layers work with randomly pruned weights.

    The masks are buffers, drawn at construction from a generator of their own; training moves only what they
    keep. The deployed form has the zeros in its dense weights: it is priced, and counted, as dense.
    """

    def __init__(self, body: nn.Module, density: float, rule: str = "erk", seed: int = 0) -> None:
        super().__init__()
        self.body = body
        self.pruned = _weights(body)
        if self.pruned:
            weights = [body.get_parameter(name) for name in self.pruned]
            for index, mask in enumerate(_masks(weights, density, rule, seed)):
                self.register_buffer(f"mask_{index}", mask)

    def masks(self) -> dict[str, Tensor]:
        """The mask of each pruned weight of the body, by its name."""
        return {name: getattr(self, f"mask_{index}") for index, name in enumerate(self.pruned)}

    def forward(self, x: Tensor) -> Tensor:
        """The body with its weights masked."""
        masked = {name: self.body.get_parameter(name) * mask for name, mask in self.masks().items()}
        y: Tensor = functional_call(self.body, masked, (x,))
        return y

    def fused(self) -> nn.Module:
        """The body with the zeros written into its weights."""
        body = copy.deepcopy(self.body)
        with torch.no_grad():
            for name, mask in self.masks().items():
                body.get_parameter(name).mul_(mask)
        return nn.Sequential(body)


class RandomlyPrunedBlock(RandomlyPruned):
    """Any block with its weights pruned at random before training: the baseline that a learnt pruning has to
    beat (arXiv:2202.02643).

    (N, C, H, W) to what the `body` makes of it. The masks are the same in every build.

    - `body`: a block of the role block, whose convolutions and linear layers are pruned.
    - `density`: share of their weights that is kept, exact to one weight over the block.
    - `rule`: how the density is shared out among the layers of the block: "erk" and "er" give small layers
      more, "uniform" the same to all, "uniform_plus" keeps the first dense and a fifth of the last.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        body: Callable[..., nn.Module],
        width: int | None = None,
        stride: int = 1,
        density: float = 0.5,
        rule: str = "erk",
    ) -> None:
        super().__init__(body(signature, width=width, stride=stride), density, rule)


def prune_randomly(module: nn.Module, density: float, rule: str = "erk", seed: int = 0) -> RandomlyPruned:
    """The module with a random share of its weights pruned for good; it is wrapped, not copied.

    `density` of all weights of convolutions and linear layers is kept, exact to one weight; `rule` is one of
    `nas_sparse_ops.density.RULES`.

    >>> prune_randomly(nn.Linear(8, 4), 0.25, "uniform")(torch.zeros(1, 8)).shape
    torch.Size([1, 4])
    """
    return RandomlyPruned(module, density, rule, seed)


def _weights(module: nn.Module) -> list[str]:
    """The names of the weights to prune, shared ones once."""
    named = {name: part for name, part in module.named_modules() if isinstance(part, LAYERS)}
    found = {id(part.weight): f"{name}.weight".lstrip(".") for name, part in reversed(named.items())}
    return list(found.values())[::-1]


def _masks(weights: list[nn.Parameter], density: float, rule: str, seed: int) -> list[Tensor]:
    """A mask for each weight, from a generator that starts at `seed`."""
    counts = layer_counts([weight.shape for weight in weights], density, rule)
    generator = torch.Generator().manual_seed(seed)
    masks = []
    for weight, count in zip(weights, counts, strict=True):
        kept = torch.randperm(weight.numel(), generator=generator, device="cpu")[:count]
        mask = torch.zeros(weight.numel(), dtype=torch.bool, device="cpu")
        mask[kept] = True
        masks.append(mask.reshape(weight.shape).to(weight.device))
    return masks
