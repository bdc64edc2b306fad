"""How right the cost model is on hardware and networks that it was not fitted to.

Every figure is of a fit that has left out what it is judged by: whole families of networks, whole GPUs.
Writes results/costs.md.

    python benchmarks/costs.py --data DIR [--quick]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from class_fits import ClassTimes, fitter, prior_constants, uninformed_constants
from cost_fits import Networks, every_other, fit_products, log_errors, without_families
from cost_networks import (
    NEUSIGHT_TARGETS,
    PRODUCT_KERNELS,
    fp32_products,
    measured_networks,
    rtx3090,
)
from fit_costs import TENSOR_START, VECTOR_START, of_generation, vector_kernels, with_overhead
from gemm_kernels import gemms
from scipy.stats import kendalltau
from stream_fits import fit_streams, stream_errors, streams

from nas_hardware import intervals
from nas_hardware.gpu_kernels import fitted_constants
from nas_hardware.gpu_speed import GpuSpeed, gpu_speed

RESULTS = Path(__file__).parent / "results" / "costs.md"
COVERAGE = 0.9


@dataclass(frozen=True)
class Row:
    """One line of the report: what was tested, what came out, what was aimed at."""

    test: str
    found: str
    aim: str


def main() -> None:
    """Prints the table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the measured data")
    parser.add_argument("--quick", action="store_true", help="whole networks only: neither kernels nor FBNet")
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"{options.data} is not there: name the folder of the measured data by --data")
    rows = []
    for row in _rows(options.data, options.quick):
        print(f"{row.test}: {row.found} (aim: {row.aim})", flush=True)
        rows.append(row)
    RESULTS.write_text(_page(rows), encoding="utf-8")
    print(f"wrote {RESULTS}")


def _rows(folder: Path, quick: bool) -> Iterator[Row]:
    yield from network_rows(folder)
    if not quick:
        yield from gemm_rows(folder)
        yield from fp32_rows(folder)
        yield from fbnet_rows(folder)
    yield from memory_rows(folder)
    yield from npu_rows(folder)
    yield from speed_rows()


def network_rows(folder: Path) -> Iterator[Row]:
    """Networks on an RTX 3090: families left out, and without any network in the fit."""
    networks, listed = measured_networks(folder)
    speed, constants = gpu_speed(rtx3090()), fitted_constants()
    times = ClassTimes(networks, speed, constants)
    fit = fitter(networks, speed, constants)

    def predict(chosen: np.ndarray) -> np.ndarray:
        return times.table(fit(chosen)).sum(axis=1)

    planar = ~networks.innermost
    unseen = without_families(networks, predict)
    note = f", {listed} by their operator list alone" if listed else ""
    count = f"{planar.sum()} networks, {len(set(networks.families))} families{note}"
    yield Row(
        f"timm on RTX 3090, families unseen ({count}): within ±10 % / MAPE / Kendall tau",
        _shown(unseen, networks, planar),
        "≥ 85 % / ≤ 6 % / ≥ .955",
    )
    uninformed = times.table(uninformed_constants(constants)).sum(axis=1)
    yield Row(
        "the same, no network in the fit: products by kernels of other GPUs, all else at 80 % of bandwidth",
        _shown(uninformed, networks, planar),
        "≥ 55 % / ≤ 12 % / ≥ .93",
    )
    priors = times.table(prior_constants(constants)).sum(axis=1)
    yield Row(
        "the same with the priors of the classes, which were rounded by hand with these networks in sight",
        _shown(priors, networks, planar),
        "",
    )
    yield Row(
        f"the same networks with the channels innermost ({networks.innermost.sum()}), families unseen",
        _shown(unseen, networks, networks.innermost),
        "",
    )
    yield from _interval_rows(unseen, networks, planar)
    spread = np.quantile((networks.milliseconds / uninformed)[planar], [0.05, 0.95])
    yield Row(
        "measured over predicted with no network in the fit, 5th and 95th of 100",
        " and ".join(f"{factor:.2f}" for factor in spread),
        "",
    )
    yield from _baseline_rows(networks, speed, planar)


