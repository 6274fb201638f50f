"""Plain data as JSON, type for type: how arguments and results cross between two processes.

What arrives is always plain data, whatever the sender is: an object that claims to equal
everything cannot cross. A subclass that leaves its base's comparison alone crosses as its base;
everything else is refused, loudly.
"""

import json
import re
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

_LARGE = 1 << 62
"""Larger integers are encoded in hexadecimal: linear time, and no limit of digits."""

_NUMPY_TYPE = re.compile(r"[<>|=][biufcU]\d+")
"""Truth values, integers, floats, complex numbers and text; nothing that holds a pointer."""

_BASES: tuple[type, ...] = (int, float, str, bytes, list, tuple, dict, set, frozenset)


class NotPlainDataError(Exception):
    """A value that this codec cannot encode; the message names its type."""


def encode(value: object) -> str:
    """A value as JSON text, in ASCII.

    Raises:
        NotPlainDataError: It holds something that is not plain data, or holds itself.
    """
    try:
        return json.dumps(_pack(value))
    except RecursionError:
        raise NotPlainDataError("nested too deeply") from None


def decode(text: str | bytes) -> Any:
    """The value that ``encode`` was given.

    Raises:
        ValueError: The text is not what ``encode`` makes.
    """
    try:
        return _unpack(json.loads(text))
    except (
        RecursionError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        ImportError,
    ) as error:
        raise ValueError(f"not an encoded value: {type(error).__name__}") from None


def _pack(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is list:
        return [_pack(item) for item in value]
    if kind in _TAGS:
        tag, pack = _TAGS[kind]
        return {tag: pack(value)}
    if kind is int:
        return value if -_LARGE < value < _LARGE else {"int": hex(value)}
    if (packed := _pack_numpy(value)) is not None:
        return packed
    for base in _BASES:
        if isinstance(value, base) and kind.__eq__ is base.__eq__:
            return _pack(base(value))
    raise NotPlainDataError(kind.__name__)


def _unpack(packed: Any) -> Any:
    if isinstance(packed, list):
        return [_unpack(item) for item in packed]
    if not isinstance(packed, dict):
        return packed
    ((tag, body),) = packed.items()
    return _UNPACK[tag](body)


def _pack_items(value: Any) -> list[Any]:
    return [_pack(item) for item in value]


def _pack_pairs(value: Any) -> list[Any]:
    return [[_pack(key), _pack(item)] for key, item in value.items()]


def _unpack_pairs(body: Any) -> list[tuple[Any, Any]]:
    return [(_unpack(key), _unpack(item)) for key, item in body]


def _pack_numpy(value: Any) -> dict[str, Any] | None:
    """A numpy scalar or array of numbers or text; None for anything else."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    is_array = type(value) is numpy.ndarray
    if not (is_array or type(value) in numpy.sctypeDict.values()):
        return None
    if not _NUMPY_TYPE.fullmatch(value.dtype.str):
        return None
    shape = list(value.shape) if is_array else None
    return {"numpy": [value.dtype.str, shape, value.tobytes().hex()]}


def _unpack_numpy(body: Any) -> Any:
    kind, shape, data = body
    if not _NUMPY_TYPE.fullmatch(kind):
        raise ValueError(f"not a type of numbers: {kind}")
    import numpy

    flat = numpy.frombuffer(bytes.fromhex(data), numpy.dtype(kind))
    return flat[0] if shape is None else flat.reshape(shape).copy()


_TAGS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    float: ("float", repr),  # nan and inf too, to the last bit
    complex: ("complex", lambda value: [repr(value.real), repr(value.imag)]),
    bytes: ("bytes", bytes.hex),
    bytearray: ("bytearray", bytearray.hex),
    tuple: ("tuple", _pack_items),
    set: ("set", _pack_items),
    frozenset: ("frozenset", _pack_items),
    deque: ("deque", _pack_items),
    dict: ("dict", _pack_pairs),
    OrderedDict: ("OrderedDict", _pack_pairs),
    Counter: ("Counter", _pack_pairs),
    range: ("range", lambda value: [_pack(value.start), _pack(value.stop), _pack(value.step)]),
    Decimal: ("Decimal", str),
    Fraction: ("Fraction", lambda value: [_pack(value.numerator), _pack(value.denominator)]),
}
_UNPACK: dict[str, Callable[[Any], Any]] = {
    "int": lambda body: int(body, 16),
    "float": float,
    "complex": lambda body: complex(float(body[0]), float(body[1])),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "tuple": lambda body: tuple(map(_unpack, body)),
    "set": lambda body: set(map(_unpack, body)),
    "frozenset": lambda body: frozenset(map(_unpack, body)),
    "deque": lambda body: deque(map(_unpack, body)),
    "dict": lambda body: dict(_unpack_pairs(body)),
    "OrderedDict": lambda body: OrderedDict(_unpack_pairs(body)),
    "Counter": lambda body: Counter(dict(_unpack_pairs(body))),
    "range": lambda body: range(*map(_unpack, body)),
    "Decimal": Decimal,
    "numpy": _unpack_numpy,
    "Fraction": lambda body: Fraction(*map(_unpack, body)),
}
