"""The judge that knows algebra: latex2sympy reads, sympy and math-verify decide. Workers only.

Formulas reach it as trees, go to latex2sympy as LaTeX in which every product, bracket and
fraction is explicit, variables have neutral names and decimals are exact fractions; so none of
its guesses (units, mixed numbers, lower case, ``i`` as a variable) is ever asked for.
"""

import functools
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from harness.equivalence import numbers
from harness.equivalence.expression import Node, contains, variables
from harness.equivalence.matching import Arithmetic

DIGITS = 60
AGREEING_DIGITS = 45
"""Two values that share so many digits and whose difference has none left are equal."""


class Algebra:
    """The judge of the worker process."""

    def __init__(self) -> None:
        self._arithmetic = Arithmetic()

    def equal(self, gold: Node, answer: Node) -> bool | None:
        """See ``Judge``."""
        verdict = self._arithmetic.equal(gold, answer)
        if verdict is not None:
            return verdict
        names = sorted(variables(gold) | variables(answer))
        first, second = _sympy(gold, names), _sympy(answer, names)
        if first == second:
            return not _is_undefined(first)
        is_complex = any(contains(node, "constant", frozenset("i")) for node in (gold, answer))
        if names:
            return _same_function(first, second, is_complex)
        return _same_number(first, second)

    def value(self, node: Node) -> Fraction | None:
        """See ``Judge``: exact, or rounded to ``AGREEING_DIGITS`` significant digits."""
        known = self._arithmetic.value(node)
        if known is not None or variables(node):
            return known
        value = _sympy(node, []).evalf(DIGITS)
        if not (value.is_number and value.is_real and value.is_finite):
            return None
        return Fraction(str(value.evalf(AGREEING_DIGITS)))


def _sympy(node: Node, names: list[str]) -> Any:
    return _parse(latex_of(node, {name: f"v_{{{at}}}" for at, name in enumerate(names)}))


@functools.lru_cache(maxsize=512)
def _parse(latex: str) -> Any:
    import sympy
    from latex2sympy2_extended import latex2sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig

    config = ConversionConfig(interpret_as_mixed_fractions=False, lowercase_symbols=False)
    parsed = latex2sympy(latex, normalization_config=None, conversion_config=config)
    return sympy.sympify(parsed).xreplace({sympy.Symbol("i"): sympy.I}).doit()


def _is_undefined(value: Any) -> bool:
    import sympy

    return bool(value.has(sympy.nan, sympy.zoo, sympy.oo))


def _same_number(first: Any, second: Any) -> bool:
    """Constants: many digits of each, then of the difference."""
    if _is_undefined(first) or _is_undefined(second):
        return False
    one, two = first.evalf(DIGITS), second.evalf(DIGITS)
    if not _close(one, two):
        return False
    return _verify(first, second) or _difference_vanishes(first - second)


def _difference_vanishes(difference: Any) -> bool:
    """No digit of the difference is found, however far it is worked out."""
    from sympy.core.evalf import PrecisionExhausted

    try:
        value = difference.evalf(2, maxn=400, strict=True)
    except PrecisionExhausted:
        return True
    return bool(value == 0)


def _close(one: Any, two: Any) -> bool:
    import sympy

    scale = max(abs(one), abs(two))
    if not (scale.is_number and scale.is_finite):
        return False
    tiny = sympy.Float(10, DIGITS) ** -AGREEING_DIGITS
    # Next to an exact zero there is no relative error; what is left has no digits then.
    floor = tiny if 0 in {one, two} else 0
    return bool(abs(one - two) <= max(scale * tiny, floor))


def _verify(first: Any, second: Any) -> bool:
    """math-verify's own verdict, without rounding and without its timeouts."""
    from math_verify import verify

    return bool(
        verify(first, second, float_rounding=40, numeric_precision=40, strict=True,
               timeout_seconds=None)
    )  # fmt: skip


_STARTS = tuple(
    Fraction(*pair) for pair in ((5, 7), (17, 9), (29, 11), (41, 3), (-4, 9), (-23, 10))
)
_STEP = Fraction(37, 101)
_ENOUGH_POINTS = 2


