"""What a formula is worth: exactly where it is rational, as floats to tell two apart, and how big.

Floats only ever refute. They never say that two formulas are equal.
"""

import cmath
import math
import operator
import random
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from harness.equivalence.tree import Node, contains, variables

MAX_EXPONENT = 50_000
MAX_DEGREE = 1000
"""Of a polynomial, multiplied out."""
MAX_FACTORIAL = 3000
MAX_BITS = 150_000
"""Of an intermediate exact value."""


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
        return float(abs(estimate(node, {})[0]))
    except (OverflowError, ArithmeticError, ValueError):
        return math.inf


class Kind(NamedTuple):
    """Numbers that formulas are worked out in: floats here, many digits in ``algebra``."""

    functions: Any
    """A module with ``log``, ``sin`` and their like."""
    number: Callable[[Fraction], Any]
    gamma: Callable[[Any], Any]
    """Of a real number."""
    nearest: Callable[[Any], Any]
    """The nearest whole number."""
    pi: Any
    e: Any
    tiny: float
    """Relative error up to which a number counts as whole."""
    is_real: bool = False
    """Roots and logarithms of negative numbers have no value."""


FLOATS = Kind(
    functions=cmath,
    number=lambda value: complex(float(value)),
    gamma=lambda value: complex(math.gamma(value)),
    nearest=round,
    pi=complex(math.pi),
    e=complex(math.e),
    tiny=1e-9,
)
Estimate = tuple[Any, bool]
"""A value, and whether the leading digits of a float can be relied on."""


def estimate(node: Node, values: Mapping[str, Any], among: Kind = FLOATS) -> Estimate:
    """The value at one point.

    Raises:
        ArithmeticError, ValueError, OverflowError: It has none there, or none that is worked out.
    """
    if not node.operands:
        return _leaf(node, values, among), True
    parts = [estimate(operand, values, among) for operand in node.operands]
    numbers = [value for value, _ in parts]
    is_sound = all(sound for _, sound in parts)
    match node.operation:
        case "negate":
            # Not -value: a negative zero as imaginary part would change the branch of roots.
            return 0 - numbers[0], is_sound
        case "add":
            total = sum(numbers)
            # What cancels takes the leading digits with it.
            return total, is_sound and abs(total) > 1e-6 * max(map(abs, numbers))
        case "call":
            value = _call(str(node.value), numbers, among)
            # sin(pi) is 1e-16 in floats, and sin(10^20) is anything.
            return value, is_sound and abs(value) > 1e-6 and abs(numbers[0]) < 1e6  # noqa: PLR2004
        case "floor" | "ceil":
            whole, is_clear = _floor(numbers[0], among)
            return whole + (node.operation == "ceil" and is_clear), is_sound and is_clear
    return _operate(node.operation, numbers, among), is_sound


def _leaf(node: Node, values: Mapping[str, Any], among: Kind) -> Any:
    if isinstance(node.value, Fraction):
        return among.number(node.value)
    if node.operation == "variable":
        return values[str(node.value)]
    match node.value:
        case "pi":
            return among.pi
        case "e":
            return among.e
        case "i":
            return 1j
    raise ValueError("infinity is no number")


def _floor(value: Any, among: Kind) -> tuple[Any, bool]:
    """The whole number below, and whether the value is clearly none itself; if not, that one."""
    real = _real(value)
    nearest = among.nearest(real)
    if abs(real - nearest) <= among.tiny * max(1, abs(real)):
        return nearest, False
    return nearest - (nearest > real), True


