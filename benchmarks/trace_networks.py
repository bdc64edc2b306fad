"""Traces the networks of a published benchmark, for the fit of the classes: needs timm, which `nas` does not.

Every network of ``timm_rtx3090`` in the data folder is built without weights, traced in autocast in the
layout and at the batch of its measurement, and written as arrays of `nas_hardware.work` to
data/timm_operators.npz.

    python benchmarks/trace_networks.py --data DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from cost_data import Measured, networks

from nas.costs.trace import trace
from nas.errors import CostError
from nas_hardware.work import CLASSES, COLUMNS, work_of

OPERATORS = Path(__file__).parent / "data" / "timm_operators.npz"


def main() -> None:
    """Traces all networks and writes their operators."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the measured data")
    folder = parser.parse_args().data
    measured = [network for layout in ("nchw", "nhwc") for network in networks(folder, layout)]
    found = {network.traced: _operators(network) for network in measured}
    parts = {key: part for key, part in found.items() if part is not None}
    write(parts)
    print(f"{len(parts)} of {len(found)} networks traced to {OPERATORS}")


def write(parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Writes for each network its distinct operators, of shape (n, 1 + COLUMNS), and how often each runs.

    Each operator stands once, column by column; networks name theirs by their places, in steps.
    """
    values = np.concatenate([values for values, _ in parts.values()]).astype(np.float32)
    distinct, places = np.unique(values, axis=0, return_inverse=True)
    np.savez_compressed(
        OPERATORS,
        classes=np.array(CLASSES),
        columns=np.array(COLUMNS),
        keys=np.array(list(parts)),
        ends=np.cumsum([len(count) for _, count in parts.values()]),
        distinct=np.ascontiguousarray(distinct.T),
        steps=np.diff(places.ravel(), prepend=0).astype(np.int32),
        count=np.concatenate([count for _, count in parts.values()]).astype(np.uint16),
    )


def _operators(network: Measured) -> tuple[np.ndarray, np.ndarray] | None:
    """The distinct operators of a network and their counts; None where it cannot be traced."""
    import timm

    timm.layers.set_fast_norm(True)  # the benchmark ran so: with norms in half precision the times agree
    name, size = network.key.rsplit("@", 1)
    for options in ({}, {"img_size": int(size)}):
        try:
            with torch.device("meta"):
                model = timm.create_model(name, **options).eval()
            if network.layout == "nhwc":
                model = model.to(memory_format=torch.channels_last)
            found = trace(model, (3, int(size), int(size)), network.batch, "amp-fp16", network.layout)
        except (CostError, TypeError, RuntimeError):
            continue
        work = work_of(found.operators)
        table = np.concatenate([work.classes[:, None], work.values], axis=1)
        values, count = np.unique(table, axis=0, return_counts=True)
        return values, count
    print(f"{network.key}: cannot be traced")
    return None


if __name__ == "__main__":
    main()
