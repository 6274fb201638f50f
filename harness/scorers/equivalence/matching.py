"""When two answers count as equal: the policy, on shapes.

Every comparison says yes, no, or that it takes algebra to tell (None). The same code runs twice: in
the calling process with a judge that knows arithmetic only, and where that leaves a question open,
in a worker process with a judge that works formulas out to many digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace as replace_fields
from fractions import Fraction

from harness.scorers.equivalence import numbers
from harness.scorers.equivalence.judge import Judge
from harness.scorers.equivalence.region import Interval, Region, ends, region, same_region
from harness.scorers.equivalence.shape import (
    BaseNumber,
    Choice,
    Clock,
    Group,
    Matrix,
    NumberSet,
    Ratio,
    Relation,
    Scalar,
    SetOperation,
    Shape,
    Words,
    plain_node,
)
from harness.scorers.equivalence.tree import Node, contains, number, replace, variables
from harness.scorers.equivalence.units import Label, agree
from harness.scorers.equivalence.verdicts import either, every, pair_off


def same(gold: Shape, answer: Shape, judge: Judge) -> bool | None:
    """Whether an answer is the gold answer."""
    if isinstance(gold, Choice) or isinstance(answer, Choice):
        return _same_choice(gold, answer, judge)
    if isinstance(gold, Relation) or isinstance(answer, Relation):
        return _same_relation(gold, answer, judge)
    if isinstance(gold, SetOperation | NumberSet) or isinstance(answer, SetOperation | NumberSet):
        return _same_region(gold, answer, judge)
    first, second = _vector(gold), _vector(answer)
    if first is not None and second is not None and not (_is_pair(gold) and _is_pair(answer)):
        if isinstance(gold, Scalar) or isinstance(answer, Scalar):
            first, second = _as_long(first, second)
        return _ordered(first, second, judge)
    if isinstance(gold, Group) or isinstance(answer, Group):
        return _same_group(gold, answer, judge)
    return _same_single(gold, answer, judge)


# --- choices ----------------------------------------------------------------------------------


def _same_choice(gold: Shape, answer: Shape, judge: Judge) -> bool | None:
    one, two = _letter(gold), _letter(answer)
    if one and two:
        is_same = one.upper() == two.upper() if isinstance(gold, Choice) else one == two
        return is_same and not _has_other_value(gold, answer, judge)
    rests = [each.rest if isinstance(each, Choice) else each for each in (gold, answer)]
    return same(rests[0], rests[1], judge) if rests[0] and rests[1] else False


def _has_other_value(gold: Shape, answer: Shape, judge: Judge) -> bool:
    """``(B) 49`` where ``(B) 48`` is right."""
    match gold, answer:
        case Choice(rest=Scalar() as one), Choice(rest=Scalar() as two):
            return same(one, two, judge) is False
        case _:
            return False


def _letter(shape: Shape) -> str:
    """The single letter that an answer consists of, else empty."""
    match shape:
        case Choice(letter):
            return letter
        case Scalar(letters=letter) if len(letter) == 1:
            return letter
        case Words(text) if len(text) == 1:
            return text
        case _:
            return ""


# --- relations --------------------------------------------------------------------------------


def _same_relation(  # noqa: PLR0911 - one for each rule
    gold: Shape, answer: Shape, judge: Judge
) -> bool | None:
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return _same_relations(gold, answer, judge)
    if isinstance(answer, Relation):
        if _is_equation(answer):
            return every(same(gold, value, judge) for value in _values(answer))
        if answer.operators == ("\\in",) and answer.terms[1] is not None:
            return same(gold, answer.terms[1], judge)
        return _same_region(gold, answer, judge)
    assert isinstance(gold, Relation)
    if _is_equation(gold):
        if not gold.name or not _defines(gold):
            return False
        return every(same(value, answer, judge) for value in _values(gold))
    if gold.operators == ("\\in",) and gold.terms[1] is not None:
        return same(gold.terms[1], answer, judge)
    return _same_region(gold, answer, judge)


def _is_equation(relation: Relation) -> bool:
    return set(relation.operators) == {"="}


def _values(relation: Relation) -> list[Shape]:
    """The terms that a named thing is equated to."""
    if not relation.name:
        return [term for term in relation.terms if term is not None]
    return [term for term in relation.terms[1:] if term is not None]


def _defines(gold: Relation) -> bool:
    """``x = 5`` and ``f(x) = x + 1`` may be answered by the right side, ``y = x + 1`` may not."""
    if set(gold.name) & set("+-/^") or "\\" in gold.name[1:]:
        return False
    free = [variables(value.node) for value in _values(gold) if isinstance(value, Scalar)]
    return gold.name.endswith(")") or not any(free)


def _same_relations(gold: Relation, answer: Relation, judge: Judge) -> bool | None:
    if (has_units := _units_agree(gold, answer, judge)) is not True:
        return has_units
    if _is_equation(gold) and _is_equation(answer):
        if gold.name and gold.name == answer.name:
            pairs = [(g, a) for g in _values(gold) for a in _values(answer)]
            verdict = every(same(g, a, judge) for g, a in pairs)
            if verdict is not False:
                return verdict
        return either(_proportional(gold, answer, judge), _same_sides(gold, answer, judge))
    # |x| < 3 and -3 < x < 3 describe the same x.
    is_same_letter = gold.name.strip("|") == answer.name.strip("|")
    if gold.operators == ("\\in",) == answer.operators:
        assert gold.terms[1] is not None
        assert answer.terms[1] is not None
        return same(gold.terms[1], answer.terms[1], judge) if is_same_letter else False
    return either(
        _same_region(gold, answer, judge) if is_same_letter else False,
        _proportional(gold, answer, judge),
        _same_chain(gold, answer, judge),
    )


def _same_sides(gold: Relation, answer: Relation, judge: Judge) -> bool | None:
    """``1 m = 100 cm`` is ``100 cm = 1 m``."""
    golds, answers = ([each for each in one.terms if each is not None] for one in (gold, answer))
    is_whole = len(golds) + len(answers) == len(gold.terms) + len(answer.terms)
    return _paired(golds, answers, judge) if is_whole else False


def _same_chain(gold: Relation, answer: Relation, judge: Judge) -> bool | None:
    """``a < b < c`` is ``c > b > a``."""
    first, second = _ascending(gold), _ascending(answer)
    if first.operators != second.operators or None in first.terms + second.terms:
        return False
    pairs = zip(first.terms, second.terms, strict=True)
    return every(same(g, a, judge) for g, a in pairs if g is not None and a is not None)


def _ascending(relation: Relation) -> Relation:
    if not set(relation.operators) <= {">", "\\geq"}:
        return relation
    operators = tuple(_turned(each, True) for each in reversed(relation.operators))
    return replace_fields(relation, terms=relation.terms[::-1], operators=operators)


_POINT = (Fraction(7, 3), Fraction(-11, 5), Fraction(13, 7), Fraction(17, 11), Fraction(-19, 13))


def _proportional(gold: Relation, answer: Relation, judge: Judge) -> bool | None:
    """``2x - 4y = 6`` is ``x - 2y = 3``: both sides' difference, up to a constant factor."""
    first, second = _difference(gold), _difference(answer)
    if first is None or second is None or len(gold.operators) != len(answer.operators):
        return False
    names = sorted(variables(first))
    if not names or names != sorted(variables(second)) or len(names) > len(_POINT):
        return False
    point = {name: number(value) for name, value in zip(names, _POINT, strict=False)}
    from harness.scorers.equivalence.values import FLOATS, estimate

    factors = replace(first, point), replace(second, point)
    try:
        sizes = [estimate(factor, FLOATS)[0] for factor in factors]
    except (ArithmeticError, ValueError):
        return False
    if not all(abs(size) > 1e-9 and abs(size.imag) < 1e-9 * abs(size) for size in sizes):  # noqa: PLR2004
        return False
    is_flipped = (sizes[0].real > 0) != (sizes[1].real > 0)
    if gold.operators[0] != _turned(answer.operators[0], is_flipped):
        return False
    return judge.equal(
        Node("multiply", (first, factors[1])), Node("multiply", (second, factors[0]))
    )


