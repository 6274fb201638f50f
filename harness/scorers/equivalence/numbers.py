"""The exact value of a rational formula, and its size.

Nothing here is worked out that takes long.
"""

import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType

from harness.scorers.equivalence.tree import Node, variables

MAX_EXPONENT = 50_000
MAX_DEGREE = 1000
"""The highest degree of a polynomial, multiplied out."""
MAX_FACTORIAL = 3000
MAX_BITS = 150_000
"""The most bits of an intermediate exact value."""


class TooLarge(ValueError):  # noqa: N818 - says what a formula is
    """Working a formula out would take too long; it is compared as a string only."""


class Undefined(ValueError):  # noqa: N818
    """A formula has no value: it divides by zero."""


_NOWHERE: Mapping[str, Fraction] = MappingProxyType({})


def exact(node: Node, values: Mapping[str, Fraction] = _NOWHERE) -> Fraction | None:
    """The value of a formula made of rational numbers, None where it is not rational on its face.

    ``values`` are those of its variables.

    Raises:
        TooLarge: The value, or one on the way to it, is too large to work out.
        Undefined: It divides by zero.
    """
    if node.operation == "number":
        assert isinstance(node.value, Fraction)
        return node.value
    if node.operation == "variable":
        return values.get(str(node.value))
    operands = [exact(operand, values) for operand in node.operands]
    known = [value for value in operands if value is not None]
    if not operands or len(known) < len(operands):
        return None
    value = _apply(node, known)
    if value is not None and value.numerator.bit_length() > MAX_BITS:
        raise TooLarge("a number too large to work out")
    return value


def _apply(node: Node, values: list[Fraction]) -> Fraction | None:
    operation = _EXACT.get(node.operation)
    return operation(*values) if operation else None


def _divide(top: Fraction, bottom: Fraction) -> Fraction:
    if bottom == 0:
        raise Undefined("division by zero")
    return top / bottom


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if base == 0 and exponent <= 0:
        raise Undefined("zero to a power that is not positive")
    if exponent.denominator != 1:
        return None
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) != 1 and size * abs(exponent) > MAX_BITS:
        raise TooLarge("a power too large to work out")
    if abs(base) == 1:
        return base ** int(exponent % 2)
    return base ** int(exponent)


def _root(radicand: Fraction, degree: Fraction) -> Fraction | None:
    if degree != 2 or radicand < 0:  # noqa: PLR2004
        return None
    top, bottom = math.isqrt(radicand.numerator), math.isqrt(radicand.denominator)
    is_square = top * top == radicand.numerator and bottom * bottom == radicand.denominator
    return Fraction(top, bottom) if is_square else None


def _count(*values: Fraction) -> Fraction | None:
    """A factorial of one number, a binomial coefficient of two."""
    if any(value.denominator != 1 or value < 0 for value in values):
        return None
    if max(values) > MAX_FACTORIAL:
        raise TooLarge("a factorial too large to work out")
    if len(values) == 1:
        return Fraction(math.factorial(int(values[0])))
    return Fraction(math.comb(int(values[0]), int(values[1])))


def _whole(combine: Callable[..., int]) -> Callable[..., Fraction | None]:
    """A function of whole numbers only."""

    def worked_out(*values: Fraction) -> Fraction | None:
        if any(value.denominator != 1 for value in values):
            return None
        return Fraction(combine(*map(int, values)))

    return worked_out


_EXACT: dict[str, Callable[..., Fraction | None]] = {
    "add": lambda *terms: sum(terms, Fraction()),
    "multiply": operator.mul,
    "negate": operator.neg,
    "abs": abs,
    "floor": lambda value: Fraction(math.floor(value)),
    "ceil": lambda value: Fraction(math.ceil(value)),
    "divide": _divide,
    "power": _power,
    "root": _root,
    "factorial": _count,
    "binomial": _count,
    "max": max,
    "min": min,
    "gcd": _whole(math.gcd),
    "lcm": _whole(math.lcm),
}


def check_size(node: Node) -> None:
    """Refuses powers and factorials that are too large to compute.

    Raises:
        TooLarge: There is one.
        Undefined: It divides by zero.
    """
    for operand in node.operands:
        check_size(operand)
    if node.operation == "power":
        exponent = _rough(node.operands[1])
        if exponent is not None and not exponent <= MAX_EXPONENT:
            raise TooLarge("a power too large to work out")
        if not _degree(node) <= MAX_DEGREE:
            raise TooLarge("a polynomial of too high a degree")
    elif node.operation in {"factorial", "binomial"}:
        for operand in node.operands:
            size = _rough(operand)
            if size is not None and not size <= MAX_FACTORIAL:
                raise TooLarge("a factorial too large to work out")
    exact(node)


def _degree(node: Node) -> float:
    """Rough degree of a formula in its variables, 0 without any."""
    if node.operation == "variable":
        return 1
    degrees = [_degree(operand) for operand in node.operands]
    if node.operation == "power":
        return degrees[0] * max(1.0, _rough(node.operands[1]) or 0)
    return sum(degrees) if node.operation == "multiply" else max(degrees, default=0)


def _rough(node: Node) -> float | None:
    """Rough absolute value of a formula without variables; infinite when out of range."""
    if variables(node):
        return None
    known = exact(node)
    if known is not None:
        return abs(float(known)) if abs(known) < MAX_BITS else math.inf
    # Exact numbers need no mpmath.
    from harness.scorers.equivalence.values import FLOATS, estimate

    try:
        return float(abs(estimate(node, FLOATS)[0]))
    except (OverflowError, ArithmeticError, ValueError):
        return math.inf