def _baseline_rows(networks: Networks, speed: GpuSpeed, chosen: np.ndarray) -> Iterator[Row]:
    """What is commonly done, each times the one constant that suits these networks best."""
    work = networks.work
    peak = np.where(work.matrix, speed.matrix, speed.vector)
    kernels = np.maximum(work["flops"] / peak, work.moved / speed.bandwidth) + speed.launch
    roofline = np.bincount(networks.network, kernels * networks.count)
    macs = np.where(work.matrix, work["flops"], 0) * networks.count
    for name, amount in (
        ("multiply-adds", np.bincount(networks.network, macs)),
        ("roofline by operator", roofline),
    ):
        constant = np.median((networks.milliseconds / amount)[chosen])
        yield Row(f"baseline: {name} × constant", _shown(constant * amount, networks, chosen), "")


def _shown(predicted: np.ndarray, networks: Networks, chosen: np.ndarray) -> str:
    """The share within ±10 %, the mean error and the rank correlation by image, over some of the networks."""
    found, measured = predicted[chosen], networks.milliseconds[chosen]
    batches = networks.batches[chosen]
    tau = kendalltau(found / batches, measured / batches).statistic
    error = np.abs(found / measured - 1)
    return f"{(error <= 0.1).mean():.1%} / {error.mean():.1%} / {tau:.3f}"


def _interval_rows(predicted: np.ndarray, networks: Networks, chosen: np.ndarray) -> Iterator[Row]:
    target = rtx3090()
    low, high = intervals.MEASURED_PROFILES[target.device.name, target.runtime, target.precision]
    ratio = (networks.milliseconds / predicted)[chosen]
    families = np.array(networks.families)[chosen]
    inside = (ratio >= low) & (ratio <= high)
    shares = [inside[families == family].mean() for family in sorted(set(families.tolist()))]
    yield Row(
        "90 % interval on unseen families: coverage / half-width",
        f"{inside.mean():.3f} / {(high - low) / 2:.0%} (mean of families {np.mean(shares):.3f})",
        "≥ .90 / ≤ 20 %",
    )


def gemm_rows(folder: Path) -> Iterator[Row]:
    """bf16 products, GPU by GPU left out; and of GPUs that were measured, of which every other shape was left
    out."""
    devices = list(gemms(folder))
    for held in devices:
        others = [device for device in devices if device is not held]
        constants = fit_products(others, TENSOR_START)
        yield Row(f"bf16 products, {held.device} unseen: MAPE", _mape(log_errors(held, constants)), "≤ 12 %")
    seen = [every_other(device, 0) for device in devices]
    shared = fit_products(seen, TENSOR_START)
    errors = {
        one.device: log_errors(every_other(device, 1), replace(shared, **of_generation(one, shared)))
        for one, device in zip(seen, devices, strict=True)
    }
    shown = ", ".join(f"{name} {_mape(found)}" for name, found in errors.items())
    yield Row("bf16 products, shapes unseen, with the constants of the generation: MAPE", shown, "")


def fp32_rows(folder: Path) -> Iterator[Row]:
    """fp32 kernels, GPU by GPU left out; what the measurement adds to each kernel is taken as known."""
    for device in NEUSIGHT_TARGETS:
        constants = fit_products(vector_kernels(folder, without=device), VECTOR_START)
        errors = {
            kind: log_errors(with_overhead(fp32_products(folder, device, kind)), constants)
            for kind in PRODUCT_KERNELS
        }
        fitted = fit_streams(folder, fitted_constants(), without=device)
        errors |= {one.kind: stream_errors(one, fitted) for one in streams(folder, device)}
        parts = ", ".join(f"{kind} {_mape(found)}" for kind, found in errors.items())
        mean = np.mean([np.abs(np.expm1(found)).mean() for found in errors.values()])
        yield Row(f"fp32 kernels, {device} unseen: MAPE, mean of kinds", f"{mean:.1%} ({parts})", "≤ 15 %")


