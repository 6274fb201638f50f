"""Arithmetic as data: a formula over named quantities, read from a file and never executed.

Only numbers, names, ``+ - * / **``, signs and parentheses are allowed. All numbers are floats, so a
formula of a few characters cannot ask for an integer of a million digits.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

MOST_CHARACTERS = 400
"""The longest formula, in characters; a longer one should be split in two."""
_ALLOWED = "numbers, names of quantities, + - * / ** and parentheses"
_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


class NoNumberError(ArithmeticError):
    """A formula that has no value for these numbers."""


def _checked(formula: str) -> str:
    for node in ast.walk(_parsed(formula)):
        _check(node)
    return formula


Formula = Annotated[str, Field(max_length=MOST_CHARACTERS), AfterValidator(_checked)]
"""A formula that can be computed once its names are known."""


def names_in_formula(formula: str) -> tuple[str, ...]:
    """The quantities that a formula names, each once, in its order."""
    found = sorted(_names(formula), key=lambda node: node.col_offset)
    return tuple(dict.fromkeys(node.id for node in found))


def evaluate(formula: str, values: Mapping[str, float]) -> float:
    """The value of a formula, as Python computes it with floats.

    Args:
        formula: One that ``Formula`` accepts.
        values: Of every name in it.

    Raises:
        NoNumberError: It divides by 0, or is too large or no real number.
    """
    try:
        found = _value(_parsed(formula), values)
    except ZeroDivisionError as error:
        raise NoNumberError("it divides by 0") from error
    except OverflowError as error:
        raise NoNumberError("it is too large") from error
    if found - found != 0:  # infinite, or not a number
        raise NoNumberError("it is too large")
    return found


def filled_in(formula: str, words: Mapping[str, str]) -> str:
    """A formula for people, its names replaced: ``1.4 / 100 * 1,319``."""
    text = formula.strip()
    for node in sorted(_names(formula), key=lambda node: -node.col_offset):
        assert node.end_col_offset is not None, "ast.parse gives it"
        text = text[: node.col_offset] + words[node.id] + text[node.end_col_offset :]
    return text


def _parsed(formula: str) -> ast.expr:
    text = formula.strip()
    if not text.isascii() or "\n" in text:  # columns of ast are bytes of one line
        raise ValueError(f"should have only {_ALLOWED}, in one line")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"no formula; it has only {_ALLOWED}") from error


def _names(formula: str) -> list[ast.Name]:
    return [node for node in ast.walk(_parsed(formula)) if isinstance(node, ast.Name)]


def _check(node: ast.AST) -> None:
    match node:
        case ast.Name() | ast.Load() | ast.operator() | ast.unaryop():
            is_fine = not isinstance(node, ast.operator | ast.unaryop) or (
                type(node) in _BINARY or type(node) in _UNARY
            )
        case ast.Constant(value=value):
            is_fine = type(value) in {int, float}
        case _:
            is_fine = isinstance(node, ast.BinOp | ast.UnaryOp)
    if not is_fine:
        part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
        raise ValueError(f"{part} is not allowed; a formula has only {_ALLOWED}")


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            found = _BINARY[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=sign, operand=operand):
            found = _UNARY[type(sign)](_value(operand, values))
        case ast.Name(id=name):
            found = float(values[name])
        case ast.Constant(value=int() | float() as number):
            found = float(number)
        case _:
            raise AssertionError("Formula has refused it")
    if isinstance(found, complex):  # a root of a negative number
        raise NoNumberError("it is no real number")
    return found
