"""A target: a device with the precision, batch size, runtime and layout a network is deployed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.costs.calibration import Calibration

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "amp-fp16", "int8")
RUNTIMES = ("eager", "compiled", "onnxruntime", "tflite", "tensorrt", "whole-model")
LAYOUTS = ("nchw", "nhwc")


@dataclass(frozen=True)
class Figure:
    """One datasheet figure with its unit in the key it stands under, its source, and how far to trust it."""

    value: float
    source: str
    trust: str = "medium"


@dataclass(frozen=True)
class Device:
    """A piece of hardware as its datasheet describes it.

    `figures` maps a key to a Figure: ``fp32_tflops``, ``tf32_tflops``, ``fp16_tflops``, ``bf16_tflops``,
    ``int8_tops``, ``memory_bandwidth_gbs``, ``cache_mb``, ``memory_gb``, ``units``, ``clock_mhz``,
    ``base_clock_mhz``, ``tdp_w``, ``idle_w``, ``launch_floor_us``, ``eager_operator_us``,
    ``eager_norm_channel_us``. Peaks are dense, fp32-accumulate. `architecture` is what the vendor calls the
    design (``"Ampere GA100 sm80"``).
    """

    name: str
    device_class: str
    vendor: str
    figures: Mapping[str, Figure]
    aliases: tuple[str, ...] = ()
    architecture: str = ""


@dataclass(frozen=True)
class Target:
    """Where a network runs: device, precision, batch size, runtime and layout, all named.

    `name` is what the user wrote (``a100``) and names the costs of this target (``latency@a100``).
    `calibration` is what was measured there, None where nothing was.
    """

    name: str
    device: Device
    precision: str = "fp16"
    batch_size: int = 1
    runtime: str = "compiled"
    layout: str = "nchw"
    calibration: Calibration | None = None

    @property
    def label(self) -> str:
        """The whole profile: ``a100-sxm4-80gb/compiled/fp16/b1/nchw``."""
        return f"{self.device.name}/{self.runtime}/{self.precision}/b{self.batch_size}/{self.layout}"

    @property
    def figures(self) -> Mapping[str, Figure]:
        """The figures of the device, with those that were measured in the place of the datasheet's."""
        if self.calibration is None or not self.calibration.figures:
            return self.device.figures
        return {**self.device.figures, **self.calibration.figures}
