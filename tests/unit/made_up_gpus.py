"""Machines with GPUs, made up: NVML as a table of what each GPU tells."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn, TypeVar

Known = TypeVar("Known")


class NvmlError(Exception):
    """NVML's own."""


class Device(SimpleNamespace):
    """One GPU or part; what is None raises "Not Supported", as NVML does."""

    def __init__(self, name: str, uuid: str, **told: Any) -> None:
        told = {"total": None, "free": None, "capability": None, "energy": None} | told
        super().__init__(name=name, uuid=uuid, parts=None, processes=(), **told)


class Nvml(ModuleType):
    """The module pynvml over such a machine."""

    NVMLError = NvmlError

    def __init__(self, *devices: Device, failure: str | None = None) -> None:
        super().__init__("pynvml")
        self.devices = devices
        self.failure = failure
        self.opened = 0

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        """Every other function of NVML: not supported here."""
        if not name.startswith("nvml"):
            raise AttributeError(name)
        return self._refuse

    def _refuse(self, *_: object) -> NoReturn:
        raise NvmlError("Not Supported")

    def _known(self, value: Known | None) -> Known:
        return self._refuse() if value is None else value

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's names
        if self.failure:
            raise NvmlError(self.failure)
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.65.06"

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 13_010

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, place: int) -> Device:  # noqa: N802
        return self.devices[place]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Device:  # noqa: N802
        every = [*self.devices, *(part for each in self.devices for part in each.parts or ())]
        found: Device = next(each for each in every if each.uuid == uuid)
        return found

    def nvmlDeviceGetUUID(self, device: Device) -> str:  # noqa: N802
        found: str = device.uuid
        return found

    def nvmlDeviceGetName(self, device: Device) -> str:  # noqa: N802
        found: str = device.name
        return found

    def nvmlDeviceGetCudaComputeCapability(self, device: Device) -> tuple[int, int]:  # noqa: N802
        found: tuple[int, int] = self._known(device.capability)
        return found

    def nvmlDeviceGetMemoryInfo(self, device: Device) -> SimpleNamespace:  # noqa: N802
        total, free = self._known(device.total), self._known(device.free)
        return SimpleNamespace(total=total, free=free, used=total - free)

    def nvmlDeviceGetMigMode(self, device: Device) -> tuple[int, int]:  # noqa: N802
        return (0, 0) if device.parts is None else (1, 1)

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Device) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Device, place: int) -> Device:  # noqa: N802
        found: Device = self._known(dict(enumerate(device.parts)).get(place))
        return found

    def nvmlDeviceGetComputeRunningProcesses(self, device: Device) -> tuple[SimpleNamespace, ...]:  # noqa: N802
        return self._known(device.processes)

    def nvmlDeviceGetTotalEnergyConsumption(self, device: Device) -> int:  # noqa: N802
        found: int = self._known(device.energy)
        return found


GB = 10**9


def h200(number: int, **told: Any) -> Device:
    told = {"total": 150 * GB, "free": 149 * GB, "capability": (9, 0), "energy": 0} | told
    return Device("NVIDIA H200", f"GPU-{number:08x}-aaaa", **told)


def t400() -> Device:
    return Device(
        "NVIDIA T400", "GPU-t400-bbbb", total=4 * GB, free=3 * GB, capability=(7, 5), energy=0
    )


def parted() -> Device:
    """An H100 in two parts."""
    whole = Device("NVIDIA H100", "GPU-h100-cccc", total=85 * GB, free=84 * GB, capability=(9, 0))
    whole.parts = tuple(
        Device(f"NVIDIA H100 MIG {size}g", f"MIG-{size}-dddd", total=size * 10 * GB, free=GB * size)
        for size in (3, 1)
    )
    return whole


def shared() -> Device:
    """A GPU whose memory is the processor's, and which tells little, as GB10 and under WSL2."""
    device = Device("NVIDIA GB10", "GPU-gb10-eeee")
    device.processes = None
    return device
