# ruff: noqa: PLR2004 - the numbers here are those of the problems
"""Computes every answer of ``tasks/math_mini`` in another way than its solution does.

Each function below counts, searches, solves or integrates from the problem's own data, and writes
the value that it found in the LaTeX of the answer. Nothing is copied from ``problems.jsonl``. Run
it after every edit there::

    python scripts/check_math_mini.py [problems.jsonl]

It prints one line per mismatch and exits 1, or says how many answers were checked and exits 0.
"""

import calendar
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import sympy as sp

PROBLEMS = Path(__file__).resolve().parent.parent / "tasks" / "math_mini" / "problems.jsonl"

T = TypeVar("T")

CHECKS: dict[str, Callable[[], str]] = {}
"""From unique_id to the function that computes the answer."""


def computes(name: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Registers the check of ``mini/<name>.json``."""

    def register(check: Callable[[], str]) -> Callable[[], str]:
        unique_id = f"mini/{name}.json"
        assert unique_id not in CHECKS, f"two checks for {unique_id}"
        CHECKS[unique_id] = check
        return check

    return register


# --- from values to LaTeX -------------------------------------------------------------------


def only(found: Iterable[T]) -> T:
    """The one thing that was found; fails when there are none or several."""
    (thing,) = found
    return thing


def tex(value: Fraction | int) -> str:
    """A rational number in lowest terms."""
    value = Fraction(value)
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def tex_root(square: Fraction) -> str:
    """The square root of a rational number, as ``\\frac{a\\sqrt{b}}{c}``, for b and c above 1."""
    radicand = square.numerator * square.denominator
    outside = max(k for k in range(1, math.isqrt(radicand) + 1) if radicand % (k * k) == 0)
    factor = Fraction(outside, square.denominator)
    inside = radicand // outside**2
    assert inside > 1
    assert factor.numerator > 1
    assert factor.denominator > 1
    return rf"\frac{{{factor.numerator}\sqrt{{{inside}}}}}{{{factor.denominator}}}"


def tex_polynomial(coefficients: Sequence[int], variable: str = "x") -> str:
    """A polynomial from its coefficients, the leading one first."""
    text = ""
    for power, c in zip(range(len(coefficients) - 1, -1, -1), coefficients, strict=True):
        if c == 0:
            continue
        number = str(abs(c)) if abs(c) != 1 or power == 0 else ""
        symbol = "" if power == 0 else variable if power == 1 else f"{variable}^{power}"
        text += ("-" if c < 0 else "+") + number + symbol
    return text.removeprefix("+")


def tex_matrix(rows: Sequence[Sequence[int | str]]) -> str:
    body = r" \\ ".join(" & ".join(map(str, row)) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def tex_complex(z: complex) -> str:
    """A Gaussian integer whose two parts are not 0 and not 1."""
    real, imaginary = round(z.real), round(z.imag)
    assert abs(z - complex(real, imaginary)) < 1e-9
    return f"{real}{imaginary:+d}i"


def numeral(value: int, base: int) -> str:
    digits = ""
    while value:
        value, digit = divmod(value, base)
        digits = str(digit) + digits
    return digits


def rational(value: float, largest_denominator: int = 10_000) -> Fraction:
    """The fraction that a float stands for; fails when there is none nearby."""
    nearest = Fraction(value).limit_denominator(largest_denominator)
    assert abs(float(nearest) - value) < 1e-9
    return nearest


def combination(value: float, root: float, other: float) -> tuple[int, int, int]:
    """Integers (a, b, c) with (a root + b other) / c = value and the least c."""
    numbers = range(-20, 21)
    for c in range(1, 7):
        for a, b in itertools.product(numbers, repeat=2):
            if abs((a * root + b * other) / c - value) < 1e-9:
                return a, b, c
    raise AssertionError(f"{value} is no such combination")


def highest(f: Callable[[float], float], low: float, high: float) -> float:
    """The maximum of a concave function on an interval, by ternary search."""
    for _ in range(150):
        third = (high - low) / 3
        if f(low + third) < f(high - third):
            low += third
        else:
            high -= third
    return f((low + high) / 2)


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def is_square(n: int) -> bool:
    return math.isqrt(n) ** 2 == n


# --- algebra --------------------------------------------------------------------------------


@computes("algebra/1-a")
def plumber() -> str:
    cost, minutes = 35, 0
    while minutes < 150:
        cost, minutes = cost + 18, minutes + 30
    return tex(cost)


@computes("algebra/1-b")
def linear_equation() -> str:
    return tex(only(t for t in range(-1000, 1001) if 9 * t - 14 == 4 * t + 51))


@computes("algebra/2-a")
def crossing() -> str:
    line = sp.Line(sp.Point(-2, 7), sp.Point(4, -11))
    x, y = only(line.intersection(sp.Line(sp.Point(0, 0), sp.Point(1, 0))))
    return rf"\left( {tex(Fraction(str(x)))}, {y} \right)"


@computes("algebra/2-b")
def product_of_polynomials() -> str:
    return tex_polynomial([int(c) for c in np.convolve([2, -3], [1, 4, -5])])


@computes("algebra/3-a")
def quadratic_inequality() -> str:
    # On a grid of quarters, what is no solution is one stretch whose two ends give equality.
    points = [Fraction(k, 4) for k in range(-200, 201)]
    outside = [x for x in points if not x * (x - 5) > 2 * (x + 4)]
    low, high = min(outside), max(outside)
    assert outside == [x for x in points if low <= x <= high]
    assert all(x * (x - 5) == 2 * (x + 4) for x in (low, high))
    return rf"(-\infty,{tex(low)}) \cup ({tex(high)},\infty)"


@computes("algebra/3-b")
def ball() -> str:
    # (root - root)^2 from the float roots, recognised as a fraction.
    first, last = sorted(np.roots([-3, 10, 2 - 7]))
    assert first > 0
    middle = (first + last) / 2
    assert 2 + 10 * middle - 3 * middle**2 > 7
    return tex_root(rational((last - first) ** 2))


@computes("algebra/4-a")
def functional_equation() -> str:
    # x -> 2x - 1 is linear, so f is a quadratic, which three values settle and two more confirm.
    values = {2 * x - 1: x * x + x for x in range(-2, 3)}
    x = sp.Symbol("x")
    f = sp.Poly(sp.interpolate(list(values.items()), x), x)
    denominator = math.lcm(*(int(c.q) for c in f.all_coeffs()))
    numerator = [int(c * denominator) for c in f.all_coeffs()]
    assert len(numerator) == 3
    return rf"\frac{{{tex_polynomial(numerator)}}}{{{denominator}}}"


@computes("algebra/4-b")
def touching() -> str:
    # The condition on k has degree 2, so that the two values found are all there are.
    x = sp.Symbol("x", real=True)
    ks = [k for k in range(-20, 21) if len(sp.solveset(x**2 + k * x + 9 - x, x, sp.S.Reals)) == 1]
    assert len(ks) == 2
    return ",".join(map(tex, ks))


@computes("algebra/5-a")
def sixth_powers() -> str:
    # a^4 + (2-a)^4 = 34 solved for a in floats.
    quartic = np.polyadd(np.poly([0, 0, 0, 0]), np.poly([2, 2, 2, 2]))
    quartic = np.polysub(quartic, [34])
    real = [z.real for z in np.roots(quartic) if abs(z.imag) < 1e-9]
    assert len(real) == 2
    return tex(only({rational(a**6 + (2 - a) ** 6, 1) for a in real}))


@computes("algebra/5-b")
def floor_equation() -> str:
    # x^2 - 2x = n <= x bounds x to [0, 3]; the floors -5 to 10 leave room on both sides.
    x = sp.Symbol("x", real=True)
    found = [r for n in range(-5, 11) for r in sp.solve(x**2 - 2 * x - n, x) if n <= r < n + 1]
    assert len(found) == 3
    a, b, c = combination(float(sum(found)), math.sqrt(3), 1)
    assert (a, c) == (1, 1)
    return rf"{b}+\sqrt{{3}}"


# --- counting and probability ---------------------------------------------------------------


@computes("counting_and_probability/1-a")
def lunches() -> str:
    return tex(len(list(itertools.product("abcd", "abcdef", "abc"))))


@computes("counting_and_probability/1-b")
def marbles() -> str:
    bag = "g" * 5 + "w" * 7 + "b" * 8
    return tex(Fraction(sum(marble != "w" for marble in bag), len(bag)))


@computes("counting_and_probability/2-a")
def letters() -> str:
    return tex(len(set(itertools.permutations("PEPPERED"))))


@computes("counting_and_probability/2-b")
def two_dice() -> str:
    rolls = list(itertools.product(range(1, 9), repeat=2))
    return tex(Fraction(sum(is_square(sum(roll)) for roll in rolls), len(rolls)))


@computes("counting_and_probability/3-a")
def subsets() -> str:
    return tex(
        sum(
            sum(k % 2 == 0 for k in s) == 2 and not {1, 2} <= set(s)
            for s in itertools.combinations(range(1, 13), 4)
        )
    )


@computes("counting_and_probability/3-b")
def separated_heads() -> str:
    tosses = ["".join(t) for t in itertools.product("HT", repeat=7)]
    good = [t for t in tosses if t.count("H") == 3 and "HH" not in t]
    return tex(Fraction(len(good), len(tosses)))


@computes("counting_and_probability/4-a")
def expected_difference() -> str:
    draws = list(itertools.permutations(range(1, 10), 2))
    return tex(Fraction(sum(abs(a - b) for a, b in draws), len(draws)))


@computes("counting_and_probability/4-b")
def lattice_paths() -> str:
    count = 0
    for ups in itertools.combinations(range(11), 5):
        x, y, visited = 0, 0, set()
        for step in range(11):
            x, y = (x, y + 1) if step in ups else (x + 1, y)
            visited.add((x, y))
        assert (x, y) == (6, 5)
        count += not visited & {(2, 2), (4, 3)}
    return tex(count)


@computes("counting_and_probability/5-a")
def paintings() -> str:
    def has_block(top: Sequence[int], bottom: Sequence[int]) -> bool:
        return any(top[i] == top[i + 1] == bottom[i] == bottom[i + 1] for i in range(len(top) - 1))

    rows = list(itertools.product((0, 1), repeat=6))
    return tex(sum(not has_block(t, b) for t, b in itertools.product(rows, rows)))


@computes("counting_and_probability/5-b")
def rolls_needed() -> str:
    # Six rolls always suffice: count in all 6^6 sequences how many were needed.
    total = 0
    for rolls in itertools.product(range(1, 7), repeat=6):
        totals = itertools.accumulate(rolls)
        total += next(n for n, reached in enumerate(totals, 1) if reached >= 6)
    return tex(Fraction(total, 6**6))


# --- geometry -------------------------------------------------------------------------------


@computes("geometry/1-a")
def lawn() -> str:
    return tex(14 * only(w for w in range(1, 100) if 14 + w + 14 + w == 46))


@computes("geometry/1-b")
def angle_ratio() -> str:
    a, b, c = only(
        (a, b, 180 - a - b)
        for a in range(1, 180)
        for b in range(1, 180 - a)
        if 3 * a == 2 * b and 7 * b == 3 * (180 - a - b)
    )
    return rf"{max(a, b, c)}^\circ"


@computes("geometry/2-a")
def cone() -> str:
    # Slices of radius 6 z / h, z from the apex.
    height = only(h for h in range(1, 11) if math.hypot(h, 6) == 10)
    z = sp.Symbol("z")
    return rf"{sp.integrate((sp.Rational(6, height) * z) ** 2, (z, 0, height))}\pi"


@computes("geometry/2-b")
def rhombus() -> str:
    corner, right, left = sp.Point(0, 5), sp.Point(12, 0), sp.Point(-12, 0)
    distance = sp.Line(left, sp.Point(0, -5)).distance(corner)
    assert sp.Line(left, sp.Point(0, -5)).is_parallel(sp.Line(corner, right))
    return tex(Fraction(str(distance)))


@computes("geometry/3-a")
def altitude() -> str:
    distance = sp.Line(sp.Point(7, 4), sp.Point(3, 10)).distance(sp.Point(1, 2))
    return tex_root(Fraction(str(distance**2)))


@computes("geometry/3-b")
def quarter_disk() -> str:
    # The radius of the largest circle is the largest distance from the boundary.
    def best_on_column(x: float) -> float:
        return highest(lambda y: min(x, y, 6 - math.hypot(x, y)), 0, 6)

    a, b, c = combination(highest(best_on_column, 0, 6), math.sqrt(2), 1)
    assert c == 1
    return rf"{a}\sqrt{{2}}{b:+d}"


@computes("geometry/4-a")
def bisector() -> str:
    # Walk along BC to where the direction from A makes 30 degrees with AB.
    bx, by, cx, cy = 8.0, 0.0, 12 * math.cos(math.pi / 3), 12 * math.sin(math.pi / 3)
    low, high = 0.0, 1.0
    for _ in range(100):
        t = (low + high) / 2
        x, y = bx + t * (cx - bx), by + t * (cy - by)
        low, high = (t, high) if math.atan2(y, x) < math.pi / 6 else (low, t)
    return tex_root(rational(x * x + y * y))


@computes("geometry/4-b")
def inscribed_sphere() -> str:
    # The sphere's centre is on the axis; its distance to a face comes from sympy's planes.
    apex = sp.Point3D(0, 0, sp.sqrt(36 - 18))
    corners = sp.Point3D(3, 3, 0), sp.Point3D(3, -3, 0)
    assert all(apex.distance(corner) == 6 for corner in corners)
    normal = sp.Plane(apex, *corners).normal_vector
    length = math.sqrt(float(sum(n * n for n in normal)))

    def clearance(z: float) -> float:
        to_face = abs(float(normal[2]) * (z - float(apex.z))) / length
        return min(z, to_face)

    radius = highest(clearance, 0, float(apex.z))
    a, b, c = combination(radius, math.sqrt(6), math.sqrt(2))
    assert a > 0 > b
    return rf"\frac{{{a}\sqrt{{6}}-{-b}\sqrt{{2}}}}{{{c}}}"


@computes("geometry/5-a")
def tangency_triangle() -> str:
    # Centres from their distances alone, without using that the triangle has a right angle.
    p, q = sp.symbols("p q")
    p, q = only(
        s for s in sp.solve([p**2 + q**2 - 12**2, (p - 5) ** 2 + q**2 - 13**2], [p, q]) if s[1] > 0
    )
    centers = {2: sp.Point(0, 0), 3: sp.Point(5, 0), 10: sp.Point(p, q)}
    touching_points = [
        centers[r] + (centers[s] - centers[r]) * sp.Rational(r, r + s)
        for r, s in itertools.combinations(centers, 2)
    ]
    return tex(Fraction(str(abs(sp.Triangle(*touching_points).area))))


@computes("geometry/5-b")
def trapezoid() -> str:
    # The height for which a circle on the axis, half the height up, touches the leg too.
    def slack(h: float) -> float:
        # Distance of (0, h/2) from the leg through (9, 0) and (4, h), less the radius h/2.
        return abs(5 * (h / 2) + h * (0 - 9)) / math.hypot(5, h) - h / 2

    low, high = 1.0, 50.0
    assert slack(low) > 0 > slack(high)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if slack(middle) > 0 else (low, middle)
    height = int(rational(low, 1))
    circle = sp.Circle(sp.Point(-9, 0), sp.Point(9, 0), sp.Point(4, height))
    assert circle.center.distance(sp.Point(-4, height)) == circle.radius
    return tex_root(Fraction(str(circle.radius**2)))


# --- intermediate algebra -------------------------------------------------------------------


@computes("intermediate_algebra/1-a")
def complex_product() -> str:
    return tex_complex((3 + 2j) * (1 - 4j))


@computes("intermediate_algebra/1-b")
def domain() -> str:
    # The greatest point of a fine grid at which the root exists, and it is the very end.
    points = [Fraction(k, 8) for k in range(-800, 801)]
    end = max(x for x in points if 5 - 2 * x >= 0)
    assert 5 - 2 * end == 0
    assert 5 - 2 * min(points) > 0
    return rf"\left( -\infty, {tex(end)} \right]"


@computes("intermediate_algebra/2-a")
def remainder() -> str:
    # Long division.
    _, rest = np.polydiv([1, -3, 0, 2, -7], [1, 0, -1])
    return tex_polynomial([round(c) for c in rest])


@computes("intermediate_algebra/2-b")
def logarithms() -> str:
    # The left side rises on (1, oo), so that one solution is all.
    return tex(
        only(
            x
            for x in (Fraction(k, 4) for k in range(5, 400))
            if abs(math.log2(x - 1) + math.log2(x + 5) - 4) < 1e-12
        )
    )


@computes("intermediate_algebra/3-a")
def conic() -> str:
    # The determinant of the conic's 3x3 matrix is 0 exactly when it is degenerate.
    matrix = sp.Matrix([[1, 0, 3], [0, -4, 4], [3, 4, 5]])
    x, y = sp.symbols("x y")
    v = sp.Matrix([x, y, 1])
    assert sp.expand((v.T * matrix * v)[0]) == x**2 - 4 * y**2 + 6 * x + 8 * y + 5
    quadratic_part = matrix[:2, :2].det()
    if matrix.det() != 0:
        letter = "D" if quadratic_part < 0 else "C" if quadratic_part == 0 else "B"
    else:
        assert quadratic_part < 0
        letter = "E"
    return rf"\text{{({letter})}}"


@computes("intermediate_algebra/3-b")
def new_roots() -> str:
    r, s = np.roots([1, -5, 3])
    monic = [rational(float(c)) for c in np.poly([r + 1 / s, s + 1 / r])]
    scale = math.lcm(*(c.denominator for c in monic))
    coefficients = [int(c * scale) for c in monic]
    assert math.gcd(*coefficients) == 1
    return tex_polynomial(coefficients)


@computes("intermediate_algebra/4-a")
def complex_roots() -> str:
    span = range(-40, 41)
    found = [z for a in span for b in span if (z := complex(a, b)) ** 2 == 16 - 30j]
    assert len(found) == 2
    return ", ".join(map(tex_complex, sorted(found, key=lambda z: -z.real)))


@computes("intermediate_algebra/4-b")
def sum_of_fractions() -> str:
    return tex(sum((Fraction(1, n * (n + 2)) for n in range(1, 21)), Fraction(0)))


@computes("intermediate_algebra/5-a")
def powers_of_three() -> str:
    # Sixth differences of a polynomial of degree 5 are 0: extend the table of values twice.
    values = [3**n for n in range(6)]
    for _ in range(2):
        values.append(-sum((-1) ** k * math.comb(6, k) * values[-k] for k in range(1, 7)))
    return tex(values[7])


@computes("intermediate_algebra/5-b")
def reciprocal_sum() -> str:
    total = sum(1 / (np.roots([1, -2, 3, -5]) ** 2 + 1))
    assert abs(total.imag) < 1e-9
    return tex(rational(float(total.real), 1000))


# --- number theory --------------------------------------------------------------------------


@computes("number_theory/1-a")
def bouquets() -> str:
    return tex(max(n for n in range(1, 127) if 84 % n == 0 and 126 % n == 0))


@computes("number_theory/1-b")
def primes() -> str:
    return tex(sum(len(divisors(n)) == 2 for n in range(50, 71)))


@computes("number_theory/2-a")
def weekday() -> str:
    years = [y for y in range(1901, 2100) if date(y, 3, 1).weekday() == calendar.WEDNESDAY]
    day = only({date(y, 9, 15).weekday() for y in years})
    return rf"\text{{{calendar.day_name[day]}}}"


@computes("number_theory/2-b")
def base_seven() -> str:
    return f"{numeral(int('253', 7) + int('466', 7), 7)}_7"


@computes("number_theory/3-a")
def remainders() -> str:
    return tex(next(n for n in itertools.count(1) if (n % 5, n % 7, n % 11) == (3, 4, 8)))


@computes("number_theory/3-b")
def some_divisors() -> str:
    return tex(sum(d for d in divisors(360) if d % 6 == 0))


@computes("number_theory/4-a")
def zeros() -> str:
    factorial, count = math.factorial(50), 0
    while factorial % 12 == 0:
        factorial, count = factorial // 12, count + 1
    return tex(count)


@computes("number_theory/4-b")
def reversed_numeral() -> str:
    def digits(n: int, base: int) -> list[int]:
        return [] if n == 0 else [*digits(n // base, base), n % base]

    n = only(
        n
        for n in range(1, 14**3)
        if len(digits(n, 9)) == len(digits(n, 14)) == 3 and digits(n, 9) == digits(n, 14)[::-1]
    )
    return f"{numeral(n, 9)}_9"


@computes("number_theory/5-a")
def self_powers() -> str:
    return tex(sum(pow(n, n, 7) == 2 for n in range(1, 2101)))


@computes("number_theory/5-b")
def near_squares() -> str:
    # The next square after 3^2k is 2 * 3^k + 1 further, so an even n = 2k is at most 8. An odd n
    # never fits, by its remainder modulo 5; the search goes up to 400 all the same.
    return tex(sum(n for n in range(1, 401) if is_square(3**n + 360)))


# --- prealgebra -----------------------------------------------------------------------------


@computes("prealgebra/1-a")
def train() -> str:
    trip = datetime(2000, 1, 1, 13, 12) - datetime(2000, 1, 1, 9, 47)  # noqa: DTZ001 - one zone
    return tex(trip // timedelta(minutes=1))


@computes("prealgebra/1-b")
def order_of_operations() -> str:
    return str(sp.sympify("18 - 4*(7-5)**2 + 6/3"))


@computes("prealgebra/2-a")
def jacket() -> str:
    cents = 8000
    for percent in (-15, +10):
        cents += cents * percent // 100
    return f"{cents // 100}.{cents % 100:02d}"


@computes("prealgebra/2-b")
def decimal_and_fraction() -> str:
    return tex(Fraction("0.375") + Fraction("5/12"))


@computes("prealgebra/3-a")
def linear_expression() -> str:
    # Two values settle a linear expression.
    at_0, at_1 = (3 * (2 * a - 5) - 4 * (a - 7) for a in (0, 1))
    return tex_polynomial([at_1 - at_0, at_0], "a")


@computes("prealgebra/3-b")
def taken_away() -> str:
    return tex(only(n for n in range(-500, 501) if Fraction(5 * 18 - n, 4) == Fraction("20.5")))


@computes("prealgebra/4-a")
def tank() -> str:
    # All hours below 20 with a denominator up to 40.
    hours = only(
        {
            Fraction(p, q)
            for q in range(1, 41)
            for p in range(1, 20 * q)
            if Fraction(p, 6 * q) + Fraction(p, 9 * q) - Fraction(p, 12 * q) == 1
        }
    )
    whole, part = divmod(hours, 1)
    return f"{whole}{tex(part)}"


@computes("prealgebra/4-b")
def either_not_both() -> str:
    return tex(sum((n % 4 == 0) != (n % 6 == 0) for n in range(1, 501)))


@computes("prealgebra/5-a")
def painted_cubes() -> str:
    sizes = (5, 6, 7)
    painted = [
        sum((k == 0) + (k == size - 1) for k, size in zip(cube, sizes, strict=True))
        for cube in itertools.product(*map(range, sizes))
    ]
    return tex(Fraction(painted.count(2), len(painted)))


@computes("prealgebra/5-b")
def odd_digits() -> str:
    total = sum(n for n in range(100, 1000) if len(set(str(n)) & set("13579")) == 3)
    return f"{total:,}".replace(",", r",\!")


# --- precalculus ----------------------------------------------------------------------------


@computes("precalculus/1-a")
def radians() -> str:
    part = rational(math.radians(252) / math.pi)
    return rf"\frac{{{part.numerator}\pi}}{{{part.denominator}}}"


@computes("precalculus/1-b")
def vector_combination() -> str:
    vector = 2 * np.array([4, -1]) - 3 * np.array([-2, 5])
    return tex_matrix([[int(entry)] for entry in vector])


@computes("precalculus/2-a")
def matrix_product() -> str:
    product = np.array([[2, -1], [3, 4]]) @ np.array([[0, 5], [-2, 1]])
    return tex_matrix(product.tolist())


@computes("precalculus/2-b")
def rectangular() -> str:
    x, y = 6 * math.cos(4 * math.pi / 3), 6 * math.sin(4 * math.pi / 3)
    return rf"\left( {rational(x, 1)}, {rational(y / math.sqrt(3), 1)}\sqrt{{3}} \right)"


@computes("precalculus/3-a")
def vector_angle() -> str:
    # By the law of cosines, in the triangle of the two vectors and their difference.
    u, v = np.array([2, 1, -1]), np.array([-1, 1, 2])
    a, b, c = (float(np.linalg.norm(w)) for w in (u, v, u - v))
    angle = math.degrees(math.acos((a * a + b * b - c * c) / (2 * a * b)))
    return rf"{rational(angle, 1)}^\circ"


@computes("precalculus/3-b")
def double_angle() -> str:
    x = math.pi - math.asin(5 / 13)
    assert math.pi / 2 < x < math.pi
    return tex(rational(math.sin(2 * x), 1000))


@computes("precalculus/4-a")
def sign_changes() -> str:
    # 100,000 steps from a start that is no solution; sin 3x - cos x has degree 3 in e^ix, so at
    # most 6 zeros, and as many sign changes leave no room for a zero without one.
    x = 0.1 + np.linspace(0, 2 * np.pi, 100_001)
    sign = np.sign(np.sin(3 * x) - np.cos(x))
    assert np.all(sign != 0)
    count = int(np.sum(sign[1:] != sign[:-1]))
    assert count == 6
    return tex(count)


@computes("precalculus/4-b")
def closest_point() -> str:
    def point(t: Fraction) -> tuple[Fraction, Fraction, Fraction]:
        return 1 + 2 * t, -1 + t, 3 - 2 * t

    def squared_distance(t: Fraction) -> Fraction:
        return sum(((a - b) ** 2 for a, b in zip(point(t), (7, -1, 0), strict=True)), Fraction(0))

    # The squared distance is a parabola in t: its lowest point is where both neighbours are equal.
    step = Fraction(1, 12)
    best = min((k * step for k in range(-240, 241)), key=squared_distance)
    assert squared_distance(best - step) == squared_distance(best + step)
    return f"({','.join(map(tex, point(best)))})"


@computes("precalculus/5-a")
def sixth_power_sum() -> str:
    return tex(rational(sum(math.sin(k * math.pi / 9) ** 6 for k in range(1, 9)), 1000))


@computes("precalculus/5-b")
def matrix_power() -> str:
    root = sp.sqrt(3)
    power = sp.eye(2)
    for _ in range(10):
        power = (power * sp.Matrix([[root, -1], [1, root]])).applyfunc(sp.expand)
    return tex_matrix([[sp.latex(e).replace(" ", "") for e in row] for row in power.tolist()])


# --- the comparison -------------------------------------------------------------------------


def mismatch(unique_id: str, answer: str) -> str | None:
    """What is wrong with the answer of one problem, in one line, None when it is right."""
    check = CHECKS.get(unique_id)
    if check is None:
        return f"{unique_id}: no check computes this answer"
    computed = check()
    return None if computed == answer else f"{unique_id}: has {answer!r}, computed {computed!r}"


def main(arguments: Sequence[str] = ()) -> int:
    path = Path(arguments[0]) if arguments else PROBLEMS
    lines = path.read_text(encoding="utf-8").splitlines()
    answers: dict[str, Any] = {row["unique_id"]: row["answer"] for row in map(json.loads, lines)}
    found = [text for item in answers.items() if (text := mismatch(*item)) is not None]
    found += [f"{unique_id}: no such problem" for unique_id in CHECKS if unique_id not in answers]
    print("\n".join(found) or f"{len(answers)} answers checked")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
