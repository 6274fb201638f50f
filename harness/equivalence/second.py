r"""The second opinion: formulas that only math-verify's parser knows, credited when all agree.

Workers only. Both formulas are written out again in one plain spelling (``written``): variables
renamed to safe lower-case letters alike on both sides, decimals as fractions, no unit, subscript,
prime or text left. math-verify's parser reads that and nothing else, and its ``verify`` has to say
yes. Alone it would also say yes to less than equal (it drops subscripts and primes, takes limits
from one side, assumes a ``dx``), so ``agree`` has to say yes as well: sums, integrals and unknown
functions count as equal only if they are the same term by term, the rest by ``algebra``.
"""

from fractions import Fraction
from typing import Any

from harness.equivalence.algebra import Algebra
from harness.equivalence.calculus import FOREIGN, SEVERAL, read_formula
from harness.equivalence.latex import Unreadable
from harness.equivalence.tree import Node, contains, number, variables
from harness.equivalence.verdicts import every, pair_off

_LETTERS = "abcjklmnpqrstuvwxyz"
"""Without the letters that stand for something else: d, e, i, o and functions."""
_FUNCTION_LETTERS = "fgh"


def judge(gold: str, answer: str) -> dict[str, object]:
    """The verdict on one pair: ``is_equal``, or ``unreadable`` with the reason and the side."""
    trees = read_formula(gold), read_formula(answer)
    names = _names(trees)
    parsed = []
    for side, tree in zip(("gold", "answer"), trees, strict=True):
        try:
            parsed.append(_parse(written(tree, names)))
        except Unreadable as error:
            return {"is_equal": False, "unreadable": str(error), "side": side}
    if parsed[0].free_symbols != parsed[1].free_symbols:
        return {"is_equal": False}
    return {"is_equal": bool(agree(*trees, Algebra())) and _verify(*parsed)}


# --- math-verify ------------------------------------------------------------------------------


def _parse(text: str) -> Any:
    """What math-verify's parser makes of a formula; nothing is repaired, cut off or guessed."""
    import sympy
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    as_it_is = NormalizationConfig(
        basic_latex=False, units=False, malformed_operators=False, nits=False, boxed="none"
    )
    found = parse(
        f"${text}$",
        [LatexExtractionConfig(boxed_match_priority=-1, normalization_config=as_it_is)],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,  # its limit would use signals; the pool kills
    )
    if len(found) != 1 or not isinstance(found[0], sympy.Expr):
        raise Unreadable("math-verify cannot read it as a formula")
    return found[0]


def _verify(gold: Any, answer: Any) -> bool:
    from math_verify import verify

    return bool(
        verify(
            gold, answer, float_rounding=40, numeric_precision=40, strict=True, timeout_seconds=None
        )
    )


# --- agreement term by term -------------------------------------------------------------------


def agree(gold: Node, answer: Node, algebra: Algebra) -> bool | None:
    """Whether two formulas are equal whatever their sums, integrals and functions are worth."""
    terms: list[Node] = []
    return algebra.equal(_outline(gold, terms, algebra), _outline(answer, terms, algebra))


def _outline(node: Node, terms: list[Node], algebra: Algebra) -> Node:
    """The formula with a variable in place of each term that algebra does not know."""
    if node.operation not in FOREIGN:
        operands = tuple(_outline(operand, terms, algebra) for operand in node.operands)
        return node._replace(operands=operands)
    known = _worked_out(node, algebra)
    if known is not None:
        return known
    for at, term in enumerate(terms):
        if _same_term(term, node, algebra):
            return Node("variable", (), f"?{at}")
    terms.append(node)
    return Node("variable", (), f"?{len(terms) - 1}")


def _worked_out(node: Node, algebra: Algebra) -> Node | None:
    """The value of gcd and max of given numbers."""
    import math

    if node.operation not in SEVERAL or any(contains(each, "apply") for each in node.operands):
        return None
    if any(each.operation in FOREIGN or variables(each) for each in node.operands):
        return None
    values = [algebra.value(operand) for operand in node.operands]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if node.operation in {"max", "min"}:
        return node.operands[known.index({"max": max, "min": min}[node.operation](known))]
    if any(value.denominator != 1 for value in known):
        return None
    return number({"gcd": math.gcd, "lcm": math.lcm}[node.operation](*map(int, known)))


def _same_term(one: Node, two: Node, algebra: Algebra) -> bool:
    if (one.operation, one.value) != (two.operation, two.value):
        return False
    rows = [[agree(left, right, algebra) for right in two.operands] for left in one.operands]
    if one.operation in SEVERAL:
        return bool(pair_off(rows, len(one.operands), len(two.operands)))
    is_as_long = len(one.operands) == len(two.operands)
    return is_as_long and bool(every(rows[at][at] for at in range(len(rows))))


# --- one plain spelling -----------------------------------------------------------------------