def _same_function(first: Any, second: Any, is_complex: bool) -> bool:
    """Formulas with variables: equal wherever both have a real value, at points of both signs.

    Where one of them holds ``i``, complex values are compared as well.
    """
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    seen, unreal = 0, 0
    for start in _STARTS:
        point = _point(symbols, start)
        one, two = (value.subs(point).evalf(DIGITS) for value in (first, second))
        if not all(value.is_number and value.is_finite for value in (one, two)):
            continue
        is_real = all(abs(value.as_real_imag()[1]) < 1e-40 for value in (one, two))  # noqa: PLR2004
        if not is_real and not is_complex:
            unreal += 1
            continue
        if not _close(one, two):
            return False
        seen += 1
    return seen >= _ENOUGH_POINTS and unreal < len(_STARTS)


def _point(symbols: Iterable[Any], start: Fraction) -> dict[Any, Any]:
    import sympy

    values = (start + _STEP * at for at in range(math.factorial(8)))
    return {
        symbol: sympy.Rational(value.numerator, value.denominator)
        for symbol, value in zip(symbols, values, strict=False)
    }


def latex_of(node: Node, names: dict[str, str]) -> str:
    """Explicit LaTeX of a tree."""
    parts = [latex_of(operand, names) for operand in node.operands]
    match node.operation:
        case "number":
            assert isinstance(node.value, Fraction)
            return _number(node.value)
        case "variable":
            return names[str(node.value)]
        case "constant":
            return str(node.value) if node.value in {"e", "i"} else f"\\{node.value}"
        case "call":
            return _call(str(node.value), parts)
        case "root":
            return _root(node, parts)
        case operation:
            return _PATTERNS[operation](parts)


_PATTERNS = {
    "add": lambda parts: "(" + "+".join(parts) + ")",
    "multiply": lambda parts: "(" + "\\cdot ".join(parts) + ")",
    "divide": lambda parts: f"\\frac{{{parts[0]}}}{{{parts[1]}}}",
    "power": lambda parts: f"({parts[0]})^{{{parts[1]}}}",
    "negate": lambda parts: f"(-({parts[0]}))",
    "factorial": lambda parts: f"({parts[0]})!",
    "abs": lambda parts: f"\\lvert {parts[0]}\\rvert ",
    "floor": lambda parts: f"\\lfloor {parts[0]}\\rfloor ",
    "ceil": lambda parts: f"\\lceil {parts[0]}\\rceil ",
    "binomial": lambda parts: f"\\binom{{{parts[0]}}}{{{parts[1]}}}",
}


def _number(value: Fraction) -> str:
    if value < 0:
        return f"(-{_number(-value)})"
    if value.denominator == 1:
        return str(value.numerator)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _root(node: Node, parts: list[str]) -> str:
    """The real root of a negative number where there is one, as school has it."""
    radicand, degree = (numbers.exact(operand) for operand in node.operands)
    is_odd = degree is not None and degree.denominator == 1 and degree % 2 == 1
    if is_odd and radicand is not None and radicand < 0:
        return f"(-(\\sqrt[{parts[1]}]{{{_number(-radicand)}}}))"
    return f"\\sqrt{{{parts[0]}}}" if degree == 2 else f"\\sqrt[{parts[1]}]{{{parts[0]}}}"  # noqa: PLR2004


def _call(name: str, parts: list[str]) -> str:
    inside = parts[0]
    match name:
        case "log" if len(parts) > 1:
            return f"\\frac{{\\ln({inside})}}{{\\ln({parts[1]})}}"
        case "log":
            return f"\\frac{{\\ln({inside})}}{{\\ln(10)}}"
        case "cis":
            return f"(\\cos({inside})+i\\cdot \\sin({inside}))"
        case "arcsec" | "arccsc" | "arccot":
            table = {"arcsec": "arccos", "arccsc": "arcsin", "arccot": "arctan"}
            return f"\\{table[name]}(\\frac{{1}}{{{inside}}})"
        case _:
            return f"\\{name}({inside})"
