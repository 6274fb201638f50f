"""The GPUs that a run computes on, as the driver reports them.

The driver (NVML, nvidia-smi) counts a machine's GPUs in the order of their slots. CUDA counts those
that ``CUDA_VISIBLE_DEVICES`` leaves, in the order of that list, the fastest first unless
``CUDA_DEVICE_ORDER=PCI_BUS_ID``. Names, memory, energy and price must all be those of the GPUs that
CUDA gives a run, so all of them are asked for here.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_SMI_LIMIT_S = 20
_BY_SLOT = "PCI_BUS_ID"


class NoNvmlError(Exception):
    """NVML is not usable; the message is the reason."""


class Gpu(NamedTuple):
    """One GPU, or one part of a GPU (MIG); a field is None where the driver does not report it."""

    name: str
    uuid: str
    driver: str = ""
    memory_bytes: int | None = None
    """Bytes of memory; None where the GPU shares the processor's memory."""
    free_bytes: int | None = None
    capability: tuple[int, int] | None = None
    """CUDA's compute capability, as (9, 0)."""
    parts: "tuple[Gpu, ...] | None" = None
    """The parts of a divided GPU, which computes nothing as a whole; None: not divided."""


def visible(environment: Mapping[str, str] | None = None) -> tuple[Gpu, ...]:
    """The GPUs that CUDA gives this process, in CUDA's order; empty where the driver reports none.

    Args:
        environment: The process's; None: this one's.
    """
    return chosen(of_machine(), os.environ if environment is None else environment)


def chosen(machine: Sequence[Gpu], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The GPUs of a machine that CUDA gives a process, in CUDA's order.

    Args:
        machine: All of them, in the driver's order.
        environment: ``CUDA_VISIBLE_DEVICES`` names GPUs by number, or GPUs and parts by the
            beginning of a UUID. As in CUDA, an entry that names none hides all that follow.
    """
    ordered = _in_cuda_order(machine, environment.get("CUDA_DEVICE_ORDER", ""))
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    found = list(ordered)
    if listed is not None:
        found = []
        for word in listed.split(","):
            gpu = _named(word.strip(), ordered)
            if gpu is None:
                break
            found.append(gpu)
    # Of a divided GPU that is named as a whole, CUDA uses the first part.
    return tuple(gpu if gpu.parts is None else gpu.parts[0] for gpu in found if gpu.parts != ())


def _in_cuda_order(machine: Sequence[Gpu], order: str) -> list[Gpu]:
    """Sorts GPUs by capability, then memory: CUDA does not document how it ranks speed."""
    if order == _BY_SLOT or len({gpu.name for gpu in machine}) <= 1:
        return list(machine)
    return sorted(
        machine, key=lambda gpu: (gpu.capability or (0, 0), gpu.memory_bytes or 0), reverse=True
    )


def _named(word: str, ordered: Sequence[Gpu]) -> Gpu | None:
    if word.isdigit():
        return ordered[int(word)] if int(word) < len(ordered) else None
    if not word.startswith(("GPU-", "MIG-")):
        return None
    every = [*ordered, *(part for gpu in ordered for part in gpu.parts or ())]
    fitting = [gpu for gpu in every if gpu.uuid.startswith(word)]
    return fitting[0] if len(fitting) == 1 else None


def of_machine() -> tuple[Gpu, ...]:
    """All GPUs of this machine in the driver's order, from NVML or else from nvidia-smi."""
    try:
        with nvml() as library:
            return _by_nvml(library)
    except NoNvmlError:
        return _by_nvidia_smi()


@contextlib.contextmanager
def nvml() -> Iterator[Any]:
    """NVML's Python module, started.

    Raises:
        NoNvmlError: It is not installed, there is no driver, or it failed inside the context.
    """
    try:
        import pynvml
    except (ImportError, OSError) as error:
        raise NoNvmlError("pynvml is not installed") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoNvmlError(str(error)) from error
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        raise NoNvmlError(str(error)) from error
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def handle(library: Any, gpu: Gpu) -> Any:
    """NVML's handle of a GPU or part."""
    return library.nvmlDeviceGetHandleByUUID(gpu.uuid)


def nvml_value(library: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """Calls an NVML function; returns its value, None where it has none for this GPU."""
    try:
        return ask(*arguments)
    except library.NVMLError:
        return None


def _by_nvml(library: Any) -> tuple[Gpu, ...]:
    driver = str(nvml_value(library, library.nvmlSystemGetDriverVersion) or "unknown")
    count = library.nvmlDeviceGetCount()
    handles = [
        nvml_value(library, library.nvmlDeviceGetHandleByIndex, place) for place in range(count)
    ]
    # One that fell off the bus has no handle, and CUDA does not count it either.
    return tuple(_described(library, each, driver) for each in handles if each is not None)


def _described(library: Any, device: Any, driver: str) -> Gpu:
    memory = nvml_value(library, library.nvmlDeviceGetMemoryInfo, device)
    return Gpu(
        name=str(nvml_value(library, library.nvmlDeviceGetName, device) or "unknown"),
        uuid=str(nvml_value(library, library.nvmlDeviceGetUUID, device) or ""),
        driver=driver,
        memory_bytes=None if memory is None else int(memory.total),
        free_bytes=None if memory is None else int(memory.free),
        capability=nvml_value(library, library.nvmlDeviceGetCudaComputeCapability, device),
        parts=_parts(library, device, driver),
    )


def _parts(library: Any, device: Any, driver: str) -> tuple[Gpu, ...] | None:
    mode = nvml_value(library, library.nvmlDeviceGetMigMode, device)
    if mode is None or mode[0] != 1:
        return None
    most = nvml_value(library, library.nvmlDeviceGetMaxMigDeviceCount, device) or 0
    found = (
        nvml_value(library, library.nvmlDeviceGetMigDeviceHandleByIndex, device, place)
        for place in range(most)
    )
    return tuple(_described(library, part, driver) for part in found if part is not None)


def _by_nvidia_smi() -> tuple[Gpu, ...]:
    query = "--query-gpu=name,uuid,driver_version,memory.total,memory.free"
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_SMI_LIMIT_S
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found = []
    for line in done.stdout.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        total, free = (int(cell) << 20 if cell.isdigit() else None for cell in cells[3:5])
        found.append(Gpu(cells[0], cells[1], cells[2], total, free))
    return tuple(found)
