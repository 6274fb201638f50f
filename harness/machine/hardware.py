"""This machine's processor and memory, read without loading torch."""

import os
import platform
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.machine import gpus

# The kernel's names for bfloat16 arithmetic: x86 (AVX-512 or AMX) and Arm.
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})

MATRIX_FLAGS = BFLOAT16_FLAGS | {"amx_int8", "amx_tile", "avx512_vnni", "avx_vnni", "i8mm"}
"""The CPU flags of matrix products with small numbers."""


def usable_cores() -> tuple[int, ...]:
    """The cores that this process may run on, which a container can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def cpu_name() -> str:
    """The processor's model name, or its architecture where the system reports none."""
    return _cpu_field("model name") or platform.processor() or platform.machine()


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere it is emulated, and slow."""
    flags = _cpu_field("flags") or _cpu_field("Features") or ""
    return not BFLOAT16_FLAGS.isdisjoint(flags.split())


def cpu_matrix_units() -> str:
    """The processor's instructions for products of small numbers, by the kernel's names."""
    flags = (_cpu_field("flags") or _cpu_field("Features") or "").split()
    return " ".join(sorted(MATRIX_FLAGS.intersection(flags))) or "none"


def cuda_devices() -> int:
    """NVIDIA GPUs that a process started now would see, by their device nodes; 0 without any."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    nodes = sum(node.name[len("nvidia") :].isdigit() for node in Path("/dev").glob("nvidia*"))
    # Windows' subsystem for Linux has one node for all of them.
    nodes = nodes or int(Path("/dev/dxg").exists() and Path("/usr/lib/wsl/lib").is_dir())
    if visible is None:
        return nodes
    wanted = [part for part in visible.split(",") if part.strip() not in {"", "-1"}]
    return min(nodes, len(wanted))


def available_memory_bytes() -> int:
    """Main memory that this process could still take, its control group's limit minded."""
    import psutil

    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):  # no control group of version 2, or one without a limit
        return free
    # The kernel drops cached files when a program needs the memory.
    files = sum(
        int(line.split()[1])
        for line in lines
        if line.startswith(("inactive_file ", "active_file "))
    )
    return max(0, min(free, limit - used + files))


def gpu_free_bytes() -> tuple[int, ...] | None:
    """Memory of each visible GPU or part of one that no process holds now, in CUDA's order.

    None where the driver does not report it, or there is none.
    """
    machine = gpus.of_machine()
    if not machine:
        return None
    found = gpus.chosen(machine, os.environ)
    free = tuple(gpu.free_bytes for gpu in found if gpu.free_bytes is not None)
    return free if len(free) == len(found) else None


def peak_rss_bytes(pids: Iterable[int | str]) -> int | None:
    """Sum of the highest resident memory of each process so far, None where none can be read.

    Memory that processes share is counted in each, and their peaks need not have coincided: the
    sum is an upper bound.
    """
    peaks = [peak for pid in pids if (peak := _high_water_bytes(pid)) is not None]
    return sum(peaks) if peaks else None


def engine_memory_bytes(
    pids: Iterable[int], *, is_cpu: bool, devices: int | None = None
) -> tuple[int | None, str]:
    """Memory of an engine's processes where it computes, and where the figure comes from."""
    if is_cpu:
        return peak_rss_bytes(pids), "VmHWM summed over vLLM's processes"
    return gpu_memory_bytes(pids, devices)


def gpu_memory_bytes(pids: Iterable[int], devices: int | None = None) -> tuple[int | None, str]:
    """Memory that processes hold on a run's GPUs now, and where the figure comes from.

    In a container the driver knows processes by other ids; then it is all that is in use on those
    GPUs, whoever uses it.

    Args:
        pids: The processes.
        devices: How many of the visible GPUs the run uses, the first ones; None: all.
    """
    try:
        with gpus.nvml() as library:
            handles = [gpus.handle(library, gpu) for gpu in gpus.visible()[:devices]]
            held = _held_bytes(library, handles, frozenset(pids))
            if held:
                return held, "NVML, memory of vLLM's processes"
            used = sum(library.nvmlDeviceGetMemoryInfo(each).used for each in handles)
            return used or None, "NVML, memory in use on the GPUs of the run"
    except gpus.NoNvmlError as error:
        return None, f"no NVML ({error})"


def _held_bytes(library: Any, handles: Iterable[Any], pids: frozenset[int]) -> int:
    """Bytes that these processes hold; 0 where the driver does not report them."""
    listed = (
        gpus.nvml_value(library, library.nvmlDeviceGetComputeRunningProcesses, each) or ()
        for each in handles
    )
    return sum(
        process.usedGpuMemory or 0
        for processes in listed
        for process in processes
        if process.pid in pids
    )


def _high_water_bytes(pid: int | str) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        if str(pid) not in {"self", str(os.getpid())}:
            return None
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def _cpu_field(name: str) -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
