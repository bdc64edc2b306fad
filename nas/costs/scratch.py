"""What torch's kernels make for themselves: copies of what does not lie in memory as they need it."""

from __future__ import annotations

import torch

from nas.costs.call import Work
from nas.costs.memory_order import IMAGE_KINDS
from nas.costs.tensors import number_bytes

IN_ORDER = frozenset({"norm", "softmax"})
"""Kinds whose kernels read their first input with the last dimension innermost, and copy any other."""


def scratch_bytes(name: str, work: Work, inputs: list[torch.Tensor], width: int | None) -> int:
    """The bytes of such a copy while an operator runs; 0 where it reads its input as it lies."""
    if not inputs or inputs[0].layout is not torch.strided or inputs[0].is_contiguous():
        return 0
    tensor = inputs[0]
    is_image = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    takes_images = work.kind in IMAGE_KINDS or "batch_norm" in name
    if (work.kind in IN_ORDER or takes_images) and not (takes_images and is_image):
        return tensor.numel() * number_bytes(tensor.dtype, width)
    return 0
