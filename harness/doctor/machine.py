"""The processor, its memory, and the GPUs with their driver, read without loading torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.doctor.finding import Finding
from harness.machine import gpus, hardware
from harness.machine.provenance import GpuInfo

GROUP = "machine"
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
LEAST_DRIVER = 580
"""The branch that CUDA 13 begins with (CUDA Toolkit 13 release notes)."""
_BUSY_FRACTION = 0.1
"""The share of a GPU's memory in use by others from which it is reported."""


class Gpus(NamedTuple):
    """The GPUs that a run would see."""

    devices: tuple[GpuInfo, ...] = ()
    findings: tuple[Finding, ...] = ()


def find_gpus() -> Gpus:
    """The GPUs from NVML, or from nvidia-smi where NVML has no Python package."""
    if hardware.cuda_devices() == 0:
        return Gpus(findings=(_no_gpu(),))
    try:
        with gpus.nvml() as library:
            cuda = int(gpus.nvml_value(library, library.nvmlSystemGetCudaDriverVersion) or 0)
    except gpus.NoNvmlError as error:
        found = gpus.visible()
        if not found:
            remedy = "nvidia-smi should list the GPUs; install or restart NVIDIA's driver"
            return Gpus(findings=(_driver("missing", f"NVML: {error}", remedy),))
        return _described(found, None)
    return _described(gpus.visible(), cuda or None)


def look_at_machine() -> list[Finding]:
    """The processor and how much memory this process may use."""
    has_bfloat16 = hardware.cpu_has_bfloat16()
    cores = len(hardware.usable_cores())
    return [
        Finding(
            group=GROUP,
            name="CPU",
            status="ok" if has_bfloat16 else "warn",
            value=f"{cores} x {hardware.cpu_name()}, "
            + ("bfloat16" if has_bfloat16 else "no bfloat16: float32 is used, twice the memory"),
        ),
        Finding(
            group=GROUP,
            name="memory",
            status="ok",
            value=f"{memory_bytes() / 1e9:.1f} GB",
        ),
    ]


def memory_bytes(cgroup_limit: Path = CGROUP_LIMIT) -> int:
    """The machine's memory, or what its container may use of it."""
    import psutil

    total = int(psutil.virtual_memory().total)
    try:
        limit = cgroup_limit.read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _no_gpu() -> Finding:
    here = bool(gpus.of_machine())
    return Finding(
        group=GROUP,
        name="GPU",
        status="missing",
        value="no NVIDIA GPU is visible; models run on the CPU, slowly",
        remedy="nvidia-smi lists GPUs: let the process see them (CUDA_VISIBLE_DEVICES, "
        "docker run --gpus all)"
        if here
        else None,
    )


def _driver(status: Any, value: str, remedy: str | None = None) -> Finding:
    return Finding(group=GROUP, name="driver", status=status, value=value, remedy=remedy)


def _described(found: Sequence[gpus.Gpu], cuda: int | None) -> Gpus:
    """Rows of the driver and of each GPU; ``cuda`` as NVML writes it, 13010 for 13.1."""
    version = found[0].driver if found else "unknown"
    newest = "" if cuda is None else f", CUDA up to {cuda // 1000}.{cuda % 1000 // 10}"
    rows = [_gpu_finding(place, gpu) for place, gpu in enumerate(found)]
    return Gpus(tuple(map(GpuInfo.of, found)), (_driver_finding(version, newest), *rows))


def _driver_finding(version: str, newest_cuda: str) -> Finding:
    branch = version.partition(".")[0]
    if branch.isdigit() and int(branch) < LEAST_DRIVER:
        remedy = (
            f"install NVIDIA's driver {LEAST_DRIVER} or newer: this torch and vLLM are for CUDA 13"
        )
        return _driver("warn", f"{version}{newest_cuda}", remedy)
    return _driver("ok", f"{version}{newest_cuda}")


def _gpu_finding(place: int, gpu: gpus.Gpu) -> Finding:
    total, free_bytes = gpu.memory_bytes, gpu.free_bytes
    size = "memory shared with the CPU" if total is None else f"{total / 1e9:.1f} GB"
    is_busy = (
        total is not None and free_bytes is not None and free_bytes < (1 - _BUSY_FRACTION) * total
    )
    return Finding(
        group=GROUP,
        name=f"GPU {place}",
        status="warn" if is_busy else "ok",
        value=f"{gpu.name}, {size}"
        + ("" if free_bytes is None else f", {free_bytes / 1e9:.1f} GB free"),
        remedy="nvidia-smi shows which processes use the rest" if is_busy else None,
    )
