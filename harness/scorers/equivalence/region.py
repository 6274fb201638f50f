"""Sets of real numbers that are made of intervals and points, and when two are the same set.

Two such sets are equal exactly if they agree on every end point of either, and on one number
between each two neighbouring end points, and beyond the first and the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from harness.scorers.equivalence.shape import (
    Group,
    NumberSet,
    Relation,
    SetOperation,
    Shape,
    plain_node,
)
from harness.scorers.equivalence.tree import INFINITY, MINUS_INFINITY, Node, is_infinite

Value = Fraction | float
"""Exact, or infinite."""


@dataclass(frozen=True)
class Interval:
    """All numbers between two ends; a point is an interval with equal, closed ends."""

    low: Node
    high: Node
    has_low: bool
    has_high: bool


@dataclass(frozen=True)
class Combined:
    """A union, intersection or difference."""

    operator: str
    left: Region
    right: Region


@dataclass(frozen=True)
class Empty:
    """The empty set."""


Region = Interval | Combined | Empty

_LINE = Interval(MINUS_INFINITY, INFINITY, has_low=False, has_high=False)


def region(shape: Shape) -> Region | None:  # noqa: PLR0911 - one for each case
    """The set that a shape describes, None when it describes none of this kind."""
    match shape:
        case NumberSet("R"):
            return _LINE
        case Group("{}", items):
            return _points(items)
        case Group(brackets, (first, last)) if brackets[:1] in {"(", "["}:
            low, high = plain_node(first), plain_node(last)
            if low is None or high is None:
                return None
            return Interval(low, high, brackets[0] == "[", brackets[1] == "]")
        case SetOperation(operator, left, right):
            sides = region(left), region(right)
            return Combined(operator, *sides) if None not in sides else None  # type: ignore[arg-type]
        case Relation(_, terms, ("\\in",)):
            return region(terms[1]) if terms[1] is not None else None
        case Relation(name, terms, operators) if name:
            return _solved(terms, operators)
        case _:
            return None


def _points(items: tuple[Shape, ...]) -> Region | None:
    points: Region = Empty()
    for item in items:
        node = plain_node(item)
        if node is None:
            return None
        points = Combined("\\cup", points, Interval(node, node, True, True))
    return points


def _solved(terms: tuple[Shape | None, ...], operators: tuple[str, ...]) -> Region | None:
    r"""``x > 3``, ``3 < x``, ``x \neq 3``, ``|x| < 3`` and ``1 < x <= 3``."""
    nodes = [plain_node(term) for term in terms]
    match nodes:
        case (Node("abs", (Node("variable"),)), Node() as bound):
            return _band(operators[0], bound)
        case (Node() as bound, Node("abs", (Node("variable"),))):
            return _band(_flip(operators[0]), bound)
    variable = [node is None or node.operation == "variable" for node in nodes]
    if len(terms) == 3 and variable[1]:  # noqa: PLR2004
        return _between(nodes[0], nodes[2], operators)
    if len(terms) != 2 or variable[0] == variable[1]:  # noqa: PLR2004
        return None
    operator = operators[0] if variable[0] else _flip(operators[0])
    return _half(operator, nodes[1] if variable[0] else nodes[0])


def _between(first: Node | None, last: Node | None, operators: tuple[str, ...]) -> Region | None:
    """``1 < x <= 3`` and ``3 >= x > 1``."""
    if first is None or last is None:
        return None
    has_first, has_last = (operator in {"\\leq", "\\geq"} for operator in operators)
    if set(operators) <= {"<", "\\leq"}:
        return Interval(first, last, has_first, has_last)
    if set(operators) <= {">", "\\geq"}:
        return Interval(last, first, has_last, has_first)
    return None


def _flip(operator: str) -> str:
    return {"<": ">", ">": "<", "\\leq": "\\geq", "\\geq": "\\leq"}.get(operator, operator)


def _half(operator: str, bound: Node | None) -> Region | None:
    if bound is None:
        return None
    match operator:
        case "<" | "\\leq":
            return Interval(MINUS_INFINITY, bound, False, operator == "\\leq")
        case ">" | "\\geq":
            return Interval(bound, INFINITY, operator == "\\geq", False)
        case "\\neq":
            return Combined("\\setminus", _LINE, Interval(bound, bound, True, True))
        case _:
            return None


def _band(operator: str, bound: Node) -> Region | None:
    """The region that ``|x| < bound`` and similar describe; correct for bounds of every sign."""
    opposite = Node("negate", (bound,))
    match operator:
        case "<" | "\\leq":
            return Interval(opposite, bound, operator == "\\leq", operator == "\\leq")
        case ">" | "\\geq":
            below = Interval(MINUS_INFINITY, opposite, False, operator == "\\geq")
            return Combined("\\cup", below, Interval(bound, INFINITY, operator == "\\geq", False))
        case _:
            return None


def ends(shape: Region) -> Iterator[Node]:
    """All end points, infinite ones included."""
    match shape:
        case Interval(low, high):
            yield from (low, high)
        case Combined(_, left, right):
            yield from ends(left)
            yield from ends(right)


def same_region(
    gold: Region, answer: Region, value_of: Callable[[Node], Fraction | None]
) -> bool | None:
    """Whether two sets are equal; None when an end point has no known value."""
    values: dict[Node, Value] = {}
    for node in (*ends(gold), *ends(answer)):
        sign = is_infinite(node)
        value = sign * math.inf if sign else value_of(node)
        if value is None:
            return None
        values[node] = value
    return all(
        _holds(gold, probe, values) == _holds(answer, probe, values)
        for probe in _probes(sorted({v for v in values.values() if isinstance(v, Fraction)}))
    )


def _probes(points: list[Fraction]) -> list[Fraction]:
    if not points:
        return [Fraction(0)]
    between = [(low + high) / 2 for low, high in pairwise(points)]
    return [points[0] - 1, *points, *between, points[-1] + 1]


def _holds(shape: Region, probe: Fraction, values: dict[Node, Value]) -> bool:
    match shape:
        case Interval(low, high, has_low, has_high):
            above = probe > values[low] or (has_low and probe == values[low])
            below = probe < values[high] or (has_high and probe == values[high])
            return above and below
        case Combined(operator, left, right):
            first, second = _holds(left, probe, values), _holds(right, probe, values)
            if operator == "\\cup":
                return first or second
            return first and (second if operator == "\\cap" else not second)
        case _:
            return False
