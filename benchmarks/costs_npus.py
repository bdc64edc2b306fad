"""How near predictions for Qualcomm NPUs come to networks that were measured there.

The networks are timm's where quic/ai-hub-models (BSD-3) has the same ones; latencies are means over its
TFLite and QNN runtimes. Needs timm.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nas.costs import estimate, resolve_target

FILE = Path("phones") / "qualcomm_ai_hub_a_m.csv.gz"
DEVICES = {
    "Samsung Galaxy S24": "snapdragon8gen3-npu",
    "QCS8550 (Proxy)": "snapdragon8gen2-npu",
    "Snapdragon X Elite CRD": "snapdragon-x-elite-npu",
}
PRECISIONS = {"float": "fp16", "w8a8": "int8"}
RUNTIMES = ("tflite", "qnn_dlc")
NETWORKS = {
    "beit": ("beit_base_patch16_224", 224),
    "convnext_base": ("convnext_base", 224),
    "convnext_tiny": ("convnext_tiny", 224),
    "densenet121": ("densenet121", 224),
    "dla102x": ("dla102x", 224),
    "efficientformer": ("efficientformer_l1", 224),
    "efficientnet_b0": ("efficientnet_b0", 224),
    "efficientnet_b4": ("efficientnet_b4", 380),
    "efficientnet_v2_s": ("efficientnetv2_rw_s", 384),
    "efficientvit_b2_cls": ("efficientvit_b2", 224),
    "efficientvit_l2_cls": ("efficientvit_l2", 224),
    "inception_v3": ("inception_v3", 224),
    "levit": ("levit_128s", 224),
    "mnasnet05": ("mnasnet_050", 224),
    "mobile_vit": ("mobilevit_s", 256),
    "mobilenet_v2": ("mobilenetv2_100", 224),
    "mobilenet_v3_large": ("mobilenetv3_large_100", 224),
    "mobilenet_v3_small": ("mobilenetv3_small_100", 224),
}
"""A name there → the network of timm and the size of its pictures."""


@dataclass(frozen=True)
class NpuResult:
    """One NPU in one precision: the networks, their mean absolute log error, Kendall tau, and the share in
    the interval."""

    device: str
    precision: str
    networks: int
    error: float
    tau: float
    inside: float


def evaluate(folder: Path) -> Iterator[NpuResult]:
    """Every NPU and precision that the file has networks of."""
    import timm

    modules = {name: timm.create_model(of).eval() for name, (of, _) in NETWORKS.items()}
    for (device, precision), latencies in _measured(folder).items():
        target = resolve_target(device, precision=precision, runtime="tflite")
        found = [
            estimate(modules[name], (3, NETWORKS[name][1], NETWORKS[name][1]), target) for name in latencies
        ]
        predicted, measured = (
            np.array([cost.latency_ms for cost in found]),
            np.array(list(latencies.values())),
        )
        inside = [cost.low_ms <= one <= cost.high_ms for cost, one in zip(found, measured, strict=True)]
        yield NpuResult(
            device,
            precision,
            len(measured),
            float(np.abs(np.log(predicted / measured)).mean()),
            float(kendalltau(predicted, measured).statistic),
            float(np.mean(inside)),
        )


def _measured(folder: Path) -> Mapping[tuple[str, str], Mapping[str, float]]:
    """Target and precision → network → milliseconds."""
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with gzip.open(folder / FILE, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            known = row["device"] in DEVICES and row["precision"] in PRECISIONS and row["model"] in NETWORKS
            if known and row["unit"] == "NPU" and row["runtime"] in RUNTIMES:
                place = DEVICES[row["device"]], PRECISIONS[row["precision"]]
                found[place][row["model"]].append(float(row["ms"]))
    return {
        place: {name: float(np.mean(times)) for name, times in networks.items()}
        for place, networks in found.items()
    }
