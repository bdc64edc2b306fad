"""The batch that proxies look at: a fixed sample of a task's training part."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from nas.training.proxy import ProxyBatch
from nas.training.recipe import Part
from nas.training.task import TaskData, channel_axis

SIZE = 16
"""Samples in the batch: enough for the published proxies, and quick on one core."""


def proxy_batch(data: TaskData, size: int = SIZE, seed: int = 0) -> ProxyBatch:
    """A batch of `size` training samples (fewer where the task has fewer), chosen by `seed`.

    Inputs are normalised as in training, without augmentation; the loss is cross entropy.
    """
    count = len(data.train_labels)
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size]
    spread = [1] * data.train_inputs.ndim
    spread[channel_axis(data.input.domain)] = -1
    mean, std = (torch.tensor(values).view(spread) for values in (data.mean, data.std))
    part = Part(data.train_inputs, data.train_labels, mean, std)
    inputs = part.batch(data.train_inputs[chosen]).contiguous()
    return ProxyBatch(inputs, data.train_labels[chosen], F.cross_entropy, seed)