def _mape(errors: np.ndarray) -> str:
    return f"{np.abs(np.expm1(errors)).mean():.1%}"


def fbnet_rows(folder: Path) -> Iterator[Row]:
    """The FBNet space: Kendall tau within the space, by group of devices."""
    from costs_fbnet import FILE, evaluate

    if not (folder / FILE).exists():
        return
    rows = evaluate(folder, "utilisation")
    for prefix in ("GPU", "CPU"):
        chosen = [row for row in rows if str(row["group"]).startswith(prefix)]
        taus, ceilings = ([float(str(row[name])) for row in chosen] for name in ("tau", "ceiling"))
        yield Row(
            f"FBNet on {len(taus)} {prefix} columns, no network measured: mean Kendall tau, and that of a "
            "table of its blocks that was fitted to half of the networks "
            "(the dispatch figures of these hosts and, on GPUs, the cycles of depthwise convolutions "
            "come from the same source)",
            f"{np.mean(taus):.3f}, {np.mean(ceilings):.3f}",
            "≥ .90",
        )


def memory_rows(folder: Path) -> Iterator[Row]:
    """The batch size at which a network no longer fits."""
    try:
        import timm  # noqa: F401
    except ImportError:
        yield Row("peak memory: batch bracket exact", "not measured: timm is not installed", "≥ 70 %")
        return
    from costs_memory import peak_memory_table

    found = peak_memory_table(folder)
    shown = (
        f"{found.exact:.1%} of {found.networks} networks ({found.source}; {found.too_high:.1%} too high, "
        f"{found.too_low:.1%} too low)"
    )
    yield Row(
        "peak memory: batch bracket exact (two numbers of it are fitted to these rows)", shown, "≥ 70 %"
    )


def npu_rows(folder: Path) -> Iterator[Row]:
    """Networks on three NPUs of phones and laptops, whose figures were rounded by hand on these networks."""
    try:
        import timm  # noqa: F401
    except ImportError:
        return
    from costs_npus import FILE, evaluate

    if not (folder / FILE).exists():
        return
    for one in evaluate(folder):
        yield Row(
            f"{one.device} in {one.precision}, {one.networks} networks (figures rounded by hand on these): "
            "mean absolute log error / Kendall tau / in the interval",
            f"{one.error:.2f} / {one.tau:.2f} / {one.inside:.0%}",
            "",
        )


def speed_rows() -> Iterator[Row]:
    """CPU time of one estimate, of a module of the size of ResNet-50."""
    from nas import estimate
    from nas.blocks import build
    from nas.costs.estimation import network_of
    from nas.plugins import default_registry
    from nas.spaces import load_space

    registry = default_registry()
    space = load_space("published/resnet50", registry)
    module = build(network_of(space.decode(next(iter(space.enumerate())))), registry.blocks)
    torch.set_num_threads(1)
    times = [_cpu_seconds(lambda: estimate(module, (3, 224, 224), "a100")) for _ in range(7)]
    yield Row("time of an estimate of ResNet-50, CPU seconds, median", f"{np.median(times):.3f} s", "≤ 0.1 s")


def _cpu_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _page(rows: list[Row]) -> str:
    lines = [f"| {row.test} | {row.found} | {row.aim} |" for row in rows]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("nas", "torch", "numpy"))
    return "\n".join(
        [
            "# How right the cost model is on what it has not seen",
            "",
            "`python benchmarks/costs.py --data DIR`; the splits are by family and by device, never by row. "
            f"Python {platform.python_version()}, {versions}.",
            "",
            "The form of the model (how caches keep up with matrix units, how a host's dispatch hides) and a "
            "few round figures (the clock of consumer cards, the power of vector units, the bandwidth of old "
            "data centre cards, how much of a product's stores shows, what a multiprocessor works on at a "
            "time, when a cache forgets, the step of a walk, the priors of the classes) were chosen with "
            "these networks and kernels in sight. The networks ran with norms in half precision, which their "
            "times show and the files do not say; they are traced so.",
            "",
            "| test | found | aim |",
            "|---|---|---|",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
