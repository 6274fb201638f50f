"""The kinds of things that an answer can be. ``reading`` makes them, ``matching`` compares them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.scorers.equivalence.tree import Node, number
from harness.scorers.equivalence.units import NO_LABEL, Label


@dataclass(frozen=True)
class Scalar:
    """A formula with its label."""

    node: Node
    label: Label = NO_LABEL
    is_percent: bool = False
    letters: str = ""
    """The same tokens read as plain letters and digits; empty where they are more than that."""


def plain_node(shape: Shape | None) -> Node | None:
    """The formula of a scalar whose label does not change it; for 5 % it is 5/100."""
    if not isinstance(shape, Scalar) or shape.label.telling:
        return None
    return Node("divide", (shape.node, number(100))) if shape.is_percent else shape.node


@dataclass(frozen=True)
class Words:
    """A text answer, case folded, without punctuation and articles."""

    text: str


@dataclass(frozen=True)
class Choice:
    """The letter of a multiple choice, and what may follow it."""

    letter: str
    rest: Shape | None


@dataclass(frozen=True)
class Clock:
    """A time of day: hour, minute, and a or p."""

    hour: int
    minute: int
    half: str


@dataclass(frozen=True)
class BaseNumber:
    """Digits with the base that they are written in."""

    digits: str
    base: int


@dataclass(frozen=True)
class Group:
    """Several things in brackets of some kind.

    Brackets "" are a bare list, "<>" a vector, "+" one quantity in several units (1 h 30 min).
    """

    brackets: str
    items: tuple[Shape, ...]
    is_choice: bool = False
    """Whether it is a bare list joined only by "or"."""


@dataclass(frozen=True)
class Matrix:
    """Rows of formulas, without regard to the kind of bracket."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Ratio:
    """``3:4``, or more parts."""

    parts: tuple[Node, ...]
    is_time: bool = False
    """Whether it is written as a time of day: ``3:05``."""


@dataclass(frozen=True)
class SetOperation:
    """A union, intersection or difference of sets of numbers."""

    operator: str
    left: Shape
    right: Shape


@dataclass(frozen=True)
class NumberSet:
    """One of the sets R, Z, Q, N, C."""

    name: str


@dataclass(frozen=True)
class Relation:
    """``a < b <= c`` or ``x = 5``. ``name`` is what is being described, when that is plain."""

    name: str
    terms: tuple[Shape | None, ...]
    """The terms; None for a term that is only a name."""
    operators: tuple[str, ...]


Shape = (
    Scalar | Words | Choice | Clock | BaseNumber | Group | Matrix | Ratio | SetOperation | NumberSet
    | Relation
)  # fmt: skip
