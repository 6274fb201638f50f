"""Finds where a formula may change its rule: the zeros of absolute values, roots and steps.

Two formulas that agree at a point of no meaning agree on the whole piece around it, as long as no
rule changes there. So they are tried on all pieces, and on the edges between them.
"""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction

from harness.scorers.equivalence import values
from harness.scorers.equivalence.tree import Node, variables

Point = dict[str, Fraction]
_MAX_SWITCHES = 6
_MAX_KINKS = 6
"""The most zeros of one switch along one line: those next to zero."""
_MAX_PLACES = 14
_GRID = sorted({*map(float, range(-40, 41)), *(s * 1.3**k for k in range(-8, 55) for s in (-1, 1))})
_BESIDE = (Fraction(0), Fraction(1, 97), Fraction(-1, 97), Fraction(3, 7), Fraction(-3, 7))


def edges(*nodes: Node) -> Iterator[Point]:
    """Points at, beside and between the places where one of the formulas may change its rule."""
    names = sorted(frozenset().union(*map(variables, nodes)))
    whole = values.whole_names(*nodes)
    switches = list(dict.fromkeys(itertools.chain(*map(_switches, nodes))))[:_MAX_SWITCHES]
    for name, base in itertools.product(names, itertools.islice(values.points(*nodes), 1, 6, 3)):
        turns = {place for each in switches for place in _turns(each, name, base)}
        places = sorted(sorted(turns, key=abs)[:_MAX_PLACES])
        middles = [(low + high) / 2 for low, high in itertools.pairwise(places)]
        if name in whole:
            near = {place // 1 + step for place in places for step in range(-2, 3)}
            yield from ({**base, name: Fraction(each)} for each in sorted(near) if each >= 0)
            continue
        for place in places:
            yield from ({**base, name: place + step} for step in _BESIDE)
        yield from ({**base, name: middle} for middle in middles)


def _switches(node: Node) -> Iterator[tuple[str, Node]]:
    """The arguments on which absolute values, even roots, steps and maxima depend."""
    for operand in node.operands:
        yield from _switches(operand)
    if node.operation in {"abs", "root"} or values.is_broken_power(node):
        yield from (("sign", factor) for factor in _factors(node.operands[0]))
    elif node.operation in {"floor", "ceil"}:
        yield "step", node.operands[0]
    elif node.operation in {"max", "min"}:
        for one, two in itertools.combinations(node.operands, 2):
            yield "sign", Node("add", (one, Node("negate", (two,))))


def _factors(node: Node) -> Iterator[Node]:
    """The factors of a product, without exponents: ``(x-1)^2`` changes where ``x-1`` does."""
    if node.operation in {"multiply", "divide", "negate"}:
        for operand in node.operands:
            yield from _factors(operand)
    elif node.operation == "power":
        yield from _factors(node.operands[0])
    else:
        yield node


def _turns(switch: tuple[str, Node], name: str, base: Point) -> list[Fraction]:
    """The zeros of a switch along one variable."""
    kind, node = switch
    if name not in variables(node):
        return []
    others = {other: complex(float(value)) for other, value in base.items()}

    def state(at: float) -> float | None:
        try:
            place = values.FLOATS._replace(values={**others, name: complex(at)})
            value = values.estimate(node, place)[0]
        except (ArithmeticError, ValueError):
            return None
        if abs(value.imag) > 1e-9 * abs(value):
            return None
        return float(value.real > 0 if kind == "sign" else value.real // 1)

    states = [(at, state(at)) for at in _GRID]
    found = [
        _between(low, high, state) for (low, a), (high, b) in itertools.pairwise(states) if a != b
    ]
    nearest = sorted(set(found), key=abs)[:_MAX_KINKS]
    return [_plain(place) for place in nearest]


def _between(low: float, high: float, state: Callable[[float], float | None]) -> float:
    """The first place between two where the state is no longer what it was."""
    first = state(low)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if state(middle) == first else (low, middle)
    return high


def _plain(place: float) -> Fraction:
    """The simple fraction that floats have come close to, where there is one."""
    simple = Fraction(place).limit_denominator(1000)
    is_near = abs(float(simple) - place) <= 1e-6 * max(1.0, abs(place))
    return simple if is_near else Fraction(place).limit_denominator(10**9)
