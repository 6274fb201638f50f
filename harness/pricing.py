"""Price lists: what an hour, a kilowatt hour or a token costs, with who says so and when.

Everything is in US dollars; a price without a source and a date is not accepted.
"""

import re
from typing import Annotated, Literal

from pydantic import Field

from harness.records import EngineInfo, Record

Usd = Annotated[float, Field(ge=0)]
Grade = Literal["P", "S", "M", "D"]
"""P read in the primary document, S in a secondary page, M from memory, D derived from those."""
Basis = Literal["rented", "owned", "api"]
BASES: tuple[Basis, ...] = ("rented", "owned", "api")


_PART = re.compile(r"\bMIG\b")


class Price(Record):
    """Where a price comes from, without which it cannot be defended."""

    source: Annotated[str, Field(min_length=1)]
    """Who says so, with vendor and tier: prices of one GPU differ fourfold between vendors."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]
    """When it was read, or published, as far as known: ``2026-10-07`` or ``2026-03``."""
    grade: Grade

    def citation(self) -> str:
        """Source, date and grade in a few words, for an estimate's method."""
        doubt = ", unverified" if self.grade == "M" else ""
        return f"{self.source}, {self.date}, grade {self.grade}{doubt}"


class RentedPrice(Price):
    """Rent by the hour."""

    usd_per_hour: Usd
    unit: Literal["gpu", "vcpu", "machine"]
    """What one hour's price buys one of."""


class OwnedPrice(Price):
    """Running one's own machine."""

    usd_per_kwh: Usd
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


class ApiPrice(Price):
    """A provider's price list. Thinking is billed as output."""

    input_usd_per_million_tokens: Usd
    cached_input_usd_per_million_tokens: Usd | None = None
    output_usd_per_million_tokens: Usd


class Pricing(Record):
    """One price list, as a file of ``conf/pricing`` has it."""

    name: str
    match: tuple[str, ...] = ()
    """Devices that it is for; see ``is_for``."""
    rented: RentedPrice | None = None
    owned: OwnedPrice | None = None
    api: ApiPrice | None = None

    def is_for(self, engine: EngineInfo) -> bool:
        """Whether this list prices the device: ``cpu`` is any CPU, else whole words of its name.

        A part of a GPU (MIG) is rented by nobody's list: its price is unknown.
        """
        if _PART.search(engine.device_name):
            return False
        return any(
            engine.device == "cpu"
            if part.lower() == "cpu"
            else re.search(rf"\b{re.escape(part)}\b", engine.device_name, re.IGNORECASE)
            for part in self.match
        )

    def bases(self) -> tuple[Basis, ...]:
        """The bases that have a price."""
        return tuple(basis for basis in BASES if getattr(self, basis) is not None)