def _operate(operation: str, numbers: list[Any], among: Kind) -> Any:  # noqa: PLR0911 - one for each case
    match operation:
        case "multiply":
            return numbers[0] * numbers[1]
        case "divide":
            return numbers[0] / numbers[1]
        case "abs":
            return abs(numbers[0])
        case "power":
            return _float_power(numbers[0], numbers[1], among)
        case "root":
            return _float_root(numbers[0], numbers[1], among)
        case "factorial":
            return _gamma(numbers[0] + 1, among)
        case "binomial":
            n, k = numbers
            return _gamma(n + 1, among) / _gamma(k + 1, among) / _gamma(n - k + 1, among)
        case "max" | "min":
            return {"max": max, "min": min}[operation](map(_real, numbers))
        case _:
            raise ValueError(f"no value for {operation}")


MAX_LOGARITHM = 1e5
"""Of a power: what is larger is not worked out."""


def _float_power(base: Any, exponent: Any, among: Kind) -> Any:
    if among.is_real and base.imag == 0 and base.real < 0 and exponent.real % 1 != 0:
        raise ValueError("not real")
    if abs(exponent) > 1 and abs(exponent) * abs(math.log(max(abs(base), 1e-300))) > MAX_LOGARITHM:
        raise OverflowError("a power too large to work out")
    return base**exponent


def _float_root(radicand: Any, degree: Any, among: Kind) -> Any:
    """The real root of a negative number where there is one, as school has it."""
    is_negative = radicand.imag == 0 and radicand.real < 0
    if is_negative and among.is_real and degree.real % 2 != 1:
        raise ValueError("not real")
    if is_negative and degree.real % 2 == 1:
        return -((-radicand) ** (1 / degree))
    return (0 + radicand) ** (1 / degree)


def _gamma(value: Any, among: Kind) -> Any:
    real = _real(value)
    if abs(real) > MAX_FACTORIAL:
        raise OverflowError("a factorial too large to work out")
    return among.gamma(real)


def _real(value: Any) -> Any:
    if abs(value.imag) > 1e-12 * abs(value):
        raise ValueError("not real")
    return value.real


_INVERSES = {"cot": "tan", "sec": "cos", "csc": "sin", "arccot": "atan", "arcsec": "acos",
             "arccsc": "asin"}  # fmt: skip


def _call(name: str, numbers: list[Any], among: Kind) -> Any:
    argument, functions = numbers[0], among.functions
    if among.is_real and name in {"log", "ln"} and argument.real < 0:
        raise ValueError("not real")
    if name in {"exp", "cis"} and abs(argument) > MAX_LOGARITHM:
        raise OverflowError("a power too large to work out")
    match name:
        case "log":
            return functions.log(argument) / functions.log(numbers[1] if len(numbers) > 1 else 10)
        case "ln":
            return functions.log(argument)
        case "cis":
            return functions.exp(1j * argument)
        case "cot" | "sec" | "csc":
            return 1 / getattr(functions, _INVERSES[name])(argument)
        case "arccot" | "arcsec" | "arccsc":
            return getattr(functions, _INVERSES[name])(1 / argument)
        case _:
            return getattr(functions, name.replace("arc", "a"))(argument)


# --- points to try formulas at ----------------------------------------------------------------

_INTEGER_NAMES = frozenset("ijklmnpqrNMK")
_STEPS = frozenset({"floor", "ceil"})
_KINKED = _STEPS | {"abs", "max", "min", "root", "factorial", "binomial"}
_RANGES = ((0, 1), (0, 5), (-5, 5), (-1, 1), (10, 50))
_WIDE = ((-40, 0), (0, 200), (-200, 200), (-9000, 9000))
_INTEGERS = (*range(13), 16, 17, 25, 27, 31, 32, 64, 81, 100, 1000, -1, -2, -3, -4, -5, -9, -30)


def is_broken_power(node: Node) -> bool:
    """A power whose exponent is no whole number on its face."""
    if node.operation != "power":
        return False
    exponent = exact(node.operands[1])
    return exponent is None or exponent.denominator != 1


def is_kinked(node: Node) -> bool:
    """A formula that different rules may hold for on different parts of the line."""
    is_here = node.operation in _KINKED or is_broken_power(node)
    return is_here or any(map(is_kinked, node.operands))


