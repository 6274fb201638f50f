"""Evaluates formulas at points, and chooses points to try.

mpmath evaluates them, with floats or with a given number of digits. Floats only ever refute: they
never say that two formulas are equal.
"""

import math
import random
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from mpmath import fp

from harness.scorers.equivalence.numbers import MAX_FACTORIAL, TooLarge, Undefined, exact
from harness.scorers.equivalence.tree import Node, contains, variables

MAX_LOGARITHM = 1e5
"""Largest logarithm of a power that is computed."""


class Place(NamedTuple):
    """The point at which a formula is evaluated, and the arithmetic."""

    values: Mapping[str, Any]
    context: Any
    """``mpmath.fp`` or ``mpmath.mp``."""
    is_real: bool = False
    """Roots and logarithms of negative numbers have no value."""


FLOATS = Place({}, fp)
Estimate = tuple[Any, bool]
"""A value, and whether the leading digits of a float can be relied on."""


def estimate(node: Node, place: Place) -> Estimate:
    """The value at one point.

    Raises:
        ArithmeticError, ValueError, OverflowError: It has none there, or none that is worked out.
    """
    if not node.operands:
        return _leaf(node, place), True
    parts = [estimate(operand, place) for operand in node.operands]
    numbers = [value for value, _ in parts]
    is_sound = all(sound for _, sound in parts)
    match node.operation:
        case "add":
            total = sum(numbers)
            # What cancels takes the leading digits with it.
            return total, is_sound and abs(total) > 1e-6 * max(map(abs, numbers))
        case "call":
            value = _call(str(node.value), numbers, place)
            # sin(pi) is 1e-16 in floats, and sin(10^20) is anything.
            return value, is_sound and abs(value) > 1e-6 and abs(numbers[0]) < 1e6  # noqa: PLR2004
        case "floor" | "ceil":
            whole, is_clear = _floor(numbers[0], place)
            return whole + (node.operation == "ceil" and is_clear), is_sound and is_clear
    return _operate(node.operation, numbers, place), is_sound


def _leaf(node: Node, place: Place) -> Any:
    if isinstance(node.value, Fraction):
        return place.context.mpf(node.value.numerator) / node.value.denominator
    if node.operation == "variable":
        return place.values[str(node.value)]
    match node.value:
        case "pi":
            return +place.context.pi
        case "e":
            return +place.context.e
        case "i":
            return 1j
    raise ValueError("infinity is no number")


def _floor(value: Any, place: Place) -> tuple[Any, bool]:
    """The whole number below, and whether the value is clearly none itself; if not, that one."""
    real = _real(value)
    nearest = place.context.floor(real + 0.5)
    if abs(real - nearest) <= place.context.eps**0.75 * max(1, abs(real)):
        return nearest, False
    return nearest - (nearest > real), True


def _operate(operation: str, numbers: list[Any], place: Place) -> Any:  # noqa: PLR0911 - one for each case
    first, second = numbers[0], numbers[-1]
    match operation:
        case "negate":
            # Not -value: a negative zero as imaginary part would change the branch of roots.
            return 0 - first
        case "multiply":
            return first * second
        case "divide":
            return first / second
        case "abs":
            return abs(first)
        case "power":
            return _power(first, second, place)
        case "root":
            return _root(first, second, place)
        case "factorial" | "binomial":
            return getattr(place.context, operation)(*(_count(number) for number in numbers))
        case "max" | "min":
            return {"max": max, "min": min}[operation](map(_real, numbers))
    raise ValueError(f"no value for {operation}")


def _power(base: Any, exponent: Any, place: Place) -> Any:
    if place.is_real and base.imag == 0 and base.real < 0 and exponent.real % 1 != 0:
        raise ValueError("not real")
    if abs(exponent) > 1 and abs(exponent) * abs(math.log(max(abs(base), 1e-300))) > MAX_LOGARITHM:
        raise OverflowError("a power too large to work out")
    return base**exponent


def _root(radicand: Any, degree: Any, place: Place) -> Any:
    """The real root of a negative number where there is one, as school has it."""
    is_negative = radicand.imag == 0 and radicand.real < 0
    if is_negative and degree.real % 2 == 1:
        return -((-radicand) ** (1 / degree))
    if is_negative and place.is_real:
        raise ValueError("not real")
    return (0 + radicand) ** (1 / degree)


def _count(value: Any) -> Any:
    real = _real(value)
    if abs(real) > MAX_FACTORIAL:
        raise OverflowError("a factorial too large to work out")
    return real


def _real(value: Any) -> Any:
    if abs(value.imag) > 1e-12 * abs(value):
        raise ValueError("not real")
    return value.real


def _call(name: str, numbers: list[Any], place: Place) -> Any:
    if place.is_real and name in {"log", "ln"} and numbers[0].real < 0:
        raise ValueError("not real")
    if name in {"exp", "cis"} and abs(numbers[0]) > MAX_LOGARITHM:
        raise OverflowError("a power too large to work out")
    if name == "log":
        return place.context.log(numbers[0]) / place.context.log([*numbers, 10][1])
    function = {"cis": "expj"}.get(name, name.replace("arc", "a"))
    return getattr(place.context, function)(numbers[0])


# --- points to try formulas at ----------------------------------------------------------------

_INTEGER_NAMES = frozenset("ijklmnpqrNMK")
_STEPS = frozenset({"floor", "ceil"})
_KINKED = _STEPS | {"abs", "max", "min", "root", "factorial", "binomial"}
_RANGES = ((0, 1), (0, 5), (-5, 5), (-1, 1), (10, 50))
_WIDE = ((-40, 0), (0, 200), (-200, 200), (-9000, 9000))
_INTEGERS = (*range(13), 16, 17, 25, 27, 31, 32, 64, 81, 100, 1000, -1, -2, -3, -4, -5, -9, -30,
             10**7, -(10**7))  # fmt: skip
"""The last two lie beyond all kinks, on the unbounded pieces."""


def is_broken_power(node: Node) -> bool:
    """A power whose exponent may be no whole number, of what may be negative."""
    if node.operation != "power":
        return False
    base, exponent = node.operands[0], exact(node.operands[1])
    is_positive = base.operation == "constant" or (exact(base) or 0) > 0
    return not is_positive and (exponent is None or exponent.denominator != 1)


def is_kinked(node: Node) -> bool:
    """A formula that different rules may hold for on different parts of the line."""
    is_here = node.operation in _KINKED or is_broken_power(node)
    return is_here or any(map(is_kinked, node.operands))


def whole_names(*nodes: Node) -> frozenset[str]:
    """Variables that are non-negative integers.

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
    if not names:
        yield {}
        return
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
    place = FLOATS._replace(is_real=needs_real)
    for point in points(first, second):
        try:
            (one, is_sound), (two, is_also_sound) = (
                _at(point, node, place) for node in (first, second)
            )
        except (ArithmeticError, ValueError):
            continue
        scale = max(abs(one), abs(two))
        if not (is_sound and is_also_sound and math.isfinite(scale)):
            continue
        is_real = max(abs(one.imag), abs(two.imag)) <= 1e-9 * scale
        if (is_real or not needs_real) and abs(one - two) > 1e-6 * scale:
            return True
    return False


def _at(point: Mapping[str, Fraction], node: Node, place: Place) -> Estimate:
    known = exact(node, point)
    if known is not None:
        return complex(float(known)), True
    values = {name: complex(float(value)) for name, value in point.items()}
    return estimate(node, place._replace(values=values))


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
