"""Attention to groups of like keys, whose number falls during the training (RITA, arXiv:2306.01926).

First the arithmetic: keys into groups, the attention to groups, the bound of its error, how many groups could
be merged. Below it the mixer. Tensors are (..., positions, channels of a head); every head of every sample is
grouped by itself.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.spaces.signature import Signature
from nas_group_attention.series_mixers import FullAttention

ROUNDING = 32
"""Keys whose places differ by no more than so many rounding errors are taken for equal."""


class Groups(NamedTuple):
    """Keys in groups: `members` (..., n, N) holds a 1 where a key is in a group, `counts` (..., N) the sizes.

    A group may be empty.
    """

    members: Tensor
    counts: Tensor

    def means(self, x: Tensor) -> Tensor:
        """The mean of `x` (..., n, d) over each group, (..., N, d); 0 for an empty one."""
        return (self.members.to(x.dtype).mT @ x) / self.counts.clamp_min(1).to(x.dtype).unsqueeze(-1)


def group_keys(keys: Tensor, groups: int, iterations: int = 2) -> Groups:
    """Keys (..., n, d) in at most `groups` groups by k-means, without any randomness.

    It starts from slices of equal size along the direction in which the keys vary most, cut so that equal
    keys stay together: keys with no more different values than groups are grouped exactly.
    """
    keys = keys.detach()
    found = _grouped(_slices(keys, groups), groups, keys)
    for _ in range(iterations):
        found = _grouped(_nearest(keys, found), groups, keys)
    return found


def _grouped(index: Tensor, groups: int, like: Tensor) -> Groups:
    members = (index.unsqueeze(-1) == torch.arange(groups, device=index.device)).to(like.dtype)
    return Groups(members, members.sum(-2, dtype=torch.promote_types(like.dtype, torch.float32)))


def _slices(keys: Tensor, groups: int) -> Tensor:
    """The group (..., n) of each key before the first iteration."""
    places, order = _places(keys).sort(-1)
    tolerance = ROUNDING * torch.finfo(places.dtype).eps * places.abs().amax(-1, keepdim=True)
    is_new = F.pad(places.diff(dim=-1) > tolerance, (1, 0))
    rank = is_new.long().cumsum(-1)
    values = rank[..., -1:] + 1
    slices = torch.where(values > groups, rank * groups // values, rank)
    return torch.zeros_like(slices).scatter(-1, order, slices)


def _places(keys: Tensor) -> Tensor:
    """Where each key (..., n, d) stands along one step of power iteration from a fixed direction, (..., n).

    Products are summed one by one, since autocast would round those of matrices.
    """
    keys = keys.to(torch.promote_types(keys.dtype, torch.float32))
    centred = keys - keys.mean(-2, keepdim=True)
    fixed = torch.arange(1, keys.shape[-1] + 1, device=keys.device).to(keys.dtype).cos()
    along = (centred * fixed).sum(-1, keepdim=True)
    direction = (centred * along).sum(-2, keepdim=True)
    return (centred * direction).sum(-1)


def _nearest(keys: Tensor, found: Groups) -> Tensor:
    """The group (..., n) whose mean is nearest to each key; never an empty one."""
    centres = found.means(keys)
    distances = centres.square().sum(-1).unsqueeze(-2) - 2 * keys @ centres.mT
    is_empty = (found.counts == 0).unsqueeze(-2)
    return distances.masked_fill(is_empty, math.inf).argmin(-1)


def group_attention(q: Tensor, k: Tensor, v: Tensor, found: Groups) -> Tensor:
    """softmax attention in which every key is replaced by the mean of its group.

    The weight of a group is its size times exp(q · mean / sqrt(d)), its value the mean of its values. It is
    exact where the keys of each group are equal.
    """
    sizes = found.counts.to(q.dtype).log().unsqueeze(-2)
    return F.scaled_dot_product_attention(q, found.means(k), found.means(v), attn_mask=sizes)


def error_factor(q: Tensor, k: Tensor, found: Groups) -> Tensor:
    """The factor within which every weight of the attention is right, (...): 1 where it is exact.

    exp(2 R D / sqrt(d)), with R the largest norm of a query and D the largest distance of a key from the mean
    of its group: numerator and denominator of a softmax weight are each off by exp(R D / sqrt(d)) at most. An
    output is then off by no more than (factor - 1) · the largest value.
    """
    offset = k - found.members.to(k.dtype) @ found.means(k)
    largest: Tensor = q.norm(dim=-1).amax(-1) * offset.norm(dim=-1).amax(-1)
    return torch.exp(2 * largest / math.sqrt(q.shape[-1]))


def groups_needed(q: Tensor, k: Tensor, found: Groups, eps: float) -> Tensor:
    """How many groups suffice to keep the weights within the factor `eps`, (...).

    Every second group is merged into one of the others where all of its keys are then no farther from the
    mean of that one than ln(eps) sqrt(d) / (2 R) allows, and the keys of that one are not either.
    """
    q, k = (x.detach().to(torch.promote_types(x.dtype, torch.float32)) for x in (q, k))
    limit = math.log(eps) * math.sqrt(q.shape[-1]) / (2 * q.norm(dim=-1).amax(-1).clamp_min(1e-30))
    members, is_used = found.members.to(k.dtype), found.counts > 0
    centres = found.means(k)
    distances = (k - members @ centres).norm(dim=-1, keepdim=True)
    radii = (members * distances).amax(-2)
    moving, staying = slice(0, None, 2), slice(1, None, 2)
    apart = torch.cdist(
        centres[..., moving, :], centres[..., staying, :], compute_mode="donot_use_mm_for_euclid_dist"
    )
    reach = torch.maximum(apart + radii[..., moving, None], radii[..., None, staying])
    fits = (reach <= limit[..., None, None]) & is_used[..., moving, None] & is_used[..., None, staying]
    merged: Tensor = fits.any(-1).sum(-1)
    return is_used.sum(-1) - merged


class GroupAttention(FullAttention):
    """Multi-head self-attention to groups of like keys: linear in the length (RITA, arXiv:2306.01926).

    Keeps (N, C, L). With no fewer groups than positions it is plain attention. Costs are those of the number
    of groups it starts with. Parameters: 4 C².

    - `groups`: how many groups the keys of a sample and head fall into, at the beginning of the training.
    - `head_dim`: channels of one head; it must divide C.
    - `iterations`: of k-means.
    - `eps`: the factor within which the attention weights shall stay. After each epoch but the last, as many
      groups go as can be merged under it in every sample and head; at 1 only equal keys are merged.
    - `momentum`: how much of the number of groups stays when the merging would have fewer, from 0 to 1.
    """

    group_count: Tensor
    groups_seen: Tensor

    def __init__(
        self,
        signature: Signature,
        *,
        groups: int = 32,
        head_dim: int = 16,
        iterations: int = 2,
        eps: float = 2.0,
        momentum: float = 0.5,
    ) -> None:
        super().__init__(signature, head_dim=head_dim)
        self.groups = min(groups, signature.size[0])
        self.iterations, self.eps, self.momentum = iterations, eps, momentum
        self.register_buffer("group_count", torch.tensor(self.groups))
        self.register_buffer("groups_seen", torch.tensor(0))

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention to the groups of the keys; in training it notes how many would be enough."""
        is_plain = self.groups >= k.shape[-2]
        if is_plain and not self.training:
            return super().mix(q, k, v)
        found = group_keys(k, self.groups, 0 if is_plain else self.iterations)
        if self.training:
            needed = groups_needed(q, k, found, self.eps).amax()
            self.groups_seen.copy_(torch.maximum(self.groups_seen, needed))
        return super().mix(q, k, v) if is_plain else group_attention(q, k, v, found)

    def on_epoch(self, progress: float) -> None:
        """Merges groups by what the last epoch has shown; not any more in the last epoch (`progress` 1)."""
        seen = int(self.groups_seen)
        if seen and progress < 1:
            kept = self.momentum * self.groups + (1 - self.momentum) * seen
            self.group_count.fill_(max(1, min(self.groups, math.ceil(kept))))
            self.groups_seen.zero_()
        self._read_count()

    def train(self, mode: bool = True) -> GroupAttention:
        """Training or evaluation, with the number of groups that the state holds by now."""
        self._read_count()
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._read_count()

    def _read_count(self) -> None:
        """The number of groups as an int, which the shapes depend on."""
        if not self.group_count.is_meta:
            self.groups = int(self.group_count)
