"""What keeps one training from any other in its process: random numbers, threads, the choice of kernels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one epoch of a trial: one of its own, so that resuming needs no stored state."""
    digest = hashlib.sha256(f"{seed}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


@contextmanager
def isolated(seed: int, threads: int, device: torch.device) -> Iterator[None]:
    """Inside, torch's own generators start at `seed` (dropout draws from them), on `threads` CPU threads.

    Behind it both are as they were. On CUDA only kernels that repeat their results are used.
    """
    before = torch.get_num_threads()
    devices = [device] if device.type == "cuda" else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=devices))
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed(seed)
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True))
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
