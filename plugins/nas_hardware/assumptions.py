"""What the roofline assumes where no datasheet says it: utilisations, floors, power and intervals.

None of these numbers is measured on the device that is priced: this is what tier T0 means. They were looked
at once against published step times of 693 timm models in eager autocast on an RTX 3090
(huggingface/pytorch-image-models, results/), at their large batches: the median of estimate / measured was
0.98, and the interval held 96 % of them. Other devices, runtimes and small batches were not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

COMPUTE_UTILISATION: Mapping[str, float] = {
    "gemm": 0.7,
    "bmm": 0.6,
    "sdpa": 0.5,
    "conv": 0.6,
    "conv_grouped": 0.25,
    "conv_depthwise": 0.25,
    "rnn": 0.3,
    "sparse": 0.1,
}
"""The share of the peak that well-tuned kernels reach on large shapes."""
OTHER_COMPUTE_UTILISATION = 0.5

MEMORY_UTILISATION: Mapping[str, float] = {
    "gather": 0.4,
    "fft": 0.5,
    "resample": 0.5,
    "sort": 0.3,
    "sparse": 0.4,
    "softmax": 0.7,
    "reduce": 0.7,
}
"""The share of the memory bandwidth that kernels reach."""
OTHER_MEMORY_UTILISATION = 0.8

VECTOR_SHARE = 1 / 16
"""The vector peak as a share of the matrix peak, on accelerators whose datasheet gives no fp32 peak."""

SPARSE_KERNEL_CLASSES = frozenset({"arm-cpu", "x86-cpu"})
"""Device classes with kernels for sparse weights times dense maps: see `nas_hardware.sparse`."""
SPARSE_COLUMN_COST = 2.0
"""What a block of sparse weights costs beside its multiply-adds, in multiply-adds of one output row: its
column is looked up, its inputs are loaded. With blocks of one row it puts the break-even at two thirds of
zeros, which is where XNNPACK begins to use its sparse kernels (TensorFlow Lite, XNNPACK delegate, "Sparse
Inference"); Fast Sparse ConvNets (arXiv:1911.09723) report 1.3 to 2.4 times the speed of dense networks of
equal accuracy on a Snapdragon 835, at 90 % of zeros, and more with blocks of 2 or 4 rows."""
SPARSE_ROW_COST = 2.0
"""What every output row costs however few weights it has: its sum begins and is stored."""

LAUNCH_FLOOR_US = 2.0
"""The least time of a kernel, where a target file gives none."""
STEP_US = 7.0
"""From one kernel of a network to the next on a GPU, beside its work, where the launch of one that runs again
and again takes less: it waits for the last block of the one before, and finds neither its code nor its data
at hand. Rounded by hand, with the least tiles of `nas_hardware.gpu_products.TENSOR_CONVOLUTIONS`, on networks
at batch 1 in TensorRT, whose small kernels it decides: YOLOv8 on an A100 in half precision (Ultralytics) and
convolutional networks on a V100 in single precision (PaddlePaddle/PaddleClas, Apache-2.0), with those of a
Jetson Xavier and a Jetson Nano (NVIDIA-AI-IOT/torch2trt, MIT), YOLOv8 on a T4 and the order of FBNet networks
on five GPUs in sight."""
EAGER_OPERATOR_US = 10.0
"""Dispatch of one eager operator on the host, where a target file gives none."""

WHOLE_GRAPH_CLASSES = frozenset({"npu"})
"""Device classes that run a network as one delegated graph: one launch for all of it."""
ON_CHIP_TIMES = 4.0
"""So many times the bandwidth of their memory the maps of a delegated graph move at, which stay on the chip.
Rounded by hand on 18 networks in half precision on three Qualcomm NPUs (quic/ai-hub-models, BSD-3, names a to
m; ``benchmarks/costs_npus.py``)."""
WHOLE_GRAPH_RUNTIMES = frozenset({"whole-model"})
"""Runtimes that put a network into one persistent kernel, with barriers in place of launches
(FlashFormer, arXiv:2505.22758)."""

IDLE_POWER_SHARE = 0.1
"""Idle power as a share of the thermal design power, where a target file gives none."""
POWER_W = 10.0
"""Thermal design power where a target file gives none."""

LOW_FACTOR = 0.55
HIGH_FACTOR = 1.9
"""The 90 % interval as factors of the estimate. With its one scale known, a datasheet roofline over operators
is off by 26–38 % at the 90th percentile of devices never measured; here the scale is not known either."""
UNKNOWN_LOW_FACTOR = 0.25
UNKNOWN_HIGH_FACTOR = 4.0
"""The same for operators that no rule describes."""

GPU_UNITS = 40
"""Multiprocessors where a target file gives none."""
GPU_CLOCK_MHZ = 1500
"""Boost clock where a target file gives none."""
BASE_CLOCK_SHARE = 0.8
"""Base clock as a share of the boost clock where a target file gives none."""
GPU_CACHE_MB = 4
"""Last-level cache where a target file gives none."""