def whole_names(*nodes: Node) -> frozenset[str]:
    """Variables that stand for whole numbers only, and no negative ones.

    They do in a gcd; where there are steps, by custom, if they are called ``n`` or the like.
    """
    names = frozenset().union(*map(variables, nodes))
    if any(contains(node, operation) for node in nodes for operation in ("gcd", "lcm")):
        return names
    if any(contains(node, operation) for node in nodes for operation in _STEPS):
        return names & _INTEGER_NAMES
    return frozenset()


def points(*nodes: Node) -> Iterator[dict[str, Fraction]]:
    """Fixed points to try formulas at, of every order and sign of their variables.

    Roots, logarithms and inverse functions are real on a part of them only, hence several ranges.
    Where rules may change, whole numbers and wide ranges are tried as well.
    """
    names = sorted(frozenset().union(*map(variables, nodes)))
    whole = whole_names(*nodes)
    wide = any(map(is_kinked, nodes)) or bool(whole)
    for low, high in (*_RANGES, *(_WIDE if wide else ())):
        for turn in range(2 if len(names) < 2 else 3):  # noqa: PLR2004 - all orders of two
            draw = random.Random(f"{low} {high} {turn}")  # noqa: S311 - repeatable, not secret
            point = {name: Fraction(draw.randrange(low * 997, high * 997), 997) for name in names}
            yield {n: Fraction(abs(round(v))) if n in whole else v for n, v in point.items()}
    if not wide:
        return
    for at, value in enumerate(_INTEGERS):
        draw = random.Random(at)  # noqa: S311
        values = [value, *(draw.randrange(-7, 13) for _ in names[1:])]
        yield {
            name: Fraction(abs(each) if name in whole else each)
            for name, each in zip(names, values, strict=False)
        }


def is_complex(*nodes: Node) -> bool:
    """The imaginary unit occurs."""
    return any(contains(node, "constant", frozenset("i")) for node in nodes)


def differ(first: Node, second: Node) -> bool:
    """Whether floats show that two formulas are not the same. False means nothing."""
    needs_real = bool(variables(first) | variables(second)) and not is_complex(first, second)
    among = FLOATS._replace(is_real=needs_real)
    for point in points(first, second):
        try:
            (one, is_sound), (two, is_also_sound) = (
                _at(point, node, among) for node in (first, second)
            )
        except (ArithmeticError, ValueError):
            continue
        scale = max(abs(one), abs(two))
        if not (is_sound and is_also_sound and math.isfinite(scale)):
            continue
        is_real = max(abs(one.imag), abs(two.imag)) <= 1e-9 * scale
        if (is_real or not needs_real) and abs(one - two) > 1e-6 * scale:
            return True
        if not point:
            return False
    return False


def _at(point: Mapping[str, Fraction], node: Node, among: Kind) -> Estimate:
    known = exact(node, point)
    if known is not None:
        return complex(float(known)), True
    return estimate(node, {name: complex(float(v)) for name, v in point.items()}, among)


def same_rational(first: Node, second: Node) -> bool | None:
    """Whether two quotients of polynomials are the same, None when they are more than that.

    A polynomial of low degree that vanishes at this many points of no meaning vanishes everywhere.
    """
    if not (_is_rational(first) and _is_rational(second)):
        return None
    seen = 0
    for point in points(first, second):
        try:
            one, two = exact(first, point), exact(second, point)
        except Undefined:
            continue
        except TooLarge:
            return None
        if one != two:
            return False
        seen += 1
    return True if seen > len(_RANGES) else None


def _is_rational(node: Node) -> bool:
    if node.operation == "power":
        exponent = exact(node.operands[1])
        return exponent is not None and exponent.denominator == 1 and _is_rational(node.operands[0])
    is_known = node.operation in {"number", "variable", "add", "multiply", "divide", "negate"}
    return is_known and all(map(_is_rational, node.operands))