def _turned(operator: str, is_flipped: bool) -> str:
    turned = {"<": ">", ">": "<", "\\leq": "\\geq", "\\geq": "\\leq"}
    return turned.get(operator, operator) if is_flipped else operator


def _difference(relation: Relation) -> Node | None:
    sides = [plain_node(term) for term in relation.terms]
    if len(sides) != 2 or sides[0] is None or sides[1] is None:  # noqa: PLR2004
        return None
    return Node("add", (sides[0], Node("negate", (sides[1],))))


# --- sets of numbers --------------------------------------------------------------------------


def _same_region(gold: Shape, answer: Shape, judge: Judge) -> bool | None:
    if isinstance(gold, NumberSet) and isinstance(answer, NumberSet):
        return gold == answer
    first, second = region(gold), region(answer)
    if first is None or second is None:
        return False
    if (has_units := _units_agree(gold, answer, judge)) is not True:
        return has_units
    verdict = same_region(first, second, judge.value)
    if verdict is None and any(variables(end) for end in (*ends(first), *ends(second))):
        return _same_pieces(first, second, judge)
    return verdict


def _units_agree(gold: Shape, answer: Shape, judge: Judge) -> bool | None:
    """The units of ends and sides may be left out, not changed: 5 cm < x is not 5 m < x.

    Where both have several units, as in 1 m = 100 cm, each amount is one of the other's.
    """
    golds, answers = list(_scalars(gold)), list(_scalars(answer))
    amounts, others = ([each for each in one if each.label.unit] for one in (golds, answers))
    if all(len({each.label.unit for each in one}) > 1 for one in (amounts, others)):
        return _paired(amounts, others, judge)
    return all(agree(g.label, a.label) for g in golds for a in answers)


