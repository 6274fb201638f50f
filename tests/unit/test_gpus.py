"""Which GPUs a run uses, and that names, memory and energy are theirs, on made-up machines."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.machine import gpus, hardware
from harness.machine.energy import EnergyMeter
from harness.machine.provenance import collect
from tests.facts import mentions
from tests.unit.made_up_gpus import GB, Device, Nvml, h200, parted, shared, t400

BOXES: dict[str, Callable[[], tuple[Device, ...]]] = {
    "mixed": lambda: (t400(), h200(1), h200(2)),
    "eight": lambda: tuple(h200(number) for number in range(8)),
    "parted": lambda: (h200(1), parted()),
    "shared": lambda: (shared(),),
    "none": lambda: (),
}


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Nvml]:
    """Puts a machine under the process."""

    def put(name: str, **environment: str) -> Nvml:
        library = Nvml(*BOXES[name]())
        monkeypatch.setitem(sys.modules, "pynvml", library)
        monkeypatch.setenv("PATH", "/nowhere")
        for key in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
            monkeypatch.delenv(key, raising=False)
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        return library

    return put


ONE, TWO, SMALL = "GPU-00000001-aaaa", "GPU-00000002-aaaa", "GPU-t400-bbbb"


@pytest.mark.parametrize(
    ("name", "environment", "wanted"),
    [
        # CUDA puts the fastest first, whatever slot it is in
        ("mixed", {}, [ONE, TWO, SMALL]),
        ("mixed", {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, [ONE, TWO, SMALL]),
        ("mixed", {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [SMALL, ONE, TWO]),
        ("mixed", {"CUDA_VISIBLE_DEVICES": "0"}, [ONE]),
        ("mixed", {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [SMALL]),
        # the list has an order of its own
        ("mixed", {"CUDA_VISIBLE_DEVICES": "1, 0"}, [TWO, ONE]),
        ("mixed", {"CUDA_VISIBLE_DEVICES": "GPU-t4,GPU-00000002"}, [SMALL, TWO]),
        # an entry that names no GPU, or more than one, hides all that follow
        ("mixed", {"CUDA_VISIBLE_DEVICES": "0,9,1"}, [ONE]),
        ("mixed", {"CUDA_VISIBLE_DEVICES": "-1,0"}, []),
        ("mixed", {"CUDA_VISIBLE_DEVICES": "GPU-0000"}, []),
        ("mixed", {"CUDA_VISIBLE_DEVICES": ""}, []),
        # of a divided GPU the first part, unless another is named
        ("parted", {"CUDA_VISIBLE_DEVICES": "1"}, ["MIG-3-dddd"]),
        ("parted", {"CUDA_VISIBLE_DEVICES": "GPU-h100"}, ["MIG-3-dddd"]),
        ("parted", {"CUDA_VISIBLE_DEVICES": "MIG-1-dddd"}, ["MIG-1-dddd"]),
        ("shared", {}, ["GPU-gb10-eeee"]),
        ("none", {}, []),
    ],
)
def test_the_gpus_of_a_process_in_cudas_order(
    box: Callable[..., Nvml], name: str, environment: dict[str, str], wanted: list[str]
) -> None:
    library = box(name, **environment)
    assert [gpu.uuid for gpu in gpus.visible()] == wanted
    assert library.opened == 0


def test_name_memory_and_price_are_those_of_the_gpu_that_cuda_gives(
    box: Callable[..., Nvml],
) -> None:
    box("mixed")
    first = collect().gpus[0]
    assert (first.name, first.memory_bytes, first.driver) == ("NVIDIA H200", 150 * GB, "580.65.06")
    assert hardware.gpu_free_bytes() == (149 * GB, 149 * GB, 3 * GB)
    box("parted", CUDA_VISIBLE_DEVICES="MIG-1-dddd")
    assert [gpu.memory_bytes for gpu in collect().gpus] == [10 * GB]


@pytest.mark.parametrize(
    ("devices", "joules", "source"),
    [(1, 10.0, "NVML, 1 GPU"), (2, 20.0, "NVML, 2 GPUs"), (None, 80.0, "NVML, 8 GPUs")],
)
def test_idle_gpus_beside_the_run_use_no_energy_of_it(
    box: Callable[..., Nvml], tmp_path: Path, devices: int | None, joules: float, source: str
) -> None:
    library = box("eight")
    with EnergyMeter("cuda", tmp_path, devices=devices) as meter:
        for device in library.devices:
            device.energy += 10_000
    assert meter.energy == (joules, source)
    assert library.opened == 0


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("shared", {}),
        ("parted", {"CUDA_VISIBLE_DEVICES": "MIG-1-dddd"}),
        ("none", {}),
        ("mixed", {"CUDA_VISIBLE_DEVICES": ""}),
    ],
)
def test_what_the_driver_does_not_tell_is_unknown_and_no_crash(
    box: Callable[..., Nvml], tmp_path: Path, name: str, environment: dict[str, str]
) -> None:
    library = box(name, **environment)
    with EnergyMeter("cuda", tmp_path) as meter:
        pass
    assert meter.energy.joules is None
    assert meter.energy.described.startswith("none: ")
    used, _ = hardware.gpu_memory_bytes({1, 2})
    assert used == (9 * GB if name == "parted" else None)
    assert library.opened == 0


@pytest.mark.parametrize("failure", ["Driver/library version mismatch", None])
def test_a_driver_that_fails_is_unknown_and_no_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: str | None
) -> None:
    """It failed to start, or is not installed."""
    library = Nvml(failure=failure) if failure else None
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpus.visible() == ()
    assert hardware.gpu_memory_bytes(())[0] is None
    with EnergyMeter("cuda", tmp_path) as meter:
        pass
    assert meter.energy.joules is None
    assert mentions(meter.energy.source, "NVML", failure or "pynvml")


def test_memory_of_a_runs_own_processes_and_of_its_gpus_alone(box: Callable[..., Nvml]) -> None:
    library = box("eight")
    for device in library.devices:
        device.free -= 5 * GB  # somebody's
    held = type("Held", (), {"pid": 7, "usedGpuMemory": 3 * GB})
    library.devices[0].processes = (held,)
    used, source = hardware.gpu_memory_bytes({7}, 1)
    assert used == 3 * GB
    assert mentions(source, "NVML", "processes")
    used, source = hardware.gpu_memory_bytes({8}, 2)
    assert used == 2 * 6 * GB
    assert mentions(source, "NVML", "GPUs")


def test_nvidia_smi_is_asked_where_nvml_has_no_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\n"
        "echo 'NVIDIA H200, GPU-1, 580.65.06, 143771, 143000'\n"
        "echo 'NVIDIA GB10, GPU-2, 580.65.06, [N/A], [N/A]'\n"
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert [(gpu.name, gpu.memory_bytes) for gpu in collect().gpus] == [
        ("NVIDIA GB10", None),
        ("NVIDIA H200", 143_771 << 20),
    ]
