"""Energy counters: RAPL's from a folder like the kernel's, NVML's from a driver with two GPUs."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.machine import energy
from harness.machine.energy import Energy, EnergyMeter, rapl_packages
from tests.facts import mentions
from tests.unit.made_up_gpus import Nvml, h200

RANGE_UJ = 262_143_328_850


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages as Linux shows them, with all that is not to be counted again."""
    folders = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    for folder, name in folders.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "name").write_text(f"{name}\n")
        (tmp_path / folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        set_counter(tmp_path, folder, 5_000_000)
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def set_counter(powercap: Path, folder: str, value: int) -> None:
    new = powercap / folder / "new"
    new.write_text(f"{value}\n")
    new.replace(powercap / folder / "energy_uj")  # as a whole: a meter may be reading it


def test_packages_are_summed_and_nothing_is_counted_twice(powercap: Path) -> None:
    assert [path.name for path in rapl_packages(powercap).values()] == [
        "intel-rapl:0",
        "intel-rapl:1",
    ]
    with EnergyMeter("cpu", powercap) as meter:
        for folder in powercap.glob("intel-rapl*:*"):
            set_counter(powercap, folder.name, 8_000_000)
        set_counter(powercap, "intel-rapl:1", 5_500_000)
    assert meter.energy == Energy(3.5, "RAPL, packages 0, 1")


def test_a_counter_that_wraps_around_goes_on(
    powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look for each wrap is enough, and none is needed for a run without one."""
    set_counter(powercap, "intel-rapl:0", RANGE_UJ - 1_000_000)
    with EnergyMeter("cpu", powercap) as meter:
        for value in (2_000_000, RANGE_UJ - 3_000_000, 4_000_000):
            set_counter(powercap, "intel-rapl:0", value)
            meter._look()
    expected = 1 + 2 + (RANGE_UJ / 1e6 - 5) + 3 + 4
    assert meter.energy.joules == pytest.approx(expected)


def test_the_meter_looks_by_itself(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "LOOK_EVERY_S", 0.001)
    with EnergyMeter("cpu", powercap) as meter:
        set_counter(powercap, "intel-rapl:0", 7_000_000)
        for _ in range(10_000):
            if meter.energy.joules == 2.0:  # by its own thread: nothing else has looked
                break
            time.sleep(0.001)
        else:
            pytest.fail("it never looked")


def test_what_only_root_may_read_is_said(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = powercap / "intel-rapl:0" / "energy_uj"
    really_read = Path.read_text

    def read(path: Path, *arguments: Any, **named: Any) -> str:
        if path == counter:  # tests may run as root, whom no mode stops
            raise PermissionError(13, "Permission denied", str(path))
        return really_read(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", read)
    with EnergyMeter("cpu", powercap) as meter:
        pass
    assert meter.energy.joules is None
    assert mentions(meter.energy.source, "RAPL", str(counter), "root")


def test_a_counter_that_breaks_does_not_break_the_run(powercap: Path) -> None:
    with EnergyMeter("cpu", powercap) as meter:
        (powercap / "intel-rapl:0" / "energy_uj").write_text("what?")
    assert meter.energy.joules is None
    assert "invalid literal" in meter.energy.source


def test_an_error_of_the_run_passes_through(powercap: Path) -> None:
    meter = EnergyMeter("cpu", powercap)

    def run() -> None:
        with meter:
            set_counter(powercap, "intel-rapl:1", 6_000_000)
            raise RuntimeError("its own")

    with pytest.raises(RuntimeError, match="its own"):
        run()
    assert meter.energy.joules == 1.0


@pytest.mark.parametrize(
    ("device", "why"),
    [("cpu", "RAPL … {}"), ("remote", "counter")],
)
def test_without_counters_the_reason_stands_in_the_source(
    device: str, why: str, tmp_path: Path
) -> None:
    with EnergyMeter(device, tmp_path) as meter:
        pass
    assert meter.energy.joules is None
    assert mentions(meter.energy.source, why.format(tmp_path))


def test_the_processors_are_added_to_the_gpus_where_they_can_be_read(
    powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = h200(0)
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(gpu))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with EnergyMeter("cuda", powercap) as meter:
        gpu.energy = 1_000
        set_counter(powercap, "intel-rapl:0", 7_000_000)
    assert meter.energy == Energy(3.0, "NVML, 1 GPU + RAPL, packages 0, 1")


def test_a_gpu_without_a_counter_makes_the_energy_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = h200(0, energy=5), h200(1, energy=None)
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(first, second))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with EnergyMeter("cuda", tmp_path) as meter:
        pass
    assert meter.energy.joules is None
    assert "Not Supported" in meter.energy.source
    second.energy = 6
    with EnergyMeter("cuda", tmp_path) as meter:
        second.energy = 3
    assert meter.energy.joules is None
    assert mentions(meter.energy.source, "counter", "set back")


def test_without_nvml_the_source_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with EnergyMeter("cuda", tmp_path) as meter:
        pass
    assert meter.energy.joules is None
    assert mentions(meter.energy.source, "NVML", "pynvml")


@pytest.mark.parametrize(
    ("energy", "text"),
    [(Energy(3.0, "NVML, 1 GPU"), "NVML, 1 GPU"), (Energy(None, "no RAPL"), "none: no RAPL")],
)
def test_energy_is_the_same_after_it_was_written_and_read(energy: Energy, text: str) -> None:
    assert energy.described == text
    assert Energy.recorded(energy.joules, text) == energy
