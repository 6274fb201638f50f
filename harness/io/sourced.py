"""A published fact with its source, its date and how reliable it is."""

from typing import Annotated, Literal

from pydantic import Field

from harness.records import Record

Grade = Literal["P", "S", "M", "D"]
"""P read in the primary document, S in a secondary page, M from memory, D derived from those."""


class Sourced(Record):
    """The source of a published fact."""

    source: Annotated[str, Field(min_length=1)]
    """Who publishes it. For a price with vendor and tier, as prices of one GPU differ fourfold."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]
    """When it was read, or published, as far as known: ``2026-10-07`` or ``2026-03``."""
    grade: Grade
    """P: primary document, S: secondary page, M: from memory, D: computed."""

    def citation(self) -> str:
        """Source, date and grade in a few words, for an estimate's method."""
        doubt = ", unverified" if self.grade == "M" else ""
        return f"{self.source}, {self.date}, grade {self.grade}{doubt}"
