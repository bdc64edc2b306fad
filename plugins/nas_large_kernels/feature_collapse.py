"""How alike the channels of a map are: the measure behind global response normalisation."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas_base.metanext import MetaNext


def channel_distance(maps: Tensor) -> Tensor:
    """Mean cosine distance of all pairs of channels of each map (arXiv:2301.00808); (N, C, H, W) to (N,).

    The distance of two channels is (1 - cos) / 2: 0 where one is a multiple of the other, 0.5 where they have
    nothing in common, 1 where they are opposite. Every pair counts, also that of a channel with itself, so
    that C channels with nothing in common have 0.5 (1 - 1 / C). The cosine of a channel that is 0 everywhere
    is 0. A low mean says that features have collapsed.

    >>> import torch
    >>> channel_distance(torch.eye(4).reshape(1, 4, 2, 2))
    tensor([0.3750])
    """
    directions = F.normalize(maps.flatten(2), dim=2, eps=1e-30)
    cosines = directions.mean(1).square().sum(1)  # of all pairs at once: mean_ij u_i u_j = |mean_i u_i|^2
    return (1 - cosines) / 2


def channel_distances(
    network: nn.Module, images: Tensor, parts: type[nn.Module] = MetaNext
) -> dict[str, float]:
    """The mean `channel_distance` behind every submodule of type `parts`, in eval, by its path.

    The network is left as it was. Paths are in the order in which the submodules run.
    """
    found: dict[str, float] = {}

    def keeping(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
            found[name] = float(channel_distance(output).mean())

        return keep

    measured = copy.deepcopy(network).eval()
    for name, module in measured.named_modules():
        if isinstance(module, parts):
            module.register_forward_hook(keeping(name))
    with torch.no_grad():
        measured(images)
    return found
