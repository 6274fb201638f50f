"""The judge that knows algebra: sympy works formulas out, math-verify settles what is left.

Workers only. A formula is built in sympy straight from its tree. An answer's own LaTeX is never
handed to latex2sympy: its grammar takes 80 ms for ``3x^2y-xy^2`` and exponential time in nested
brackets, and it guesses (units, lower case, mixed numbers, ``i`` as a variable) where
``expression`` refuses. ``second`` hands it formulas in a spelling of its own.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from harness.equivalence import numbers
from harness.equivalence.judge import Arithmetic
from harness.equivalence.tree import Node, contains, number, variables

DIGITS = 60
AGREEING_DIGITS = 45
"""Two values that agree so far are the same, provided their difference shows no digit at all."""


class Algebra:
    """The judge of the worker process."""

    def __init__(self) -> None:
        self._arithmetic = Arithmetic()

    def equal(self, gold: Node, answer: Node) -> bool | None:
        """See ``Judge``."""
        verdict = self._arithmetic.equal(gold, answer)
        if verdict is not None:
            return verdict
        first, second = build(gold), build(answer)
        if _is_undefined(first) or _is_undefined(second):
            return False
        if first == second:
            return True
        is_complex = any(contains(node, "constant", frozenset("i")) for node in (gold, answer))
        if first.free_symbols | second.free_symbols:
            return _same_function(first, second, is_complex=is_complex)
        return _same_number(first, second)

    def value(self, node: Node) -> Fraction | None:
        """See ``Judge``: exact, or rounded to ``AGREEING_DIGITS`` significant digits."""
        known = self._arithmetic.value(node)
        if known is not None or variables(node):
            return known
        value = build(node).evalf(DIGITS)
        if not (value.is_number and value.is_real and value.is_finite):
            return None
        return Fraction(str(value.evalf(AGREEING_DIGITS)))


def _is_undefined(value: Any) -> bool:
    import sympy

    return bool(value.has(sympy.nan, sympy.zoo, sympy.oo))


def _same_number(first: Any, second: Any) -> bool:
    """Constants: many digits of each, then of the difference."""
    if not _close(first.evalf(DIGITS), second.evalf(DIGITS)):
        return False
    return _difference_vanishes(first - second)


def _difference_vanishes(difference: Any) -> bool:
    """No digit of the difference is found, however far it is worked out."""
    from sympy.core.evalf import PrecisionExhausted

    try:
        return bool(difference.evalf(2, maxn=400, strict=True) == 0)
    except PrecisionExhausted:
        return True


def _close(one: Any, two: Any) -> bool:
    import sympy

    scale = max(abs(one), abs(two))
    if not (scale.is_number and scale.is_finite):
        return False
    tiny = sympy.Float(10, DIGITS) ** -AGREEING_DIGITS
    # Next to an exact zero there is no relative error; what is left has no digits then.
    return bool(abs(one - two) <= max(scale * tiny, tiny if 0 in {one, two} else 0))


def _verify(first: Any, second: Any) -> bool:
    """math-verify's verdict: no rounding, and without its timeouts, which use signals."""
    from math_verify import verify

    return bool(
        verify(first, second, float_rounding=40, numeric_precision=40, timeout_seconds=None)
    )


_ENOUGH_POINTS = 2


def _same_function(first: Any, second: Any, *, is_complex: bool) -> bool:
    """Formulas with variables: equal wherever both have a real value, at points of both signs.

    Where one of them holds ``i``, complex values are compared as well. Where too few points have
    a value, math-verify simplifies the difference.
    """
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    seen = 0
    for values in numbers.points([str(symbol) for symbol in symbols]):
        point = {symbol: build(number(values[str(symbol)])) for symbol in symbols}
        one, two = (value.subs(point).evalf(DIGITS) for value in (first, second))
        if not all(value.is_number and value.is_finite for value in (one, two)):
            continue
        if not (is_complex or (_is_real(one) and _is_real(two))):
            continue
        if not _close(one, two):
            return False
        seen += 1
    return seen >= _ENOUGH_POINTS or _verify(first, second)


def _is_real(value: Any) -> bool:
    return bool(abs(value.as_real_imag()[1]) < 1e-40)  # noqa: PLR2004 - of 60 digits


def build(node: Node) -> Any:
    """The sympy expression of a tree."""
    import sympy

    value = node.value
    match node.operation:
        case "number":
            assert isinstance(value, Fraction)
            return sympy.Rational(value.numerator, value.denominator)
        case "variable":
            return sympy.Symbol(str(value))
        case "constant":
            constants = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infty": sympy.oo}
            return constants[str(value)]
        case "root":
            return _root(node)
        case "call":
            return _call(str(value), [build(operand) for operand in node.operands])
        case operation:
            return _operation(operation)(*map(build, node.operands))


def _operation(name: str) -> Callable[..., Any]:
    import sympy

    operations: dict[str, Callable[..., Any]] = {
        "add": sympy.Add,
        "multiply": sympy.Mul,
        "divide": lambda top, bottom: top / bottom,
        "power": sympy.Pow,
        "negate": lambda value: -value,
        "factorial": sympy.factorial,
        "abs": sympy.Abs,
        "floor": sympy.floor,
        "ceil": sympy.ceiling,
        "binomial": sympy.binomial,
    }
    return operations[name]


def _root(node: Node) -> Any:
    """The real root of a negative number where there is one, as school has it."""
    import sympy

    radicand, degree = map(numbers.exact, node.operands)
    first, second = map(build, node.operands)
    is_odd = degree is not None and degree.denominator == 1 and degree % 2 == 1
    if is_odd and radicand is not None and radicand < 0:
        return -sympy.root(-first, second)
    return sympy.Pow(first, 1 / second)


def _call(name: str, operands: list[Any]) -> Any:
    import sympy

    match name:
        case "log":
            return sympy.log(operands[0], operands[1] if len(operands) > 1 else 10)
        case "ln":
            return sympy.log(operands[0])
        case "cis":
            return sympy.cos(operands[0]) + sympy.I * sympy.sin(operands[0])
        case _:
            return getattr(sympy, name.replace("arc", "a"))(operands[0])
