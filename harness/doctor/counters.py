"""Checks whether the machine reports its energy use."""

from pathlib import Path

from harness.doctor.finding import Finding
from harness.machine import hardware
from harness.machine.energy import POWERCAP, EnergyMeter

GROUP = "machine"


def look_at_energy(powercap: Path = POWERCAP) -> list[Finding]:
    """Reads the counters once, as a run does."""
    device = "cuda" if hardware.cuda_devices() else "cpu"
    with EnergyMeter(device, powercap) as meter:
        pass
    energy = meter.energy
    if energy.joules is not None:
        return [Finding(group=GROUP, name="energy", status="ok", value=energy.source)]
    is_hidden = "root only" in energy.source
    return [
        Finding(
            group=GROUP,
            name="energy",
            status="missing",
            value=energy.source,
            remedy=f"sudo chmod a+r {powercap}/intel-rapl:*/energy_uj" if is_hidden else None,
        )
    ]