def _names(trees: tuple[Node, Node]) -> dict[str, str]:
    """A letter for each variable and function of either side; functions are marked."""
    used = sorted({name for tree in trees for name in _used(tree)})
    functions = [name for name in used if name.endswith("(")]
    others = [name for name in used if not name.endswith("(")]
    if len(others) > len(_LETTERS) or len(functions) > len(_FUNCTION_LETTERS):
        raise Unreadable("more names than there are letters")
    return dict(zip((*others, *functions), _LETTERS[: len(others)] + _FUNCTION_LETTERS,
                    strict=False))  # fmt: skip


def _used(node: Node) -> set[str]:
    names = set().union(*map(_used, node.operands))
    if node.operation == "apply":
        names.add(f"{node.value}(")
    elif node.operation in FOREIGN | {"variable"} and node.value is not None:
        names.add(str(node.value))
    return names


def written(node: Node, names: dict[str, str]) -> str:
    """LaTeX that has one reading, terms and factors sorted.

    Raises:
        Unreadable: math-verify has no such thing, or would take it for another.
    """
    if node.operation in {"add", "negate"}:
        return "".join(sorted(_terms(node, names), key=_unsigned)).removeprefix("+")
    if node.operation == "multiply":
        return "*".join(sorted(_factors(node, names)))
    if node.operation in FOREIGN:
        return _foreign(node, names)
    return _plain(node, names)


def _terms(node: Node, names: dict[str, str]) -> list[str]:
    if node.operation == "add":
        return [term for operand in node.operands for term in _terms(operand, names)]
    if node.operation == "negate":
        return ["-" + _factor(node.operands[0], names)]
    return ["+" + _factor(node, names)]


def _unsigned(term: str) -> tuple[str, str]:
    return term[1:], term[:1]


def _factors(node: Node, names: dict[str, str]) -> list[str]:
    if node.operation == "multiply":
        return [factor for operand in node.operands for factor in _factors(operand, names)]
    return [_factor(node, names)]


_CLOSED = SEVERAL | frozenset(
    {"divide", "binomial", "root", "call", "variable", "constant", "apply", "abs", "floor", "ceil"}
)


def _factor(node: Node, names: dict[str, str]) -> str:
    text = written(node, names)
    is_digits = node.operation == "number" and not text.startswith("-")
    return text if node.operation in _CLOSED or is_digits else f"({text})"


def _base(node: Node, names: dict[str, str]) -> str:
    """What a power or an exclamation mark may follow."""
    text = written(node, names)
    is_single = node.operation in {"variable", "constant"} or text.isdigit()
    return text if is_single else f"({text})"


def _leaf(node: Node, names: dict[str, str]) -> str:
    if node.operation == "variable":
        return names[str(node.value)]
    if node.operation == "constant":
        if node.value == "i":
            raise Unreadable("math-verify takes i for a variable")
        return "e" if node.value == "e" else f"\\{node.value}"
    assert isinstance(node.value, Fraction)
    top, bottom = node.value.as_integer_ratio()
    return str(top) if bottom == 1 else rf"\frac{{{top}}}{{{bottom}}}"


def _plain(node: Node, names: dict[str, str]) -> str:  # noqa: PLR0911 - one for each operation
    inside = [written(operand, names) for operand in node.operands]
    match node.operation:
        case "number" | "variable" | "constant":
            return _leaf(node, names)
        case "divide":
            return rf"\frac{{{inside[0]}}}{{{inside[1]}}}"
        case "binomial":
            return rf"\binom{{{inside[0]}}}{{{inside[1]}}}"
        case "root":
            return rf"\sqrt[{inside[1]}]{{{inside[0]}}}"
        case "power":
            return rf"{_base(node.operands[0], names)}^{{{inside[1]}}}"
        case "factorial":
            return f"{_base(node.operands[0], names)}!"
        case "abs" if "|" not in inside[0]:
            return f"|{inside[0]}|"
        case "floor" | "ceil":
            return rf"\l{node.operation}({inside[0]})\r{node.operation}"
        case "call" if node.value != "cis":
            base = inside[1] if len(inside) > 1 else "10"
            index = f"_{{{base}}}" if node.value == "log" else ""
            return rf"\{node.value}{index}({inside[0]})"
        case _:
            raise Unreadable(f"math-verify is not asked about {node.value or node.operation}")


def _foreign(node: Node, names: dict[str, str]) -> str:
    inside = [written(operand, names) for operand in node.operands]
    body, ends = inside[0], inside[1:]
    name = names.get(str(node.value), "")
    match node.operation:
        case "sum" | "prod":
            return rf"\{node.operation}_{{{name}={ends[0]}}}^{{{ends[1]}}}({body})"
        case "lim":
            return rf"\lim_{{{name} \to {ends[0]}}}({body})"
        case "int":
            limits = rf"_{{{ends[0]}}}^{{{ends[1]}}}" if ends else ""
            return rf"\int{limits}({body})d{name}"
        case "apply":
            # Without a comma math-verify takes f(x+1) for a product.
            comma = "" if body.isalnum() or ends else ","
            return f"{names[f'{node.value}(']}({','.join(inside)}{comma})"
        case _:
            return rf"\{node.operation}({','.join(inside)})"
