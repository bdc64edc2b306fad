"""How near predictions for this machine come after ``nas calibrate``: ``python benchmarks/calibration.py``.

Calibrates the processor (or takes ``--target FILE``), then measures networks of the space `mobile` and
modules that the calibration never saw, twenty small ones or with ``--modules common`` or ``further`` others,
each in a process of its own, in five rounds of which the middle one counts. It prints what was predicted for
each beside what it took, told at the speed that the machine had while it was calibrated; in sum also at the
speed of the moment; and the same of micro-kernels, of which the calibration measured none.
"""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from calibration_common import COMMON
from calibration_further import FURTHER
from calibration_networks import MODULES

from nas.costs import Target, read_target
from nas.costs.cost import DEFAULT_MODEL
from nas.costs.machine import this_machine
from nas.costs.measuring import calibrate
from nas.costs.measuring.conditions import pinned
from nas.costs.measuring.fresh import forked
from nas.costs.measuring.kernels import designed_kernels
from nas.costs.measuring.micro import measure_kernels
from nas.costs.measuring.networks import sampled_networks
from nas.costs.model import CostModel
from nas.costs.this import uncalibrated, write_target
from nas.costs.trace import trace
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.studies.measure import Comparison, measure_architecture, measure_module

WITHIN = 0.15
SEED = 7
SETS = {"small": MODULES, "common": COMMON, "further": FURTHER}
ROUNDS = 5
UNSEEN, UNSEEN_SECONDS = 150, 45.0


