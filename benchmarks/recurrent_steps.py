"""What torch takes for each step of a recurrent layer on this processor, beside its arithmetic.

    python benchmarks/recurrent_steps.py

The slope from FEW to MANY steps of layers of so few units that their arithmetic is short: the constants under
``cpu`` in ``nas_hardware/fitted/recurrent.json``. CPU seconds of one thread, medians. Needs no data.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn

FEW, MANY = 100, 300
UNITS = (8, 16)
BATCHES = (1, 8)
REPEATS = 30


def milliseconds(layer: nn.Module, inputs: torch.Tensor) -> float:
    """The middle one of many runs."""
    times = []
    for _ in range(REPEATS):
        start = time.thread_time()
        layer(inputs)
        times.append(1e3 * (time.thread_time() - start))
    return float(np.median(times))


def step_us(build: type[nn.RNNBase], units: int, batch: int) -> float:
    """What one more step takes."""
    layer = build(units, units, batch_first=True).eval()
    few, many = (milliseconds(layer, torch.randn(batch, steps, units)) for steps in (FEW, MANY))
    return 1e3 * (many - few) / (MANY - FEW)


def main() -> None:
    torch.set_num_threads(1)
    print("| layer | batch | " + " | ".join(f"{units} units, µs a step" for units in UNITS) + " |")
    print("|---|---:|" + "---:|" * len(UNITS))
    with torch.inference_mode():
        for build in (nn.GRU, nn.LSTM, nn.RNN):
            for batch in BATCHES:
                found = " | ".join(f"{step_us(build, units, batch):.2f}" for units in UNITS)
                print(f"| {build.__name__} | {batch} | {found} |")


if __name__ == "__main__":
    main()
