"""The processor, its memory, and the GPUs with their driver: asked without loading torch."""

from pathlib import Path
from typing import Any, NamedTuple

from harness import hardware
from harness.doctor.finding import Finding
from harness.provenance import GpuInfo, collect

GROUP = "machine"
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_BUSY_FRACTION = 0.1
"""So much of a GPU's memory in other hands is worth a word."""


class Gpus(NamedTuple):
    """The GPUs that a run would see."""

    devices: tuple[GpuInfo, ...] = ()
    findings: tuple[Finding, ...] = ()


def find_gpus() -> Gpus:
    """Asks NVML, or nvidia-smi where NVML has no Python here."""
    if hardware.cuda_devices() == 0:
        return Gpus(findings=(_no_gpu(),))
    try:
        import pynvml
    except ImportError:
        return _by_nvidia_smi()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        remedy = "nvidia-smi should list the GPUs; install or restart NVIDIA's driver"
        return Gpus(findings=(_driver("missing", f"NVML: {error}", remedy),))
    try:
        return _by_nvml(pynvml)
    finally:
        pynvml.nvmlShutdown()


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
    here = bool(collect().gpus)
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


def _by_nvidia_smi() -> Gpus:
    devices = collect().gpus
    if not devices:
        remedy = "nvidia-smi should list the GPUs; install or restart NVIDIA's driver"
        return Gpus(findings=(_driver("missing", "device nodes, but no driver answers", remedy),))
    rows = [_gpu_finding(place, gpu, None) for place, gpu in enumerate(devices)]
    return Gpus(devices, (_driver("ok", devices[0].driver), *rows))


def _by_nvml(pynvml: Any) -> Gpus:
    driver = str(pynvml.nvmlSystemGetDriverVersion())
    cuda = int(pynvml.nvmlSystemGetCudaDriverVersion())
    devices, rows = [], []
    for place, handle in enumerate(hardware.visible_gpus(pynvml)):
        total, free = _memory(pynvml, handle)
        name = str(pynvml.nvmlDeviceGetName(handle))
        gpu = GpuInfo(name=name, memory_bytes=total, driver=driver)
        devices.append(gpu)
        rows.append(_gpu_finding(place, gpu, free))
    supported = f"{driver}, CUDA up to {cuda // 1000}.{cuda % 1000 // 10}"
    return Gpus(tuple(devices), (_driver("ok", supported), *rows))


def _memory(pynvml: Any, handle: Any) -> tuple[int | None, int | None]:
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError:  # a GPU that shares the processor's memory
        return None, None
    return int(memory.total), int(memory.free)


def _gpu_finding(place: int, gpu: GpuInfo, free_bytes: int | None) -> Finding:
    total = gpu.memory_bytes
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
        remedy="nvidia-smi shows who holds the rest" if is_busy else None,
    )