def main() -> None:
    """Prints the table, and the share of networks that are predicted within 15 %."""
    options = _options()
    torch.set_num_threads(options.threads)  # what is forked from more of them may wait for ever
    trace(torch.nn.ReLU(), (8,))  # imports what each process would import again
    registry = default_registry()
    if options.target:
        target = read_target(options.target)
    else:
        plain = uncalibrated(this_machine("cpu"), registry, options.threads)
        model = registry.cost_models[options.cost_model]
        networks = sampled_networks(load_space(options.space, registry), registry) if options.space else None
        device = torch.device("cpu")
        target = calibrate(plain, model, device, seconds=options.seconds, networks=networks).target
        if options.output:
            write_target(target, options.output)
    with pinned(options.threads):
        rounds = [list(_compared(target, options)) for _ in range(ROUNDS)]
    middle = [_middle(each, _told_ms) for each in zip(*rounds, strict=True)]
    print(_table(middle))
    print(
        f"\nAt the speed of the calibration, the middle one of {ROUNDS} rounds:\n\n"
        f"{_summary(middle, _told_ms)}"
    )
    middle = [_middle(each, _taken_ms) for each in zip(*rounds, strict=True)]
    print(
        f"\nAt the speed of the moment, the middle one of {ROUNDS} rounds:\n\n{_summary(middle, _taken_ms)}\n"
    )
    print(
        f"A round is within ±15 % of the middle one of its network: {_repeated(rounds, _told_ms)} at the "
        f"speed of the calibration, {_repeated(rounds, _taken_ms)} at that of the moment.\n"
    )
    print(_conditions(target) + "\n")
    print(_unseen_kernels(target, registry.cost_models[options.cost_model]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, help="A calibrated target file of this machine.")
    parser.add_argument("--output", type=Path, help="Where to write the calibrated target.")
    parser.add_argument("--seconds", type=float, default=100.0, help="How long to calibrate.")
    parser.add_argument("--space", help="Measure other networks of this space too (tier T3).")
    parser.add_argument(
        "--each", type=float, default=0.4, help="How long to measure each network in each round."
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--modules", choices=list(SETS), default="small", help="Which modules to measure.")
    parser.add_argument("--seed", type=int, default=SEED, help="Which networks of `mobile`.")
    parser.add_argument("--mobile", type=int, default=20, help="How many networks of `mobile`.")
    parser.add_argument("--cost-model", default=DEFAULT_MODEL)
    return parser.parse_args()


def _compared(target: Target, options: argparse.Namespace) -> Iterator[Comparison]:
    registry = default_registry()
    space, rng = load_space("mobile", registry), np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    given = (target, registry, options.cost_model, options.each)
    for number in range(options.mobile):
        yield _apart(measure_architecture, f"mobile {number}", space.sample(rng), *given)
    for name, (make, shape) in SETS[options.modules].items():
        yield _apart(measure_module, name, make(), shape, *given)


def _apart(measure: Callable[..., Comparison], *given: object) -> Comparison:
    """A network measured in a process of its own, as that of a user is."""
    works, found = pickle.loads(forked(measure, given))
    if not works:
        raise RuntimeError(found)
    assert isinstance(found, Comparison)
    return found


def _told_ms(found: Comparison) -> float:
    """What it took, at the speed that the machine had while it was calibrated."""
    return found.measured.latency_ms


def _taken_ms(found: Comparison) -> float:
    """What it took."""
    return found.measured.latency_ms / (found.measurement.speed or 1.0)


def _middle(found: tuple[Comparison, ...], taken: Callable[[Comparison], float]) -> Comparison:
    return sorted(found, key=taken)[len(found) // 2]


def _repeated(rounds: list[list[Comparison]], taken: Callable[[Comparison], float]) -> str:
    """The share of the rounds beside the middle one of each network that found what that did: no prediction
    can be nearer than a measurement is to the next."""
    times = np.sort([[taken(one) for one in each] for each in rounds], axis=0)
    middle = len(times) // 2
    others = np.delete(times, middle, axis=0) / times[middle]
    return f"{100 * np.mean(np.abs(others - 1) <= WITHIN):.0f} %"


def _unseen_kernels(target: Target, model: CostModel) -> str:
    """How near the predictions for micro-kernels come, which have no company."""
    with pinned(int(target.figures["units"].value)):
        measured = measure_kernels(designed_kernels(UNSEEN), target, torch.device("cpu"), UNSEEN_SECONDS)
    errors = np.log([model.price(one.trace, target).latency_ms / one.latency_ms for one in measured])
    errors -= np.median(errors)
    within = np.mean(np.abs(np.expm1(errors)) <= WITHIN)
    return (
        f"{len(measured)} micro-kernels that it did not measure, their median apart: within ±15 %: "
        f"{100 * within:.0f} %, mean error {100 * np.abs(errors).mean():.1f} %"
    )


def _table(found: list[Comparison]) -> str:
    rows = [
        f"| {one.name} | {one.measured.latency_ms:.3f} | "
        f"{100 * one.measurement.spread_ms / one.measurement.latency_ms:.0f} % | "
        f"{100 * (one.measurement.speed or 1.0):.0f} % | {one.predicted.latency_ms:.3f} | "
        f"{one.predicted.low_ms:.3f}-{one.predicted.high_ms:.3f} | "
        f"{100 * (one.predicted.latency_ms / _told_ms(one) - 1):+.0f} % |"
        for one in found
    ]
    head = "| network | measured, ms | spread | speed | predicted, ms | 90 % interval | off by |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def _summary(found: list[Comparison], taken: Callable[[Comparison], float]) -> str:
    def of(some: list[Comparison]) -> str:
        signed = np.array([one.predicted.latency_ms / taken(one) - 1 for one in some])
        errors = np.abs(signed)
        inside = np.mean([one.predicted.low_ms <= taken(one) <= one.predicted.high_ms for one in some])
        return (
            f"within ±15 %: {100 * np.mean(errors <= WITHIN):.0f} % of {len(some)}, mean error "
            f"{100 * errors.mean():.1f} %, median of the errors "
            f"{100 * np.median(signed):+.1f} %, in the interval: {100 * inside:.0f} %"
        )

    mobile = [one for one in found if one.name.startswith("mobile ")]
    modules = [one for one in found if not one.name.startswith("mobile ")]
    return f"- `mobile`: {of(mobile)}\n- modules: {of(modules)}\n- all: {of(found)}"


def _conditions(target: Target) -> str:
    calibration = target.calibration
    source = calibration.source if calibration else "not calibrated"
    return f"{target.label}; {source}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