def _scalars(shape: Shape | None) -> Iterator[Scalar]:
    match shape:
        case Scalar():
            yield shape
        case Group(items=parts) | Relation(terms=parts):
            for part in parts:
                yield from _scalars(part)
        case SetOperation(left=left, right=right):
            yield from (*_scalars(left), *_scalars(right))


def _same_pieces(gold: Region, answer: Region, judge: Judge) -> bool | None:
    """Intervals whose ends hold variables: piece by piece."""
    golds, answers = _pieces(gold), _pieces(answer)
    return pair_off(
        [[_same_interval(g, a, judge) for a in answers] for g in golds], len(golds), len(answers)
    )


def _pieces(shape: Region) -> list[Region]:
    if isinstance(shape, Interval) or getattr(shape, "operator", "") != "\\cup":
        return [shape]
    return [*_pieces(shape.left), *_pieces(shape.right)]  # type: ignore[union-attr]


def _same_interval(gold: Region, answer: Region, judge: Judge) -> bool | None:
    if not isinstance(gold, Interval) or not isinstance(answer, Interval):
        return None if gold == answer else False
    if (gold.has_low, gold.has_high) != (answer.has_low, answer.has_high):
        return False
    return every((judge.equal(gold.low, answer.low), judge.equal(gold.high, answer.high)))


# --- several things ---------------------------------------------------------------------------


def _same_group(  # noqa: PLR0911 - one for each rule
    gold: Shape, answer: Shape, judge: Judge
) -> bool | None:
    if _is_one(gold) or _is_one(answer):
        return same(_unwrapped(gold), _unwrapped(answer), judge)
    if isinstance(answer, Group) and not isinstance(gold, Group):
        # Several spellings of one value are one value: 1/2 or 0.5.
        if not answer.is_choice and not _is_ordering(gold):
            return False
        if answer.is_choice:
            return every(same(gold, item, judge) for item in answer.items)
        return _letters_of(answer) == _letters_of(gold)
    if not isinstance(gold, Group) or not isinstance(answer, Group):
        return False
    if {gold.brackets, answer.brackets} <= {"", "{}"}:
        return _paired(gold.items, answer.items, judge)
    if {gold.brackets, answer.brackets} == {"()", ""}:
        golds, answers = _in_order(gold), _in_order(answer)
        return _ordered(golds, answers, judge) if golds and answers else False
    if gold.brackets != answer.brackets:
        return False
    return _ordered(gold.items, answer.items, judge)


