"""Plain data crosses type for type, everything else is refused, and no text breaks the reader."""

import json
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scorers.sandbox.codec import NotPlainDataError, decode, encode

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=1 << 60, max_value=1 << 70)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())  # lone surrogates included
    | st.binary()
    | st.fractions()
    | st.decimals(allow_nan=False)
)
KEYS = st.none() | st.integers() | st.text() | st.tuples(st.booleans(), st.binary())
PLAIN = st.recursive(
    SCALARS | st.frozensets(KEYS),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(deque)
        | st.sets(KEYS)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(KEYS, inner).map(OrderedDict)
        | st.dictionaries(KEYS, st.integers()).map(Counter)
    ),
    max_leaves=20,
)


def shape(value: object) -> object:
    """A value with the types of all its parts, which ``==`` alone would not compare."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return kind, [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return kind, sorted(map(repr, map(shape, value)))
    if isinstance(value, list | tuple | deque):
        return kind, [shape(item) for item in value]
    return kind, repr(value)


@settings(deadline=None, derandomize=True)
@given(PLAIN)
def test_round_trip(value: object) -> None:
    text = encode(value)
    assert text.isascii()
    assert shape(decode(text)) == shape(value)


@pytest.mark.parametrize(
    "value",
    [float("nan"), -0.0, float("inf"), -(1 << 70), bytearray(b"x"), range(3, 9, 2)],
    ids=lambda value: type(value).__name__,
)
def test_odd_values(value: object) -> None:
    back = decode(encode(value))
    assert type(back) is type(value)
    assert repr(back) == repr(value)


class Point(NamedTuple):
    x: int
    y: int


def test_a_subclass_with_its_bases_comparison_crosses_as_its_base() -> None:
    point = Point(1, 2)
    colour = IntEnum("colour", "RED")
    words = defaultdict(list, a=[1])
    for value, base in ((point, (1, 2)), (colour(1), 1), (words, {"a": [1]})):
        assert shape(decode(encode(value))) == shape(base)


class AlwaysEqual(list[object]):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


SELF: list[object] = []
SELF.append(SELF)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (AlwaysEqual(), "AlwaysEqual"),
        ([{1: object()}], "object"),
        ((x for x in "ab"), "generator"),
        (map(abs, []), "map"),
        (print, "builtin_function_or_method"),
        (SELF, "nested"),
    ],
)
def test_everything_else_is_refused(value: object, name: str) -> None:
    with pytest.raises(NotPlainDataError, match=name):
        encode(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text() | st.sampled_from(["tuple", "set", "dict", "int", "range"]), inner
        )
    ),
)


@settings(deadline=None, derandomize=True)
@given(st.binary() | st.text() | JSON.map(json.dumps))
def test_hostile_text_is_a_value_error_or_plain_data(text: str | bytes) -> None:
    try:
        value = decode(text)
    except ValueError:
        return
    assert encode(value).isascii()


@pytest.mark.parametrize("text", ["[" * 200_000, '{"set": [[]]}', '{"dict": [[1]]}', '{"x": 1}'])
def test_hostile_shapes(text: str) -> None:
    with pytest.raises(ValueError, match=r"encoded|unpack"):
        decode(text)


def test_integers_of_any_length_cross() -> None:
    assert decode(encode(1 << 200_000)) == 1 << 200_000
    assert decode(encode(Fraction(1, 3**500))) == Fraction(1, 3**500)
    assert decode(encode(Decimal("1E+999999"))) == Decimal("1E+999999")


@pytest.mark.parametrize(
    "value",
    [
        numpy.float64(0.1),
        numpy.float32(0.1),
        numpy.int64(-3),
        numpy.bool_(True),
        numpy.str_("a\u2135"),
        numpy.complex128(1 + 2j),
        numpy.array([[1, 2], [3, 4]], dtype=numpy.uint8),
        numpy.array([]),
        numpy.array(2.5),
        numpy.arange(6).reshape(2, 3)[:, ::2],
    ],
    ids=repr,
)
def test_numpy_crosses_type_for_type(value: Any) -> None:
    found = decode(encode([value]))[0]
    assert type(found) is type(value)
    assert (found.dtype, found.shape) == (value.dtype, value.shape)
    assert numpy.array_equal(found, value)


class _AlwaysEqual(numpy.ndarray):  # noqa: PLW1641
    def __eq__(self, other: object) -> Any:
        return True


@pytest.mark.parametrize(
    "value",
    [
        numpy.array([object()]),
        numpy.array([1]).view(_AlwaysEqual),
        numpy.ma.masked_array([1]),
        numpy.zeros(1, dtype=[("a", int)]),
        numpy.datetime64("2020-01-01"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_else_numpy_has_is_refused(value: Any) -> None:
    with pytest.raises(NotPlainDataError):
        encode(value)


@pytest.mark.parametrize(
    "body", [["|O", None, "00" * 8], ["<f8", [3], "00" * 8], ["<f8", None, ""], ["f", 1], [1, 2, 3]]
)
def test_a_forged_array_is_an_error(body: list[Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        decode(json.dumps({"numpy": body}))
