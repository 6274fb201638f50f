"""What this machine computes with, asked without loading torch."""

import os
import platform
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# The kernel's names for bfloat16 arithmetic: x86 (AVX-512 or AMX) and Arm.
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})

MATRIX_FLAGS = BFLOAT16_FLAGS | {"amx_int8", "amx_tile", "avx512_vnni", "avx_vnni", "i8mm"}
"""Of these too: matrix products of small numbers."""


def usable_cores() -> tuple[int, ...]:
    """The cores that this process may run on, which a container can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def cpu_name() -> str:
    """The processor's model name, its architecture where the system does not tell."""
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
    # The kernel gives up its copies of files when a program wants the room.
    files = sum(
        int(line.split()[1])
        for line in lines
        if line.startswith(("inactive_file ", "active_file "))
    )
    return max(0, min(free, limit - used + files))


def gpu_free_bytes() -> tuple[int, ...] | None:
    """Memory of each visible GPU that no process holds now; None where NVML does not tell.

    It tells nothing of a part of a GPU (MIG).
    """
    try:
        import pynvml

        pynvml.nvmlInit()
    except (ImportError, OSError):
        return None
    except pynvml.NVMLError:
        return None
    try:
        gpus = visible_gpus(pynvml)
        if not gpus and cuda_devices():
            return None
        return tuple(pynvml.nvmlDeviceGetMemoryInfo(gpu).free for gpu in gpus)
    except pynvml.NVMLError:  # memory shared with the CPU
        return None
    finally:
        pynvml.nvmlShutdown()


def peak_rss_bytes(pids: Iterable[int | str]) -> int | None:
    """Sum of the highest resident memory of each process so far, None where none can be read.

    Memory that processes share is counted in each, and their peaks need not have coincided: the
    sum is an upper bound.
    """
    peaks = [peak for pid in pids if (peak := _high_water_bytes(pid)) is not None]
    return sum(peaks) if peaks else None


def engine_memory_bytes(pids: Iterable[int], *, is_cpu: bool) -> tuple[int | None, str]:
    """Memory of an engine's processes where it computes, and where the figure comes from."""
    if is_cpu:
        return peak_rss_bytes(pids), "VmHWM summed over vLLM's processes"
    return gpu_memory_bytes(pids)


def gpu_memory_bytes(pids: Iterable[int]) -> tuple[int | None, str]:
    """Memory that processes hold on all GPUs now, and where the figure comes from.

    In a container the driver knows processes by other ids; then it is all that is in use on the
    GPUs that this process may see, whoever uses it.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
    except (ImportError, OSError) as error:
        return None, f"no NVML ({type(error).__name__})"
    except pynvml.NVMLError as error:
        return None, f"no NVML ({error})"
    try:
        wanted = set(pids)
        gpus = visible_gpus(pynvml)
        held = [
            process.usedGpuMemory
            for gpu in gpus
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)
            if process.pid in wanted and process.usedGpuMemory is not None
        ]
        if held:
            return sum(held), "NVML, memory of vLLM's processes"
        used = sum(pynvml.nvmlDeviceGetMemoryInfo(gpu).used for gpu in gpus)
        return used or None, "NVML, memory in use on the visible GPUs"
    finally:
        pynvml.nvmlShutdown()


def visible_gpus(pynvml: Any) -> list[Any]:
    """NVML's handles of the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves, by number or UUID."""
    count = pynvml.nvmlDeviceGetCount()
    gpus = [pynvml.nvmlDeviceGetHandleByIndex(place) for place in range(count)]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return gpus
    wanted = [part.strip() for part in visible.split(",") if part.strip()]
    return [
        gpu
        for place, gpu in enumerate(gpus)
        if any(part == str(place) or _is_uuid_of(pynvml, gpu, part) for part in wanted)
    ]


def _is_uuid_of(pynvml: Any, gpu: Any, part: str) -> bool:
    """CUDA takes the beginning of a UUID for the whole."""
    return part.startswith("GPU-") and str(pynvml.nvmlDeviceGetUUID(gpu)).startswith(part)


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
