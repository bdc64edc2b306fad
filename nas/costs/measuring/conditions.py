"""Under which conditions something is measured, and who else is at work there."""

from __future__ import annotations

import ctypes
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from nas.costs.machine import this_machine
from nas.errors import CostError
from nas.files import FileLock

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
BUSY = 0.5
"""Other processes that wait for a core, as a share of the cores, from which on a machine counts as busy."""


@contextmanager
def exclusive(device: torch.device) -> Iterator[None]:
    """The device for this process alone among those that measure; CostError where another one has it."""
    name = str(device).replace(":", "-")
    lock = FileLock(Path(tempfile.gettempdir()) / f"nas-measures-{name}.{os.getuid()}.lock")
    try:
        lock.acquire()
    except BlockingIOError as error:
        raise CostError(
            f"{device} is being measured by {error}: two at a time would slow each other"
        ) from None
    try:
        yield
    finally:
        lock.release()


def keep_memory() -> bool:
    """Makes this process keep the memory that it frees, as jemalloc and tcmalloc do; False where it cannot.

    By default the C library gives large blocks back to the system after some inferences and not after others,
    depending on what the process did before, and every page of the next one costs a fault.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
        return all(library.mallopt(option, LARGEST_INT) for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))
    except (OSError, AttributeError):
        return False


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_INT = 2**31 - 1


@contextmanager
def pinned(threads: int | None) -> Iterator[None]:
    """So many threads for torch, and as many as before when the block ends; memory is kept from now on.

    Where there are fewer threads than cores, this one and the processes that it begins stay on as many cores:
    one that was idle may be slow for a tenth of a second (``benchmarks/warming.py``).
    """
    keep_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with on_cores(threads), torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def on_cores(number: int | None) -> Iterator[None]:
    """Keeps this thread, and the processes that it begins, on so many cores, where the system can."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if number is None or number >= len(cores):
        yield
        return
    try:
        os.sched_setaffinity(0, cores[-number:])
    except OSError:  # a sandbox forbids it
        yield
        return
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def conditions(device: torch.device, clock: str) -> Mapping[str, str]:
    """What a figure depends on beside what is measured: host, versions, threads, clocks, load."""
    found = {"host": socket.gethostname(), "torch": torch.__version__, "clock": clock}
    if device.type == "cuda":
        return {**found, **_cuda_conditions(device)}
    found["processor"] = this_machine("cpu").name
    found["threads"] = str(torch.get_num_threads())
    found["governor"] = GOVERNOR.read_text().strip() if GOVERNOR.exists() else "unknown"
    return {**found, "load": f"{os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"}


def _cuda_conditions(device: torch.device) -> dict[str, str]:
    """The GPU, the library versions, and its clock, power and temperature where they can be read."""
    found = {
        "device": torch.cuda.get_device_name(device),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),
    }
    readings = (
        ("clock_mhz", torch.cuda.clock_rate),
        ("power_mw", torch.cuda.power_draw),
        ("temperature", torch.cuda.temperature),
        ("utilisation", torch.cuda.utilization),
    )
    for name, read in readings:
        try:
            found[name] = str(read(device))
        except Exception:  # without pynvml, or where the driver does not tell
            found[name] = "unknown"
    return found


def busy_with(device: torch.device) -> str | None:
    """What the host does beside measuring, in a few words; None where it is quiet."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    others = load - (1 if device.type == "cuda" else torch.get_num_threads())
    if others > BUSY * cores:
        return f"the load of this host is {load:.1f} on {cores} cores"
    return None
