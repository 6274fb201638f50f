"""The judge of the worker process: formulas worked out to many digits.

Two formulas are the same if they have the same values at points of no special meaning: on each
piece where no rule changes, that many digits at several points are no accident (``kinks`` finds the
pieces). Constants are the same if their difference shrinks with every digit that is added.
Sums, integrals, limits and unknown functions are the same only term by term.
"""

import itertools
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath

from harness.scorers.equivalence import kinks, numbers, values
from harness.scorers.equivalence.calculus import FOREIGN
from harness.scorers.equivalence.judge import Arithmetic
from harness.scorers.equivalence.tree import Node, contains, variables
from harness.scorers.equivalence.verdicts import every

DIGITS = 60
MORE_DIGITS = 400
AGREEING_DIGITS = 45
"""Two values that agree so far are the same."""
_ENOUGH_POINTS = 2


class Algebra:
    """The judge of the worker process."""

    def __init__(self) -> None:
        self._arithmetic = Arithmetic()

    def equal(self, gold: Node, answer: Node) -> bool | None:
        """See ``Judge``."""
        verdict = self._arithmetic.equal(gold, answer)
        if verdict is not None:
            return verdict
        terms: list[Node] = []
        first, second = self._outline(gold, terms), self._outline(answer, terms)
        if variables(first) | variables(second):
            return first == second or _same_function(first, second)
        return _same_number(first, second)

    def value(self, node: Node) -> Fraction | None:
        """See ``Judge``: exact, or rounded to ``AGREEING_DIGITS`` significant digits."""
        known = self._arithmetic.value(node)
        if known is not None or variables(node):
            return known
        value = _value(node, {})
        if value is None or not _is_real(value):
            return None
        return Fraction(mpmath.nstr(value.real, AGREEING_DIGITS))

    def _outline(self, node: Node, terms: list[Node]) -> Node:
        """The formula with a variable in place of each sum, integral, limit and unknown value."""
        if node.operation not in FOREIGN:
            operands = tuple(self._outline(operand, terms) for operand in node.operands)
            return node._replace(operands=operands)
        for at, term in enumerate(terms):
            if self._same_term(term, node):
                return Node("variable", (), f"?{at}")
        terms.append(node)
        return Node("variable", (), f"?{len(terms) - 1}")

    def _same_term(self, one: Node, two: Node) -> bool:
        if (one.operation, one.value, len(one.operands)) != (
            two.operation, two.value, len(two.operands)
        ):  # fmt: skip
            return False
        pairs = zip(one.operands, two.operands, strict=True)
        return bool(every(self.equal(left, right) for left, right in pairs))


def _number(value: Fraction) -> Any:
    return mpmath.mpf(value.numerator) / value.denominator


def _value(
    node: Node, point: Mapping[str, Fraction], digits: int = DIGITS, *, is_real: bool = False
) -> Any:
    """The value at a point; None where there is none, or no real one if ``is_real``."""
    with mpmath.workdps(digits):
        try:
            known = numbers.exact(node, point)
            if known is not None:
                return _number(known)
            place = values.Place({n: _number(v) for n, v in point.items()}, mpmath.mp, is_real)
            value = values.estimate(node, place)[0] + mpmath.mpf(0)
        except (ArithmeticError, ValueError):
            return None
        is_allowed = mpmath.isfinite(value) and (not is_real or _is_real(value))
        return value if is_allowed else None


def _same_number(first: Node, second: Node) -> bool:
    """Constants: their difference is lost in rounding, however many digits are worked out."""
    difference = Node("add", (first, Node("negate", (second,))))
    value, coarse = (_value(node, {}) for node in (first, difference))
    fine = _value(difference, {}, MORE_DIGITS)
    if value is None or coarse is None or fine is None:
        return False
    with mpmath.workdps(DIGITS):
        size = max(abs(value), abs(coarse)) or 1
        return bool(abs(fine) <= size * mpmath.mpf(10) ** (2 * DIGITS - MORE_DIGITS))


def _close(one: Any, two: Any) -> bool:
    with mpmath.workdps(DIGITS):
        tiny = mpmath.mpf(10) ** -AGREEING_DIGITS
        # Next to an exact zero there is no relative error.
        return bool(abs(one - two) <= max(max(abs(one), abs(two)) * tiny, tiny * tiny))


def _same_function(first: Node, second: Node) -> bool | None:
    """Equal wherever both have a real value; where one holds ``i``, or none has, everywhere."""
    kinds = (False,) if values.is_complex(first, second) else (True, False)
    for is_real in kinds:
        seen = 0
        for point in itertools.chain(values.points(first, second), kinks.edges(first, second)):
            is_same = _agree_at(point, first, second, is_real=is_real)
            if is_same is False:
                return False
            seen += is_same is True
        if seen >= _ENOUGH_POINTS:
            return True
    return None


def _agree_at(
    point: Mapping[str, Fraction], first: Node, second: Node, *, is_real: bool
) -> bool | None:
    """Whether both have the same value at a point, None where one has none."""
    for digits in (DIGITS, MORE_DIGITS):
        one, two = (_value(node, point, digits, is_real=is_real) for node in (first, second))
        if one is None or two is None:
            is_narrower = one is not None and is_real and contains(first, "abs")
            is_narrower = is_narrower and not contains(second, "abs")
            # ln|x| is real where ln(x) is not; next to a pole neither is.
            return False if is_narrower and _value(second, point) is not None else None
        if _close(one, two):
            return True
    return False


def _is_real(value: Any) -> bool:
    return bool(abs(value.imag) <= abs(value) * 10.0**-AGREEING_DIGITS)
