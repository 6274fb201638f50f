"""A formula as a tree, and properties of it that need no evaluation."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from harness.scorers.equivalence.latex import Unreadable

FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "arcsec",
     "arccsc", "sinh", "cosh", "tanh", "log", "ln", "exp", "cis"}
)  # fmt: skip
TRIGONOMETRIC = frozenset({"sin", "cos", "tan", "cot", "sec", "csc", "cis"})


class Node(NamedTuple):
    """An operation, its operands, and for a leaf its value.

    Leaves: ``number`` (Fraction), ``variable`` (name), ``constant`` (pi, e, i, infinity).
    Others: add, multiply, divide, power, negate, factorial, abs, floor, ceil, binomial, root
    (radicand, degree), degrees, either (plus or minus), and ``call`` (value: the function's name;
    log has the base as second operand).
    """

    operation: str
    operands: tuple[Node, ...] = ()
    value: Fraction | str | None = None


INFINITY = Node("constant", (), "infty")
MINUS_INFINITY = Node("negate", (INFINITY,))


def is_infinite(node: Node) -> int:
    """1 for infinity, -1 for minus infinity, else 0."""
    if node == INFINITY:
        return 1
    return -1 if node.operation == "negate" and node.operands[0] == INFINITY else 0


def number(value: int | Fraction) -> Node:
    """A leaf that holds an exact number."""
    return Node("number", (), Fraction(value))


def variables(node: Node) -> frozenset[str]:
    """Names of the free variables."""
    if node.operation == "variable":
        return frozenset({str(node.value)})
    return frozenset().union(*map(variables, node.operands))


def contains(node: Node, operation: str, values: frozenset[str] | None = None) -> bool:
    """Whether an operation (with one of these values) occurs anywhere."""
    here = node.operation == operation and (values is None or node.value in values)
    return here or any(contains(operand, operation, values) for operand in node.operands)


def replace(node: Node, leaves: dict[str, Node]) -> Node:
    """The tree with variables replaced by other trees."""
    if node.operation == "variable":
        return leaves.get(str(node.value), node)
    return node._replace(operands=tuple(replace(each, leaves) for each in node.operands))


def settle_degrees(node: Node) -> Node:
    """Degree signs gone: an angle inside a trigonometric function becomes radians, others drop."""
    in_radians = contains(node, "call", TRIGONOMETRIC)

    def settle(node: Node) -> Node:
        operands = tuple(map(settle, node.operands))
        if node.operation != "degrees":
            return node._replace(operands=operands)
        if not in_radians:
            return operands[0]
        half_turn = Node("divide", (Node("constant", (), "pi"), number(180)))
        return Node("multiply", (operands[0], half_turn))

    return settle(node)


def signs(node: Node) -> tuple[Node, ...]:
    """The formulas that plus-or-minus signs stand for; one formula without any."""
    if not contains(node, "either"):
        return (node,)
    count = _count_either(node)
    if count > 4:  # noqa: PLR2004 - 2 ** count trees
        raise Unreadable("too many plus-or-minus signs")
    together = contains(node, "either", frozenset({"\\mp"}))
    choices = (0, 2**count - 1) if together else range(2**count)
    return tuple(_choose(node, choice, together=together)[0] for choice in choices)


def _count_either(node: Node) -> int:
    return (node.operation == "either") + sum(map(_count_either, node.operands))


def _choose(node: Node, choice: int, *, together: bool) -> tuple[Node, int]:
    operands = []
    for operand in node.operands:
        chosen, choice = _choose(operand, choice, together=together)
        operands.append(chosen)
    if node.operation != "either":
        return node._replace(operands=tuple(operands)), choice
    is_minus = bool(choice & 1) != (node.value == "\\mp")
    chosen = Node("negate", (operands[0],)) if is_minus else operands[0]
    return chosen, choice >> 1
