"""The provenance of every input and derived figure: source, date, grade."""

from collections.abc import Iterable

from harness.io.sourced import Grade, Sourced
from harness.records import Record

DOUBT: tuple[Grade, ...] = ("P", "D", "S", "M")
"""Grades from the most to the least reliable: primary document, computed from such, secondary page,
from memory."""
_MANY = 1000
_WRITTEN_OUT = 1e17
_SHORT = 7


class Quantity(Record):
    """One figure that is computed and not typed in, with all that it rests on."""

    value: float | None
    """The value; None when an input is unknown, or when there is no such figure."""
    unit: str
    arithmetic: str
    """The computation in words and numbers, its result included."""
    sources: tuple[str, ...]
    """A citation for each input."""
    grade: Grade
    """The worst of the inputs' grades; D at best, unless the figure is merely looked up."""

    @property
    def number(self) -> float:
        """The value where it is certain that there is one."""
        assert self.value is not None, self.arithmetic
        return self.value

    @property
    def unverified(self) -> bool:
        """Whether it rests on an input from memory, and has to be marked so."""
        return self.grade == "M"


def looked_up(value: float | None, unit: str, source: Sourced) -> Quantity:
    """A figure that a source prints."""
    return Quantity(
        value=value,
        unit=unit,
        arithmetic=f"{shown(value)} {unit}, as printed",
        sources=(source.citation(),),
        grade=source.grade,
    )


def computed(value: float | None, unit: str, words: str, *inputs: Quantity | Sourced) -> Quantity:
    """A figure that follows from others.

    Args:
        value: The result.
        unit: Of the result.
        words: The computation without its result.
        inputs: All that it was computed from.
    """
    return Quantity(
        value=value,
        unit=unit,
        arithmetic=words if value is None else f"{words} = {shown(value)} {unit}",
        sources=citations(inputs),
        grade=worst(["D", *(each.grade for each in inputs)]),
    )


def ratio(this: Quantity, other: Quantity, unit: str = "times") -> Quantity:
    """The ratio of two figures with the same unit."""
    return computed(
        None if this.value is None or not other.value else this.value / other.value,
        unit,
        f"{shown(this.value)} / {shown(other.value)} {this.unit}",
        this,
        other,
    )


def worst(grades: Iterable[Grade]) -> Grade:
    """The least sure of some grades."""
    return max(grades, key=DOUBT.index)


def citations(inputs: Iterable[Quantity | Sourced]) -> tuple[str, ...]:
    """Each source once, in the order of first use."""
    found: list[str] = []
    for each in inputs:
        found += each.sources if isinstance(each, Quantity) else [each.citation()]
    return tuple(dict.fromkeys(found))


def shown(value: float | None) -> str:
    """A number for people: in full with thousands apart, to four digits where it has no end."""
    if value is None:
        return "unknown"
    whole = float(value).is_integer()
    if _MANY <= abs(value) < _WRITTEN_OUT or (whole and abs(value) < _MANY):
        return f"{value:,.0f}"
    text = f"{value:.10g}"
    return text if len(text) <= _SHORT else f"{value:.4g}"
