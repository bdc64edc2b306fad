"""Fits the constants of the utilisation cost model on GPUs, and writes them with their provenance.

Products on tensor cores: bf16 kernels on three GPUs. Products on vector units: fp32 kernels on five. The
constants of the classes: whole networks on an RTX 3090, drawn to priors (`class_fits`). What has no prior
stays as it stands in the file.
Writes plugins/nas_hardware/fitted/gpu.json.

    python benchmarks/fit_costs.py --data DIR
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from class_fits import PRIORS, fit_classes
from cost_fits import Kernels, fit_products
from cost_networks import (
    NEUSIGHT_TARGETS,
    PRODUCT_KERNELS,
    STREAM_KERNELS,
    fp32_products,
    measured_networks,
    rtx3090,
)
from gemm_kernels import gemms
from stream_fits import OVERHEAD_QUANTILE, WITH_LINES, fit_streams

from nas_hardware.gpu_kernels import FITTED, GpuConstants, fitted_constants
from nas_hardware.gpu_products import TensorConstants
from nas_hardware.gpu_speed import gpu_speed
from nas_hardware.vector_products import VectorConstants
from nas_hardware.work import CLASSES

TENSOR_START = TensorConstants(
    1.1, 0.81, 48.0, 17.0, 1500.0, 58.0, 12.0, 1.1, 0.075, 0.31, 3600.0, 44.0, power_share=0.9
)
VECTOR_START = VectorConstants(
    0.9, 0.7, 22.0, 22.0, 1900.0, 240.0, 5.0, 0.12, 0.37, 0.3, 600.0, 8.0, scattered_share=0.25
)
"""Where the fits begin: rough figures of the hardware."""
GENERATION_CONSTANTS = ("memory_share", "begin_cycles")
"""What differs between generations of matrix units beyond their datasheets."""


def main() -> None:
    """Fits everything and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the measured data")
    folder = parser.parse_args().data
    if not (folder / "gpu_kernels").is_dir():
        raise SystemExit(f"{folder / 'gpu_kernels'} is not there: nothing to fit to")
    constants = fitted_constants()
    measured = list(gemms(folder))
    tensor = fit_products(measured, TENSOR_START)
    vector = fit_products(vector_kernels(folder), VECTOR_START)
    generations = {device.speed.generation: of_generation(device, tensor) for device in measured}
    constants = replace(constants, tensor=tensor, vector=vector, generations=generations)
    constants = fit_streams(folder, constants)
    write(all_classes(folder, constants))
    print(f"wrote {FITTED}")


def of_generation(device: Kernels, shared: TensorConstants) -> dict[str, float]:
    """The constants that differ by generation, drawn to those of all."""
    found = fit_products([device], shared, GENERATION_CONSTANTS)
    return {name: getattr(found, name) for name in GENERATION_CONSTANTS}


def vector_kernels(folder: Path, without: str = "") -> list[Kernels]:
    """The fp32 products of all GPUs but one, with what their measurement adds to each."""
    devices = [device for device in NEUSIGHT_TARGETS if device != without]
    return [
        with_overhead(fp32_products(folder, device, kind)) for device in devices for kind in PRODUCT_KERNELS
    ]


def with_overhead(kernels: Kernels) -> Kernels:
    """Kernels of one kind with the time of the shortest of them as what was added to each."""
    return replace(kernels, overhead=float(np.quantile(kernels.milliseconds, OVERHEAD_QUANTILE)))


def all_classes(folder: Path, constants: GpuConstants) -> GpuConstants:
    """The constants with the classes by all networks of the folder."""
    networks, _ = measured_networks(folder)
    everything = np.ones(len(networks.milliseconds), dtype=bool)
    return fit_classes(networks, gpu_speed(rtx3090()), constants, everything)


def write(constants: GpuConstants) -> None:
    """Writes the constants; what is fitted replaces what stood there."""
    content = json.loads(FITTED.read_text(encoding="utf-8"))
    content["sources"] = _sources()
    content["tensor_products"] = asdict(constants.tensor)
    content["vector_products"] = asdict(constants.vector)
    content["generations"] = constants.generations
    for group, priors in PRIORS.items():
        found = getattr(constants, group)
        for name in priors:
            if group == "misaligned":
                content[group][name] = float(f"{found[name]:.4g}")
            else:
                _set(content[group], name, found)
    for name in STREAM_KERNELS.values():
        _set(content["plain_memory_share"], name, constants.plain_memory_share)
        if name in WITH_LINES:
            _set(content["plain_line_cycles"], name, constants.plain_line_cycles)
    FITTED.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _set(content: dict[str, float], name: str, constants: np.ndarray) -> None:
    content[name] = float(f"{constants[CLASSES.index(name)]:.4g}")


def _sources() -> Sequence[dict[str, str]]:
    date = datetime.now(UTC).strftime("%Y-%m")
    return [
        {
            "what": "tensor_products, generations",
            "from": "bf16 products on A100, H100 and L40S, github.com/ai-dynamo/aiconfigurator (Apache-2.0)",
            "date": date,
        },
        {
            "what": "vector_products, plain_memory_share and plain_line_cycles but of batch_norm",
            "from": "fp32 kernels on P4, P100, V100, T4 and A100, github.com/sitar-lab/NeuSight (MIT)",
            "date": date,
        },
        {
            "what": "memory_share, element_cycles, tap_cycles, line_cycles, factor, reorder, misaligned",
            "from": "step times of networks in autocast on an RTX 3090, PyTorch 2.4, "
            "huggingface/pytorch-image-models, results/ (Apache-2.0), names beginning with a to m; drawn to "
            "priors that were rounded by hand with these networks in sight (benchmarks/class_fits.py)",
            "date": date,
        },
        {
            "what": "what the priors do not name, and vector_share",
            "from": "assumptions about well-tuned kernels",
            "date": date,
        },
        {
            "what": "plain_memory_share of batch_norm, plain_element_cycles, plain_tap_cycles",
            "from": "FBNet latencies of HELP (arXiv:2106.08630), five GPUs in eager fp32: "
            "rounded by hand, by the order of networks",
            "date": date,
        },
        {
            "what": "walk_step_us",
            "from": "the networks above that resample, looked at by hand",
            "date": date,
        },
    ]


if __name__ == "__main__":
    main()
