"""What a formula is worth: exactly where it is rational, as floats to tell two apart, and how big.

Floats only ever refute. They never say that two formulas are equal.
"""

import cmath
import math
import operator
import random
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from harness.equivalence.tree import Node, contains, variables

MAX_EXPONENT = 5000
MAX_DEGREE = 1000
"""Of a polynomial, multiplied out."""
MAX_FACTORIAL = 3000
MAX_BITS = 40_000
"""Of an intermediate exact value."""


class TooLarge(ValueError):  # noqa: N818 - says what a formula is
    """Working a formula out would take too long; it is compared as a string only."""


class Undefined(ValueError):  # noqa: N818
    """A formula has no value: it divides by zero."""


def exact(node: Node) -> Fraction | None:
    """The value of a formula made of rational numbers, None where it is not rational on its face.

    Raises:
        TooLarge: The value, or one on the way to it, is too large to work out.
        Undefined: It divides by zero.
    """
    if node.operation == "number":
        assert isinstance(node.value, Fraction)
        return node.value
    operands = [exact(operand) for operand in node.operands]
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
}


def check_size(node: Node) -> None:
    """Refuses powers and factorials that no program should be asked to work out.

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
    try:
        return abs(estimate(node, {})[0])
    except (OverflowError, ArithmeticError, ValueError):
        return math.inf


Estimate = tuple[complex, bool]
"""A value, and whether its leading digits can be relied on."""


def estimate(node: Node, values: Mapping[str, complex]) -> Estimate:
    """The value in floats at one point.

    Raises:
        ArithmeticError, ValueError, OverflowError: It has none there, or none that floats hold.
    """
    if not node.operands:
        return _leaf(node, values), True
    parts = [estimate(operand, values) for operand in node.operands]
    numbers = [value for value, _ in parts]
    if node.operation == "negate":
        # Not -value: a negative zero as imaginary part would change the branch of roots.
        return 0 - numbers[0], parts[0][1]
    is_sound = all(sound for _, sound in parts)
    if node.operation == "add":
        total = sum(numbers)
        # What cancels takes the leading digits with it.
        return total, is_sound and abs(total) > 1e-6 * max(map(abs, numbers))
    if node.operation == "call":
        value = _call(str(node.value), numbers)
        # sin(pi) is 1e-16 in floats, and sin(10^20) is anything.
        is_sound = is_sound and abs(value) > 1e-6 and abs(numbers[0]) < 1e6  # noqa: PLR2004
        return value, is_sound
    return _operate(node.operation, numbers), is_sound and node.operation not in {"floor", "ceil"}


def _leaf(node: Node, values: Mapping[str, complex]) -> complex:
    if isinstance(node.value, Fraction):
        return complex(float(node.value))
    if node.operation == "variable":
        return values[str(node.value)]
    known = {"pi": complex(math.pi), "e": complex(math.e), "i": 1j}
    if node.value not in known:
        raise ValueError("infinity is no number")
    return known[node.value]


def _operate(operation: str, numbers: list[complex]) -> complex:  # noqa: PLR0911 - one for each case
    match operation:
        case "multiply":
            return numbers[0] * numbers[1]
        case "divide":
            return numbers[0] / numbers[1]
        case "abs":
            return complex(abs(numbers[0]))
        case "power":
            return numbers[0] ** numbers[1]
        case "root":
            return _float_root(*numbers)
        case "factorial":
            return complex(math.gamma(_real(numbers[0]) + 1))
        case "floor":
            return complex(math.floor(_real(numbers[0])))
        case "ceil":
            return complex(math.ceil(_real(numbers[0])))
        case "binomial":
            n, k = map(_real, numbers)
            return complex(math.gamma(n + 1) / math.gamma(k + 1) / math.gamma(n - k + 1))
        case _:
            raise ValueError(f"no value for {operation}")


def _float_root(radicand: complex, degree: complex) -> complex:
    """The real root of a negative number where there is one, as school has it."""
    if radicand.imag == 0 and radicand.real < 0 and degree.real % 2 == 1:
        return -((-radicand) ** (1 / degree))
    return complex(radicand.real, radicand.imag or 0.0) ** (1 / degree)


def _real(value: complex) -> float:
    if abs(value.imag) > 1e-12 * abs(value):
        raise ValueError("not real")
    return value.real


def _call(name: str, numbers: list[complex]) -> complex:  # noqa: PLR0911 - one for each case
    argument = numbers[0]
    match name:
        case "log":
            return cmath.log(argument) / cmath.log(numbers[1] if len(numbers) > 1 else 10)
        case "ln":
            return cmath.log(argument)
        case "cot" | "sec" | "csc":
            return 1 / {"cot": cmath.tan, "sec": cmath.cos, "csc": cmath.sin}[name](argument)
        case "arccot" | "arcsec" | "arccsc":
            table = {"arccot": cmath.atan, "arcsec": cmath.acos, "arccsc": cmath.asin}
            return table[name](1 / argument)
        case "cis":
            return cmath.exp(1j * argument)
        case "arcsin" | "arccos" | "arctan":
            return {"arcsin": cmath.asin, "arccos": cmath.acos, "arctan": cmath.atan}[name](
                argument
            )
        case _:
            return complex(getattr(cmath, name)(argument))


def points(names: list[str]) -> Iterator[dict[str, Fraction]]:
    """Fixed points to try formulas at, of every order and sign of their variables.

    Roots, logarithms and inverse functions are real on a part of them only, hence several ranges.
    """
    for low, high in ((0, 1), (0, 5), (-5, 5), (-1, 1), (10, 50)):
        for turn in range(2 if len(names) < 2 else 3):  # noqa: PLR2004 - all orders of two
            draw = random.Random(f"{low} {high} {turn}")  # noqa: S311 - repeatable, not secret
            yield {name: Fraction(draw.randrange(low * 997, high * 997), 997) for name in names}


def differ(first: Node, second: Node) -> bool:
    """Whether floats show that two formulas are not the same. False means nothing."""
    names = sorted(variables(first) | variables(second))
    is_complex = any(contains(node, "constant", frozenset("i")) for node in (first, second))
    for exact_point in points(names):
        point = {name: complex(float(value)) for name, value in exact_point.items()}
        try:
            (one, is_sound), (two, is_also_sound) = estimate(first, point), estimate(second, point)
        except (ArithmeticError, ValueError):
            continue
        scale = max(abs(one), abs(two))
        if not (is_sound and is_also_sound and math.isfinite(scale)):
            continue
        is_real = max(abs(one.imag), abs(two.imag)) <= 1e-9 * scale
        if (is_real or is_complex or not names) and abs(one - two) > 1e-6 * scale:
            return True
        if not names:
            return False
    return False