def _paired(golds: Sequence[Shape], answers: Sequence[Shape], judge: Judge) -> bool | None:
    """Whether each is one of the others, in any order."""
    verdicts = [[same(g, a, judge) for a in answers] for g in golds]
    return pair_off(verdicts, len(golds), len(answers))


def _is_one(shape: Shape) -> bool:
    r"""``\{7\}`` is 7; ``7, 7`` is not."""
    if not isinstance(shape, Group) or shape.brackets not in {"", "{}"} or len(shape.items) != 1:
        return False
    item = shape.items[0]
    return not (isinstance(item, Group) and item.brackets == "{}")


def _unwrapped(shape: Shape) -> Shape:
    return shape.items[0] if isinstance(shape, Group) and _is_one(shape) else shape


def _is_pair(shape: Shape) -> bool:
    return isinstance(shape, Group) and shape.brackets == "()"


def _ordered(golds: tuple[Shape, ...], answers: tuple[Shape, ...], judge: Judge) -> bool | None:
    if len(golds) != len(answers):
        return False
    return every(same(g, a, judge) for g, a in zip(golds, answers, strict=True))


def _in_order(group: Group) -> tuple[Shape, ...]:
    """``x = 3, y = 4`` spells out the pair ``(3, 4)``; a bare list without names has no order.

    Neighbours in the alphabet are in its order, other names in that of the text.
    """
    if group.brackets:
        return group.items
    names = [item.name for item in group.items if isinstance(item, Relation)]
    if len(names) != len(group.items) or "" in names or len(set(names)) != len(names):
        return ()
    codes = [ord(name) for name in names if len(name) == 1]
    if len(codes) == len(names) and max(codes) - min(codes) == len(codes) - 1:
        return tuple(item for _, item in sorted(zip(codes, group.items, strict=True)))
    return group.items


def _is_ordering(shape: Shape) -> bool:
    """Capital letters side by side: points or people in a row, not a product."""
    letters = shape.letters if isinstance(shape, Scalar) else ""
    return len(letters) > 1 and letters.isalpha() and letters.isupper()


def _letters_of(shape: Shape) -> str:
    items = shape.items if isinstance(shape, Group) else (shape,)
    return "".join(item.letters if isinstance(item, Scalar) else "?" for item in items)


def _vector(shape: Shape) -> tuple[Shape, ...] | None:
    """The components of anything that may be a vector, None when it is none."""
    match shape:
        case Group("<>" | "()", items):
            return items
        case Matrix(rows) if all(len(row) == 1 for row in rows):
            return tuple(Scalar(row[0]) for row in rows)
        case Scalar(node=node) if contains(node, "variable", _BASIS):
            return _components(shape)
        case _:
            return None


_BASIS = frozenset({"\\basis{i}", "\\basis{j}", "\\basis{k}"})


def _components(vector: Scalar) -> tuple[Shape, ...]:
    units = [{other: number(int(other == name)) for other in _BASIS} for name in sorted(_BASIS)]
    return tuple(replace_fields(vector, node=replace(vector.node, unit)) for unit in units)


def _as_long(
    first: tuple[Shape, ...], second: tuple[Shape, ...]
) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
    """Whether a missing component counts as 0: in the plane, ``3i + 4j`` has no third one."""
    nothing = Scalar(number(0))
    size = max(len(first), len(second))
    if size != len(_BASIS) or min(len(first), len(second)) != size - 1:
        return first, second
    return (*first, nothing)[:size], (*second, nothing)[:size]


