"""Peak memory against the batch sizes at which published runs ran out of memory.

    python benchmarks/costs_memory.py --data DIR

timm's benchmark halves the batch, with one step between, until a network runs: a row with fewer images than
the first try says that it fits with so many and does not with the next more. A prediction is exact where it
says both. Two numbers of `nas_hardware.memory` are fitted to these rows. Networks are traced where timm can
be imported; without it the widest operator of `op_list.csv.gz` stands for a trace, which is an approximation
and says so.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from nas.costs import Target, resolve_target

FOLDER = "timm_rtx3090"
FILES = {layout: f"benchmark-infer-amp-{layout}-pt240-cu124-rtx3090.csv" for layout in ("nchw", "nhwc")}
STEPS = (1024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
Fits = Callable[[str, int, int], bool]
"""Whether a network fits at an image size and a batch size."""


@dataclass(frozen=True)
class Bracket:
    """A network that ran with `batch` images of `size` pixels and with no more."""

    model: str
    size: int
    batch: int

    @property
    def family(self) -> str:
        """What the name of the model begins with."""
        return re.split(r"[_\d]", self.model)[0]

    @property
    def next_batch(self) -> int:
        """The batch size with which it failed."""
        return STEPS[STEPS.index(self.batch) - 1]


@dataclass(frozen=True)
class MemoryTable:
    """How many brackets a prediction puts networks into; `source` is what it was made from."""

    source: str
    layout: str
    networks: int
    exact: float
    too_high: float
    too_low: float
    families: int
    family_mean: float

    def line(self) -> str:
        """One row of a table in Markdown."""
        return (
            f"| {self.layout} | {self.source} | {self.networks} | {self.exact:.1%} | {self.too_high:.1%} "
            f"| {self.too_low:.1%} | {self.family_mean:.1%} of {self.families} |"
        )


HEADER = """\
| layout | from | networks | exact bracket | too high | too low | mean of families |
|---|---|---|---|---|---|---|"""


def peak_memory_table(data: Path, layout: str = "nchw", limit: int | None = None) -> MemoryTable:
    """The share of exact brackets on the RTX 3090; `limit` takes so many networks, spread over all."""
    found = list(brackets(data, layout))
    if limit is not None:
        found = found[:: max(1, len(found) // limit)]
    target = resolve_target("rtx3090", precision="amp-fp16", runtime="eager", layout=layout)
    timm = imported_timm()
    fits = partial(traced_fits, timm, target) if timm else listed_fits(data, target)
    return scored(found, fits, "timm traces" if timm else "op_list approximation", layout)


def scored(found: Iterable[Bracket], fits: Fits, source: str, layout: str) -> MemoryTable:
    """The table of brackets for one way to tell whether a network fits."""
    outcomes: dict[str, list[str]] = defaultdict(list)
    for one in found:
        low, high = fits(one.model, one.size, one.batch), fits(one.model, one.size, one.next_batch)
        outcomes[one.family].append("exact" if low and not high else "too low" if low else "too high")
    every = [outcome for values in outcomes.values() for outcome in values]
    shares = [values.count("exact") / len(values) for values in outcomes.values()]
    return MemoryTable(
        source=source,
        layout=layout,
        networks=len(every),
        exact=every.count("exact") / len(every),
        too_high=every.count("too high") / len(every),
        too_low=every.count("too low") / len(every),
        families=len(shares),
        family_mean=sum(shares) / len(shares),
    )


def brackets(data: Path, layout: str) -> Iterator[Bracket]:
    """The rows of a file that ran out of memory at the first try."""
    with (data / FOLDER / FILES[layout]).open(newline="") as file:
        for row in csv.DictReader(file):
            if int(row["infer_batch_size"]) < STEPS[0]:
                yield Bracket(row["model"], int(row["infer_img_size"]), int(row["infer_batch_size"]))


def imported_timm() -> Any:
    """timm, or None where it is not installed."""
    try:
        import timm
    except ImportError:
        return None
    return timm


def traced_fits(timm: Any, target: Target, model: str, size: int, batch: int) -> bool:
    """Whether a network of timm fits, by its trace."""
    from nas.costs.trace import run_traced
    from nas_hardware.limits import fits

    shape = (batch, 3, size, size)
    network = _network(timm, model, target.layout)
    found = run_traced(network, [shape], target.precision, layout=target.layout)
    return fits(found, replace(target, batch_size=batch))


@cache
def _network(timm: Any, model: str, layout: str) -> Any:
    import torch

    timm.layers.set_fast_norm(True)  # as the benchmark ran
    with torch.device("meta"):
        network = timm.create_model(model)
    return network.to(memory_format=torch.channels_last) if layout == "nhwc" else network


def listed_fits(data: Path, target: Target) -> Fits:
    """Whether a network fits, by its operator list: twice the input and output of the widest operator, and no
    depthwise convolution of more elements than torch's kernel counts."""
    from nas_hardware.limits import LARGEST_INDEX
    from nas_hardware.memory import usable_memory

    usable = usable_memory(target) or 0
    listed = _listed(data)

    def fits(model: str, size: int, batch: int) -> bool:
        one = listed[f"{model}@{size}"]
        is_counted = target.layout == "nhwc" or batch * one.depthwise <= LARGEST_INDEX
        return is_counted and one.weights + batch * (12 * size**2 + 2 * one.widest) <= usable

    return fits


@dataclass
class Listed:
    """What an operator list says of a network: bytes of weights, single precision and cast; bytes of the
    widest operator for one image; elements of the widest input of a depthwise convolution."""

    weights: int = 0
    widest: int = 0
    depthwise: int = 0


def _listed(data: Path) -> Mapping[str, Listed]:
    found: dict[str, Listed] = defaultdict(Listed)
    with gzip.open(data / FOLDER / "op_list.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            one, weights, groups = found[row["key"]], int(row["elems_weight"]), int(row["groups"] or 1)
            one.weights += (4 + 2) * int(row["count"]) * weights
            one.widest = max(one.widest, 2 * (int(row["elems_in"]) + int(row["elems_out"])))
            if groups > 1 and weights == groups * math.prod(map(int, row["kernel"].split("x"))):
                one.depthwise = max(one.depthwise, int(row["elems_in"]))
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="peak memory against published batch sizes")
    parser.add_argument("--data", type=Path, required=True, help="the folder of measured data")
    parser.add_argument("--limit", type=int, help="take so many networks")
    options = parser.parse_args()
    if not (options.data / FOLDER).is_dir():
        raise SystemExit(f"{options.data / FOLDER} is absent: --data names the folder of measured data")
    print(HEADER)
    for layout in FILES:
        print(peak_memory_table(options.data, layout, options.limit).line(), flush=True)


if __name__ == "__main__":
    main()
