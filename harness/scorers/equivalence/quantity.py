"""Formulas with their surroundings: a unit, a per cent sign, the brackets of a matrix."""

from harness.scorers.equivalence.brackets import encloses, split, unwrap
from harness.scorers.equivalence.calculus import read_expression
from harness.scorers.equivalence.latex import Token, Unreadable, depth_change
from harness.scorers.equivalence.shape import Group, Matrix, Scalar, Shape
from harness.scorers.equivalence.tree import (
    Node,
    contains,
    number,
    settle_degrees,
    signs,
    variables,
)
from harness.scorers.equivalence.units import is_plain_label, read_label, scale_of

_MATRICES = frozenset({"pmatrix", "bmatrix", "Bmatrix", "matrix", "smallmatrix", "array"})


def read_scalar(tokens: list[Token]) -> Shape:
    """A formula with its unit, or the two formulas of a plus-or-minus sign."""
    formula, rest = _cut_label(tokens)
    is_percent = any(token.text in PERCENT for token in rest)
    node = read_expression(formula)
    if rest and rest[-1].text.casefold() in _SIGN_WORDS:
        node, rest = Node("negate", (node,)), rest[:-1]
    rest = [token for token in rest if token.text not in PERCENT]
    if [token.text for token in rest] == ["i"]:
        node, rest = Node("multiply", (node, Node("constant", (), "i"))), []
    while rest and formula and (scale := scale_of(rest[0].text)):
        node, rest = Node("multiply", (node, number(scale))), rest[1:]
    label = read_label(rest)
    if contains(node, "degrees"):
        settled = settle_degrees(node)
        if not contains(settled, "call") and not label.unit:
            label = label._replace(unit="degree")
        node = settled
    if is_percent and (variables(node) or label.unit):
        raise Unreadable("a percentage of something")
    items = tuple(Scalar(each, label, is_percent, _letters(tokens)) for each in signs(node))
    return items[0] if len(items) == 1 else Group("", items)


_SIGN_WORDS = frozenset({"minus", "negative"})
PERCENT = frozenset({"%", "percent", "percentage"})
_CURRENCIES = frozenset({"\\$", "€", "£", "¥", "¢", "₹"})


def _letters(tokens: list[Token]) -> str:
    """The tokens as plain letters and digits, empty where they are more than that."""
    is_plain = all(t.kind in {"letter", "run", "word"} or t.text.isalnum() for t in tokens)
    return "".join(token.text for token in tokens) if is_plain else ""


def _cut_label(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """Separates the formula from its label: words on both sides, a currency sign in front."""
    start = next((at for at, token in enumerate(tokens) if token.kind != "word"), 0)
    front, tokens = tokens[:start], tokens[start:]
    if front and len(tokens) > 1 and tokens[0].text == ".":
        tokens = tokens[1:]  # approx. 5
    sign = [token for token in tokens[:1] if token.text in {"-", "+"}]
    if len(tokens) > len(sign) and tokens[len(sign)].text in _CURRENCIES:
        front = [*front, tokens[len(sign)]]
        tokens = sign + tokens[len(sign) + 1 :]
    cut = len(tokens)
    depth = 0
    for at, token in enumerate(tokens):
        if (depth == 0 or token.kind == "word") and at and _starts_label(tokens, at):
            cut = at
            break
        depth += depth_change(token)
    if depth == 1 and tokens[cut - 1].text in {"(", "["}:
        cut -= 1  # the bracket of a unit in brackets
    rest = tokens[cut:]
    if rest and rest[0].text == "\\frac":
        rest = [
            Token("symbol", "/") if [each.text for each in rest[at : at + 2]] == ["}", "{"] else t
            for at, t in enumerate(rest)
        ][1:]
    elif rest and rest[0].text == "\\cdot":
        rest = rest[1:]
    return tokens[:cut], rest + front


def _starts_label(tokens: list[Token], at: int) -> bool:
    token, tail = tokens[at], tokens[at:]
    if token.text in PERCENT | _CURRENCIES or token.kind == "word":
        return True
    if token.text == "\\frac":
        return [t.kind == "word" for t in tail[1:3]] == [False, True]
    if token.text == "\\cdot":
        return at + 1 < len(tokens) and tokens[at + 1].kind == "word"
    # Bare letters are a unit only beside a number without variables, and at the end.
    if any(t.kind in {"letter", "run"} for t in tokens[:at]):
        return False
    if [t.text for t in tail[:3]] == ["m", "/", "s"]:
        return all(t.text in {"^", "{", "}", "2"} for t in tail[3:])
    return is_plain_label(token) and all(
        t.kind == "word"
        or is_plain_label(t)
        or t.text in {"^", "{", "}", "/", "2", "3", "s", "h", "m"}
        for t in tail
    )


def read_matrix(tokens: list[Token]) -> Shape:
    """A matrix, with the factor in front of it multiplied into every entry."""
    if len(tokens) > 2 and tokens[0].text in {"(", "["} and encloses(tokens):  # noqa: PLR2004
        tokens = tokens[1:-1]
    starts = [at for at, token in enumerate(tokens) if token.text == "\\begin"]
    ends = [at for at, token in enumerate(tokens) if token.text == "\\end"]
    if len(starts) != 1 or len(ends) != 1 or ends[0] + 4 != len(tokens):
        raise Unreadable("more than one matrix")
    factor, body = tokens[: starts[0]], tokens[starts[0] + 4 : ends[0]]
    if tokens[starts[0] + 2].text not in _MATRICES:
        raise Unreadable("an environment that is no matrix")
    if tokens[starts[0] + 2].text == "array" and body and body[0].text == "{":
        body = body[next(at for at, token in enumerate(body) if token.text == "}") + 1 :]
    rows = [split(row, frozenset({"&"})) for row in split(body, frozenset({"\\\\"})) if row]
    entries = [[read_expression(unwrap(entry)) for entry in row] for row in rows]
    if not entries or len({len(row) for row in entries}) != 1:
        raise Unreadable("rows of different lengths")
    if factor and factor[-1].text == "\\cdot":
        factor = factor[:-1]
    if [token.text for token in factor] == ["-"]:
        return Matrix(tuple(tuple(Node("negate", (entry,)) for entry in row) for row in entries))
    if factor:
        by = read_expression(factor)
        entries = [[Node("multiply", (by, entry)) for entry in row] for row in entries]
    return Matrix(tuple(map(tuple, entries)))