# --- single things ----------------------------------------------------------------------------


def _same_single(  # noqa: PLR0911 - one for each rule
    gold: Shape, answer: Shape, judge: Judge
) -> bool | None:
    match gold, answer:
        case Scalar(), Scalar():
            return _same_scalar(gold, answer, judge)
        case (Words(), Words()) | (Clock(), Clock()) | (BaseNumber(), BaseNumber()):
            return gold == answer
        case (Words(text), Scalar(letters=letters)) | (Scalar(letters=letters), Words(text)):
            return (
                len(text) > 1 and letters.isalpha() and letters.casefold() == text.replace(" ", "")
            )
        case BaseNumber(digits), Words(letters) | Scalar(letters=letters):
            letters = letters.replace(" ", "")
            return letters.upper().lstrip("0") == digits.lstrip("0")
        case Scalar(node=node), BaseNumber(digits, 10):
            return str(numbers.exact(node)) == digits.lstrip("0")
        case Matrix(golds), Matrix(answers):
            return _same_matrix(golds, answers, judge)
        case _:
            return _same_ratio(gold, answer, judge)


def _same_matrix(
    golds: tuple[tuple[Node, ...], ...], answers: tuple[tuple[Node, ...], ...], judge: Judge
) -> bool | None:
    if [len(row) for row in golds] != [len(row) for row in answers]:
        return False
    pairs = zip(golds, answers, strict=True)
    return every(judge.equal(g, a) for rows in pairs for g, a in zip(*rows, strict=True))


def _same_ratio(gold: Shape, answer: Shape, judge: Judge) -> bool | None:
    if isinstance(gold, Ratio) and isinstance(answer, Ratio):
        if len(gold.parts) != len(answer.parts):
            return False
        if gold.is_time and (answer.is_time or _is_unreduced(gold)):
            return gold.parts == answer.parts
        crossed = [
            (Node("multiply", (g, answer.parts[0])), Node("multiply", (a, gold.parts[0])))
            for g, a in zip(gold.parts, answer.parts, strict=True)
        ]
        return every(judge.equal(g, a) for g, a in crossed)
    first, second = _quotient(gold), _quotient(answer)
    return judge.equal(first, second) if first and second else False


def _is_unreduced(ratio: Ratio) -> bool:
    """A gold ratio would have been reduced: this is a time."""
    parts = [numbers.exact(part) for part in ratio.parts]
    return math.gcd(*(int(part) for part in parts if part is not None)) != 1


def _quotient(shape: Shape) -> Node | None:
    match shape:
        case Ratio((top, bottom)) if not (shape.is_time and _is_unreduced(shape)):
            return Node("divide", (top, bottom))
        case Scalar(is_percent=False, label=Label(unit="")):
            return plain_node(shape)
        case _:
            return None


def _same_scalar(gold: Scalar, answer: Scalar, judge: Judge) -> bool | None:
    if not agree(gold.label, answer.label):
        return False
    if _is_ordering(gold) and answer.letters:
        return gold.letters == answer.letters
    verdict = judge.equal(gold.node, answer.node)
    if gold.is_percent == answer.is_percent:
        return verdict
    if gold.label.unit or answer.label.unit:
        return False
    return _same_percentage(gold, answer, judge, verdict)


def _same_percentage(
    gold: Scalar, answer: Scalar, judge: Judge, verdict: bool | None
) -> bool | None:
    """One of the two is a percentage; ``verdict`` says whether the numbers are the same."""
    percent, plain = (gold, answer) if gold.is_percent else (answer, gold)
    as_fraction = judge.equal(Node("divide", (percent.node, number(100))), plain.node)
    if gold.is_percent:
        return either(verdict, as_fraction)
    # A gold below 1 is a proportion; above 1 it is what a question for per cent was answered by.
    size = numbers.exact(gold.node)
    if size is None or abs(size) > 1:
        return verdict
    return either(verdict, as_fraction) if size == 1 else as_fraction
