"""What a sparse 1x1 convolution takes on this CPU beside the dense one, measured, and what the roofline says.

Times are of `torch` in eager mode, one thread by default, the median of many calls; they are reported as they
are, also where sparse loses.

    python benchmarks/sparse_pointwise.py [--channels 256] [--size 14] [--threads 1] [--repeats 30]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import torch
from torch import nn

from nas.blocks import Block, build_element, fuse
from nas.costs import estimate
from nas.plugins import default_registry
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.signature import Signature

TARGETS = ("cpu-avx2", "snapdragon855-cpu")
SPARSITIES = (0.0, 0.7, 0.8, 0.9, 0.95)
BLOCKS = (1, 2, 4)


def layer(block: Block, signature: Signature, sparsity: float, rows: int) -> nn.Module:
    """A 1x1 convolution of equal width with so many zeros in blocks of so many rows."""
    knobs = (("activation", "identity"), ("block", rows), ("sparsity", sparsity))
    use = BlockUse(block.name, knobs)
    return build_element(Layer(use, signature.channels, 1), signature, {block.name: block})


def measured_ms(module: nn.Module, x: torch.Tensor, repeats: int) -> float:
    """The median time of a call in milliseconds."""
    times = []
    with torch.inference_mode():
        for _ in range(5):
            module(x)
        for _ in range(repeats):
            start = time.perf_counter()
            module(x)
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("channels", 256), ("size", 14), ("threads", 1), ("repeats", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    block = default_registry().blocks["sparse_pointwise"]
    signature = Signature("image", options.channels, (options.size, options.size))
    x = torch.randn(1, *signature.shape, generator=torch.Generator().manual_seed(0))
    print(f"{signature.shape}, torch {torch.__version__}, {platform.processor() or platform.machine()}")
    print("| sparsity | block | stored | measured ms | " + " | ".join(f"{t} ms" for t in TARGETS) + " |")
    print("|---|---|---|---|" + "---|" * len(TARGETS))
    for sparsity in SPARSITIES:
        for rows in BLOCKS if sparsity else BLOCKS[:1]:
            module = layer(block, signature, sparsity, rows)
            costs = [estimate(module, signature.shape, target=target) for target in TARGETS]
            found = measured_ms(fuse(module), x, options.repeats)
            predicted = " | ".join(f"{cost.latency_ms:.3f}" for cost in costs)
            print(f"| {sparsity} | {rows} | {costs[0].macs // options.size**2} | {found:.3f} | {predicted} |")


if __name__ == "__main__":
    main()
