"""Formulas of studies: as Python computes them, and nothing but arithmetic."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from harness.quantities.expression import (
    MOST_CHARACTERS,
    Formula,
    NoNumberError,
    evaluate,
    filled_in,
    names_in_formula,
)

VALUES = {"a": 2.5, "b": -3.0, "c_1": 0.0, "d": 1e6}
FORMULA: TypeAdapter[str] = TypeAdapter(Formula)
numbers = st.one_of(st.integers(0, 10**6), st.floats(0, 1e6, allow_nan=False)).map(
    lambda number: repr(float(number))
)
formulas = st.recursive(
    st.one_of(numbers, st.sampled_from(sorted(VALUES))),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        inner.map(lambda each: f"-{each}"),
        inner.map(lambda each: f"+{each}"),
    ),
    max_leaves=8,
).filter(lambda text: len(text) <= MOST_CHARACTERS)


def by_python(formula: str) -> Any:
    """What Python makes of it; None where it has no finite real value."""
    try:
        found = eval(formula, {"__builtins__": {}}, dict(VALUES))
        return found if isinstance(found, float) and math.isfinite(found) else None
    except (ZeroDivisionError, OverflowError):
        return None
    except TypeError:  # a complex number on the way has no order, but arithmetic goes on
        return None


@given(formulas)
def test_a_formula_has_the_value_that_python_gives_it(formula: str) -> None:
    assert FORMULA.validate_python(formula) == formula
    expected = by_python(formula)
    try:
        found = evaluate(formula, VALUES)
    except NoNumberError:
        # Python goes on with complex numbers; a power of one of these may be real again.
        assert expected is None or "**" in formula
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1.4 / 100 * 1319", 18.466),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("(a - b) * 2", 11),
        ("  a  ", 2.5),
        ("1e3 + 1", 1001),
    ],
)
def test_precedence_is_that_of_python(formula: str, value: float) -> None:
    assert evaluate(formula, VALUES) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "a b",
        "a; b",
        "a\nb",
        "a // b",
        "a % b",
        "a @ b",
        "a if b else c",
        "a < b",
        "a and b",
        "not a",
        "~a",
        "a(1)",
        "abs(a)",
        "a.real",
        "a[0]",
        "[a]",
        "(a, b)",
        "lambda: a",
        "(a := 1)",
        "'a'",
        "b'a'",
        "True",
        "None",
        "...",
        "1j",
        "f'{a}'",
        "__import__('os').system('true')",
        "[x for x in (1,)]",
        "await a",
        "yield",
        "a = 1",
        "a \u2212 b",
        "\u212f",
        "(" * 300 + "a" + ")" * 300,
        "a + " * MOST_CHARACTERS + "a",
    ],
)
def test_what_is_no_arithmetic_is_refused_before_it_is_computed(formula: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FORMULA.validate_python(formula)
    assert caught.value.errors()[0]["type"] in {"value_error", "string_too_long"}


@pytest.mark.parametrize(
    "formula", ["1 / 0", "a / c_1", "9 ** 9 ** 9 ** 9", "1e308 * 10", "1e308 + 1e308", "b ** 0.5"]
)
def test_what_has_no_number_says_so_at_once(formula: str) -> None:
    assert FORMULA.validate_python(formula) == formula
    with pytest.raises(NoNumberError):
        evaluate(formula, VALUES)


def test_the_deepest_formula_is_computed() -> None:
    deep = "-" * (MOST_CHARACTERS - 1) + "1"
    assert FORMULA.validate_python(deep) == deep
    assert evaluate(deep, {}) == -1


def test_names_come_once_and_in_their_order() -> None:
    assert names_in_formula("b * (a - b) / c_1 + 2") == ("b", "a", "c_1")
    assert names_in_formula("1 + 2") == ()


def test_numbers_take_the_place_of_names() -> None:
    words = {"a": "2.5", "ab": "(-1)"}
    assert filled_in(" ab / 100 * a + ab", words) == "(-1) / 100 * 2.5 + (-1)"
