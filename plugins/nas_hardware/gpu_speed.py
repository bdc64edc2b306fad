"""The figures of a GPU that its kernels depend on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.costs.target_file import PEAKS
from nas_hardware import assumptions

if TYPE_CHECKING:
    from nas.costs.target import Target

TENSOR_PRECISIONS = frozenset({"tf32", "fp16", "bf16", "amp-fp16", "int8"})
"""Precisions that have matrix units of their own."""
PACKED_HALF = 2.5
"""Half precision beyond so many times the fp32 peak is that of matrix units: vector units that take two
numbers at a time reach twice the peak (P100), matrix units four times and more."""
SUSTAINED_EXPONENT = 0.5
"""How far the clock falls towards the base clock under load: peak · (base / boost) to this power."""
BY_CLOCK = float("inf")
"""No power binds such chips."""
VECTOR_WATTS = ((120, 7.0), (90, BY_CLOCK), (89, 6.5), (86, 9.0), (80, 13.0), (1, 16.0))
"""The power in watts for each Tflop/s of vector units above which they keep the boost clock, by the least
compute capability: each process needs less, and cards that are far from their boost clock have a lower
voltage. Below it they run at what the power allows; matrix units are what drives data centre cards to their
limit. Rounded by hand on products in single precision: on T4 and A100 (NeuSight's kernels for training), and
on L4 (its kernels for testing). Hopper's boards have power to spare: their clock lies between base and boost,
as on matrix units."""
CONSUMER_CLOCK = 1.15
"""The clock of consumer cards under load as a share of the boost clock of their specification: a typical
clock, which their coolers let them exceed, where that of data centre cards is the highest."""

SINGLE_MATRIX = frozenset({"CDNA1", "CDNA2"})
"""Architectures whose matrix units multiply single precision as it is: that peak stands for tf32."""
SINGLE_MATRIX_SHARE = 0.8
"""The share of it that rocBLAS reaches, beside what libraries reach on vector units: rounded by hand on
language models on MI100 and MI210 (NeuSight's)."""
ASYNCHRONOUS = frozenset({"sm90", "sm100", "sm103", "sm120"})
"""Compute capabilities with a tensor memory accelerator (NVIDIA H100 whitepaper, 2022)."""
DATA_CENTRE = "dc-gpu"
SMALL_CACHE_MB = 5.0
SMALL_CACHE_SHARE = 0.8
"""The share of the bandwidth that data centre cards with caches below this size reach, beside others: rounded
by hand on fp32 kernels that stream, on P4, P100 and T4 beside V100 and A100. Consumer cards, without error
correction, rank networks better without it (FBNet on 1080 Ti and Titan Xp)."""
STACKED_MEMORY = re.compile(r"\bG[A-Z]100\b")
"""Chips of data centre cards whose memory has room of its own for check codes."""
CACHED_LINES = 70
"""The least compute capability whose first cache keeps lines of 128 bytes for all loads."""
CHECKED_SHARE = 15 / 16
"""The share of memory, and of its bandwidth, that the check codes leave on the other data centre cards."""


@dataclass(frozen=True)
class GpuSpeed:
    """Peaks in operations per millisecond, bandwidth in bytes per millisecond, clock in cycles per
    millisecond, cache in bytes, launch in milliseconds; `step` is that of a kernel in a network.

    `generation` is what NVIDIA calls the compute capability (``sm80``), empty where it is not known.
    `sustained` is the share of the peaks that the power limit leaves, `burst` that of products which are
    over before the limit is felt: the same in networks, which run on and on. `streaming` is that of kernels
    which wait for memory and draw less power than vector units at work. `tensor` says that matrix
    products run on units of their own; `width` is the bytes of a number.
    """

    matrix: float
    vector: float
    bandwidth: float
    cache: float
    units: float
    clock: float
    launch: float
    step: float
    sustained: float
    burst: float
    streaming: float
    tensor: bool
    width: int
    generation: str = ""

    @property
    def capability(self) -> int:
        """The compute capability as a number, 0 where it is not known."""
        return _capability(self.generation)

    @property
    def reads_a_line(self) -> int:
        """How many reads of 32 bytes a line of the first cache serves: none is kept there before Volta."""
        return 1 if 0 < self.capability < CACHED_LINES else 4

    @property
    def stores_meanwhile(self) -> bool:
        """Whether blocks write their results while the next ones compute: a unit of its own copies tiles to
        and from memory since Hopper."""
        return self.generation in ASYNCHRONOUS


def gpu_speed(target: Target) -> GpuSpeed:
    """The figures of a GPU target at its precision; what its file does not give is assumed."""
    figures = {name: figure.value for name, figure in target.figures.items()}
    peak = figures[PEAKS[target.precision]] * 1e9
    vector = figures.get("fp32_tflops", peak / 1e9 * assumptions.VECTOR_SHARE) * 1e9
    if _multiplies_single(target):
        peak = figures["tf32_tflops"] * 1e9 * SINGLE_MATRIX_SHARE
    boost = figures.get("clock_mhz", assumptions.GPU_CLOCK_MHZ)
    base = figures.get("base_clock_mhz", boost * assumptions.BASE_CLOCK_SHARE)
    launch = figures.get("launch_floor_us", assumptions.LAUNCH_FLOOR_US)
    tensor = target.precision in TENSOR_PRECISIONS and _has_tensor_units(figures, vector / 1e9)
    generation = _generation(target.device.architecture)
    power = 0.0 if tensor else _power(figures, generation)
    sustained = _sustained(target.device.device_class, base / boost, power)
    return GpuSpeed(
        matrix=peak,
        vector=vector,
        bandwidth=figures["memory_bandwidth_gbs"] * 1e6 * _reached(target),
        cache=figures.get("cache_mb", assumptions.GPU_CACHE_MB) * 1e6,
        units=figures.get("units", assumptions.GPU_UNITS),
        clock=boost * 1e3,
        launch=launch / 1e3,
        step=_step_us(target, launch) / 1e3,
        sustained=sustained,
        burst=sustained,
        streaming=max(1.0, sustained) if power else sustained,
        tensor=tensor,
        width={"fp32": 4, "tf32": 4, "int8": 1}.get(target.precision, 2),
        generation=generation,
    )


def _multiplies_single(target: Target) -> bool:
    """Whether products in single precision run on matrix units, whose peak nobody measured."""
    is_known = target.device.architecture in SINGLE_MATRIX and "tf32_tflops" in target.figures
    return target.precision == "fp32" and is_known and not _is_measured(target, "fp32_tflops")


def _is_measured(target: Target, name: str) -> bool:
    return target.calibration is not None and name in target.calibration.figures


def _step_us(target: Target, launch: float) -> float:
    """From one kernel of a network to the next; on a GPU that was measured its launch, since networks that
    were measured with it tell the rest."""
    return launch if _is_measured(target, "launch_floor_us") else max(launch, assumptions.STEP_US)


def _generation(architecture: str) -> str:
    """The compute capability that an architecture ends with: ``sm80`` of ``Ampere GA100 sm80``."""
    last = architecture.split()[-1:]
    return last[0] if last and re.fullmatch(r"sm\d+", last[0]) else ""


def _capability(generation: str) -> int:
    return int(generation.removeprefix("sm") or 0)


def _reached(target: Target) -> float:
    """The share of the bandwidth of its datasheet that a GPU reaches, beside others; 1 of one that was
    measured."""
    figures = target.figures
    if _is_measured(target, "memory_bandwidth_gbs") or target.device.device_class != DATA_CENTRE:
        return 1.0
    if "cache_mb" in figures and figures["cache_mb"].value < SMALL_CACHE_MB:
        return SMALL_CACHE_SHARE
    is_known = bool(_generation(target.device.architecture))
    return CHECKED_SHARE if is_known and not STACKED_MEMORY.search(target.device.architecture) else 1.0


def _has_tensor_units(figures: dict[str, float], vector: float) -> bool:
    """Whether a GPU has matrix units, by its peaks in Tflop/s."""
    half = max(figures.get("fp16_tflops", 0.0), figures.get("bf16_tflops", 0.0))
    return "tf32_tflops" in figures or half > PACKED_HALF * vector


def _power(figures: dict[str, float], generation: str) -> float:
    """The power of a GPU as a share of what its vector units need; 0 where it is not known."""
    capability = _capability(generation)
    watts = next((watts for least, watts in VECTOR_WATTS if capability >= least), BY_CLOCK)
    return figures.get("tdp_w", 0.0) / (watts * figures.get("fp32_tflops", float("inf")))


def _sustained(device_class: str, base_share: float, power: float) -> float:
    """The share of the peak that the clock under load leaves, from the base clock as a share of the boost,
    or from the power where it is known (not 0)."""
    if device_class == "consumer-gpu":
        return CONSUMER_CLOCK
    return min(1.0, power or base_share**SUSTAINED_EXPONENT)
