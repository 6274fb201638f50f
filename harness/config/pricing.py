"""Price lists: what an hour, a kilowatt hour or a token costs, with who says so and when.

Everything is in US dollars; a price without a source and a date is not accepted.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Literal, Protocol

from pydantic import Field

from harness.io.sourced import Sourced
from harness.records import Record

Usd = Annotated[float, Field(ge=0)]
Basis = Literal["rented", "owned", "api"]
BASES: tuple[Basis, ...] = ("rented", "owned", "api")

# All that may follow a GPU's name: " 480GB", " 80GB HBM3".
_MEMORY = r"(?: \d+ ?GB?)?(?: HBM\w+)?"


class PricedDevices(Protocol):
    """The devices of a run, as far as a price depends on them; ``EngineInfo`` has them."""

    @property
    def device(self) -> str:
        """``cpu``, ``cuda``, ``remote``."""

    @property
    def device_name(self) -> str:
        """As the driver or the processor has it."""

    @property
    def device_count(self) -> int:
        """GPUs, or cores."""


def is_named(gpu_name: str, known: Iterable[str]) -> bool:
    """Whether a GPU is one of those that are known by such names.

    A known name is the end of the driver's, or the size of the memory follows. With anything else
    behind it, it is another device: an RTX 4090 D, an H200 NVL, a Laptop GPU, a part (MIG).
    """
    return any(
        re.search(rf"\b{re.escape(name)}{_MEMORY}$", gpu_name, re.IGNORECASE) for name in known
    )


class RentedPrice(Sourced):
    """Rent by the hour."""

    usd_per_hour: Usd
    """The price per hour of one unit."""
    unit: Literal["gpu", "vcpu", "machine"]
    """What one hour's price buys one of."""


class OwnedPrice(Sourced):
    """Running one's own machine."""

    usd_per_kwh: Usd
    """The price of electricity."""
    pue: Annotated[float, Field(ge=1)] = 1.0
    """Power usage effectiveness: energy of the building per energy of the machine."""
    capex_usd: Usd | None = None
    """Purchase of the whole machine. None leaves amortisation out, and the method says so."""
    lifetime_h: Annotated[float, Field(gt=0)] = 26_280.0
    """Hours until it is written off: three years."""
    utilisation_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of its lifetime in which it does paid work; the idle rest is paid by that work."""
    opex_usd_per_hour: Usd = 0.0
    """Rack, network and people, for an hour of work."""


class ApiPrice(Sourced):
    """A provider's price list. Thinking is billed as output."""

    input_usd_per_million_tokens: Usd
    """The price of prompt tokens."""
    cached_input_usd_per_million_tokens: Usd | None = None
    """The price of prompt tokens in the provider's cache; None: unknown."""
    output_usd_per_million_tokens: Usd
    """The price of completion tokens."""


class Pricing(Record):
    """One price list, as a file of ``conf/pricing`` has it."""

    name: str
    """The name in results; ``auto`` takes the list that is for the device."""
    match: tuple[str, ...] = ()
    """Devices that it is for; see ``is_for``."""
    rented: RentedPrice | None = None
    owned: OwnedPrice | None = None
    api: ApiPrice | None = None

    def is_for(self, devices: PricedDevices) -> bool:
        """Whether this list prices them: ``cpu`` is any CPU; see ``is_named`` for a GPU.

        A CPU is also known by whole words of its name, which ends in its clock or its cores.
        """
        name = devices.device_name
        if devices.device != "cpu":
            return is_named(name, self.match)
        return any(
            each.lower() == "cpu" or re.search(rf"\b{re.escape(each)}\b", name, re.IGNORECASE)
            for each in self.match
        )

    def bases(self) -> tuple[Basis, ...]:
        """The bases that have a price."""
        return tuple(basis for basis in BASES if getattr(self, basis) is not None)
