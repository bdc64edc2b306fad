"""What this machine is: its processor and its GPU, read without torch where that is enough."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NVIDIA = Path("/proc/driver/nvidia/gpus")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
VECTORS = (("avx512f", "avx512"), ("avx2", "avx2"), ("asimd", "neon"))
"""Flag of a processor → what its vector instructions are called, the widest first."""


@dataclass(frozen=True)
class Machine:
    """A device of this machine: ``"cpu"`` or ``"cuda"``, its name, its vector instructions, its cores."""

    kind: str
    name: str
    vectors: str = ""
    cores: int = 1

    @property
    def slug(self) -> str:
        """The name as target names are written: ``amd-epyc``."""
        plain = re.sub(r"\(r\)|\(tm\)|\bcpu\b|@.*|\b\d+-core\b|processor", " ", self.name.lower())
        return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "unknown"


def this_machine(kind: str | None = None) -> Machine:
    """The GPU of this machine where it has one, else its processor; or the one of a kind."""
    if kind != "cpu" and NVIDIA.exists():
        import torch

        if torch.cuda.is_available():
            return Machine("cuda", torch.cuda.get_device_name())
    return _processor()


def _processor() -> Machine:
    fields = _cpuinfo()
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    vectors = next((name for flag, name in VECTORS if flag in flags), "")
    name = fields.get("model name") or platform.processor() or platform.machine()
    return Machine("cpu", name, vectors, len(os.sched_getaffinity(0)))


def _cpuinfo() -> dict[str, str]:
    """The fields of the first core."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def cache_mb() -> float | None:
    """The size of the last-level cache in MB; None where the system does not tell."""
    sizes = []
    for path in CACHES.glob("index*/size"):
        text = path.read_text().strip()
        sizes.append(int(text[:-1]) / 1024 if text.endswith("K") else int(text[:-1]))
    return float(max(sizes)) if sizes else None
