"""Parses tokens into shapes, from the outside in, down to formulas. Compares nothing."""

import itertools
import re

from harness.scorers.equivalence.brackets import encloses, is_unbalanced, split, unwrap
from harness.scorers.equivalence.calculus import BINDERS, read_expression
from harness.scorers.equivalence.latex import Token, Unreadable, depth_change, tokenize
from harness.scorers.equivalence.quantity import read_matrix, read_scalar
from harness.scorers.equivalence.shape import (
    BaseNumber,
    Choice,
    Clock,
    Group,
    NumberSet,
    Ratio,
    Relation,
    Scalar,
    SetOperation,
    Shape,
    Words,
)
from harness.scorers.equivalence.spelling import SEVERAL
from harness.scorers.equivalence.tree import FUNCTIONS, Node
from harness.scorers.equivalence.units import (
    NUMBER_WORDS,
    is_descending,
    number_in_words,
    read_label,
    unit_of,
)

_ORDER = frozenset({"<", ">", "\\leq", "\\geq", "\\neq"})
_RELATIONS = _ORDER | {"=", "\\in", "\\equiv", "\\approx", "\\sim", "\\perp", "\\parallel"}
_CONNECTORS = frozenset({"and", "or"})
_ASIDES = frozenset({"either", "both", "equivalently", "possibly", "perhaps", "maybe"})
_ROUNDED = frozenset({"\\approx", "approximately", "approx", "about", "roughly"})
_ARTICLES = frozenset({"a", "an", "the"})
_FIXED: dict[str, Shape] = {
    **dict.fromkeys(
        ("all real numbers", "all real number", "all reals", "real numbers"), NumberSet("R")
    ),
    **dict.fromkeys(("all integers", "integers"), NumberSet("Z")),
    **dict.fromkeys(
        ("empty set", "null set", "none", "no solution", "no solutions", "no real solution",
         "no real solutions"), Group("{}", ())
    ),
    "infinity": Scalar(Node("constant", (), "infty")),
    "infinitely many solutions": Words("infinitely many"),
    **dict.fromkeys(("dne", "does not exist"), Words("does not exist")),
}  # fmt: skip
"""Words with a fixed meaning."""
_SUBJECT = re.compile(r"there (?:is|are|exists?) |\w+ ha(?:s|ve) |\w+ (?=does not exist)")
"""Phrases before a statement that there is no solution."""
_LEAD = re.compile(r"(?:the )?(?:final |correct |right )?(?:answer|option|choice)(?P<verb> is)?")


def read(latex: str) -> Shape:
    """The shape of one answer.

    Raises:
        Unreadable: It is nothing that this module knows.
    """
    return read_tokens(tokenize(latex))


def read_tokens(tokens: list[Token]) -> Shape:
    """The shape of a token list, see ``read``."""
    tokens = _without_kind(_without_lead(_without_aside(unwrap(tokens))))
    if not tokens:
        raise Unreadable("nothing there")
    for reader in (
        _clock,
        _base_number,
        _choice,
        _listing,
        _words,
        _relation,
        _sets,
        _parts,
        _point,
    ):
        shape = reader(tokens)
        if shape is not None:
            return shape
    return _single(tokens)


def _without_lead(tokens: list[Token]) -> list[Token]:
    """Removes ``Answer:`` or ``the correct option is`` at the start."""
    words = ""
    for at, token in enumerate(tokens[:6]):
        found = _LEAD.fullmatch(words.strip())
        if token.text in {":", "="}:
            return tokens[at + 1 :] if found else tokens
        if found and found["verb"]:
            return tokens[at:]
        words += token.text.casefold() + " "
    return tokens


def _without_aside(tokens: list[Token]) -> list[Token]:
    r"""``1/2 (or 0.5)`` without the brackets, ``\pi (\approx 3.14)`` without what they hold."""
    for at, token in enumerate(tokens[:-1]):
        if at and token.text == "(" and tokens[-1].text == ")":
            words = tokens[at + 1].text.casefold()
            if words == "or":
                return [*tokens[:at], *tokens[at + 1 : -1]]
            if words in _ROUNDED:
                return tokens[:at]
    return tokens


def _without_kind(tokens: list[Token]) -> list[Token]:
    """``the point (1, 2)`` without what it is called."""
    start = next((at for at, token in enumerate(tokens) if token.kind != "word"), 0)
    if not start or tokens[start].text not in {"(", "[", "\\{", "\\langle"}:
        return tokens
    label = read_label(tokens[:start])
    return tokens if label.telling or label.unit else tokens[start:]


def _compact(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens if token.text not in "{}")


def _clock(tokens: list[Token]) -> Shape | None:
    found = re.fullmatch(r"(\d{1,2})(?::(\d\d))?([ap])\.?m\.?", _compact(tokens).casefold())
    if not found or tokens[-1].kind == "letter":
        return None
    return Clock(int(found[1]), int(found[2] or 0), found[3])


def _base_number(tokens: list[Token]) -> Shape | None:
    compact = "".join(t.text for t in tokens if t.text not in {"{", "}", "(", ")"})
    names = "|".join(NUMBER_WORDS)
    found = re.fullmatch(rf"([\dA-Z]+)(?:_(?:base)?|(?:in)?base)(\d+|{names})", compact)
    if not found or is_unbalanced(tokens):
        return None
    base = NUMBER_WORDS.get(found[2]) or int(found[2])
    letters = [ord(letter) - ord("A") + 10 for letter in found[1] if letter.isalpha()]
    if letters and (len(found[1]) == 1 or max(letters) >= base):
        return None
    return BaseNumber(found[1], base)


def _choice(tokens: list[Token]) -> Shape | None:
    r"""``\text{(B)}``, ``(B)``, ``B.``, ``\textbf{(B)}\ 48``; a bare letter is a variable."""
    is_named = len(tokens) > 1 and tokens[0].text.casefold() in {"option", "choice"}
    tokens = tokens[1:] if is_named else tokens
    is_bracketed = len(tokens) > 2 and tokens[0].text == "(" and tokens[2].text == ")"  # noqa: PLR2004
    letter = tokens[1] if is_bracketed else tokens[0]
    rest = tokens[3:] if is_bracketed else tokens[1:]
    if not re.fullmatch("[A-Ja-j]", letter.text) or (letter.text.islower() and not is_bracketed):
        return None
    closes = not is_bracketed and bool(rest) and rest[0].text in {".", ")", ":"}
    is_text = letter.kind == "word" or is_named
    if not is_text and not _is_plain_choice(is_bracketed, closes, rest):
        return None
    if rest and not is_bracketed and not closes:
        return None
    return _chosen(letter.text, rest[1:] if closes else rest)


def _is_plain_choice(is_bracketed: bool, closes: bool, rest: list[Token]) -> bool:
    """In math mode only ``(B)``, ``(B) 48``, ``B)`` and ``B: 48`` cannot be a variable."""
    if is_bracketed:
        return not rest or rest[0].kind in {"number", "word", "command"}
    if not closes or len(rest) == 1:
        return closes and rest[0].text == ")"
    return rest[1].kind == "number" or (rest[0].text != ")" and rest[1].kind in {"command", "word"})


def _chosen(letter: str, rest: list[Token]) -> Shape | None:
    if rest and rest[0].text in {",", ";"}:
        return None
    while rest and rest[0].text in {".", ":"}:
        rest = rest[1:]
    if any(token.text.casefold() in _CONNECTORS for token in rest):
        return None
    return Choice(letter, read_tokens(rest) if rest else None)


def _listing(tokens: list[Token]) -> Shape | None:
    """``1, 2 and 3``. ``x < 1 or x > 4`` is a union, ``x > 1 and x < 4`` an intersection."""
    tokens = [t for t in tokens if not (t.kind == "word" and t.text.casefold() in _ASIDES)]
    tokens = [
        Token("word", t.text.casefold()) if t.text.casefold() in _CONNECTORS else t for t in tokens
    ]
    tokens = [
        one
        for one, two in itertools.pairwise([*tokens, Token("symbol", "")])
        if (one.text, two.text) != (",", "or")
    ]
    pieces = split(tokens, frozenset({",", ";", *_CONNECTORS}))
    if len(pieces) == 1:
        return None
    items = [read_tokens(piece) for piece in pieces if piece]
    if not items:
        raise Unreadable("a list of nothing")
    has_or = any(token.text == "or" for token in tokens)
    has_and = any(token.text == "and" for token in tokens)
    if all(_is_region(item) for item in items):
        has_gap = any(isinstance(item, Relation) and "\\neq" in item.operators for item in items)
        if has_or != (has_and or has_gap):
            return _fold("\\cup" if has_or else "\\cap", items)
    if not has_or and (quantity := _quantity(items)):
        return quantity
    is_choice = has_or and not has_and and not split(tokens, frozenset({",", ";"}))[1:]
    return _gather(items, is_choice=is_choice)


def _quantity(items: list[Shape]) -> Shape | None:
    """``1 hour, 30 minutes`` as the one quantity that it is."""
    units = [item.label.unit if isinstance(item, Scalar) else "" for item in items]
    return Group("+", tuple(items)) if is_descending(units) else None


def _parts(tokens: list[Token]) -> Shape | None:
    """Splits ``1 hour 30 minutes``: every number after a word begins another part."""
    starts = [
        at
        for at, (one, two) in enumerate(itertools.pairwise(tokens), start=1)
        if two.kind == "number" and one.kind in {"word", "run"} and unit_of(one.text)
    ]
    if not starts or tokens[0].kind != "number":
        return None
    edges = [0, *starts, len(tokens)]
    return _quantity([read_scalar(tokens[low:high]) for low, high in itertools.pairwise(edges)])


def _is_region(item: Shape) -> bool:
    return isinstance(item, Relation) and bool(_ORDER & set(item.operators))


def _fold(operator: str, items: list[Shape]) -> Shape:
    folded = items[0]
    for item in items[1:]:
        folded = SetOperation(operator, folded, item)
    return folded


def _gather(items: list[Shape], *, is_choice: bool = False) -> Shape:
    r"""A list, with ``x = 1, 2`` and ``\pm 1`` spread out."""
    first, others = items[0], items[1:]
    if (
        isinstance(first, Relation)
        and first.operators == ("=",)
        and first.name
        and not any(isinstance(item, Relation) for item in others)
    ):
        assert first.terms[-1] is not None
        items = [first.terms[-1], *others]
    spread: list[Shape] = []
    for item in items:
        spread.extend(item.items if isinstance(item, Group) and not item.brackets else [item])
    return Group("", tuple(spread), is_choice)


def _words(tokens: list[Token]) -> Shape | None:
    """Words and nothing else."""
    if not any(token.kind == "word" for token in tokens) or not _is_prose(tokens, {"letter"}):
        return None
    if tokens[0].kind == "letter" and all(unit_of(token.text) for token in tokens[1:]):
        return None  # x cm
    digits = _in_digits(tokens)
    if digits:
        return read_scalar(digits)
    text = fold_words(tokens)
    return _FIXED.get(_SUBJECT.sub("", text)) or _FIXED.get(text) or Words(text)


def _in_digits(tokens: list[Token]) -> list[Token]:
    """Words with their one number in digits, empty where there is none or are several."""
    texts = [token.text.casefold() for token in tokens]
    start = next((at for at, text in enumerate(texts) if text in NUMBER_WORDS), len(texts))
    for end in range(min(len(texts), start + 4), start, -1):
        value = number_in_words(texts[start:end])
        if value is not None and not NUMBER_WORDS.keys() & set(texts[end:]):
            return [*tokens[:start], *tokenize(str(value)), *tokens[end:]]
    return []


def _is_prose(tokens: list[Token], others: set[str]) -> bool:
    return all(t.kind in {"word", "run", *others} or t.text in "-'.\"!&()" for t in tokens)


def fold_words(tokens: list[Token]) -> str:
    """Words in one spelling."""
    words = [t.text.casefold() for t in tokens if t.kind in {"word", "run", "letter", "number"}]
    kept = [word for word in words if word not in _ARTICLES] if len(words) > 1 else words
    return " ".join(kept)


def _relation(tokens: list[Token]) -> Shape | None:
    sides = split(tokens, _RELATIONS)
    if len(sides) == 1:
        return None
    operators = _operators(tokens)
    if not sides[0] and operators[0] == "\\approx" and len(sides) == 2:  # noqa: PLR2004
        return read_tokens(sides[1])
    if "\\approx" in operators:
        # "exact ≈ rounded": the exact value is the answer.
        cut = operators.index("\\approx")
        kept = sum(len(side) + 1 for side in sides[: cut + 1]) - 1
        if kept == len(sides[0]) and _name(sides[0]):
            tokens = [*sides[0], Token("symbol", "="), *tokens[kept + 1 :]]
        else:
            tokens = tokens[:kept]
        return read_tokens(tokens)
    if operators == ("\\in",) and not _name(sides[0]):
        raise Unreadable("membership of something without a name")
    if any(not side for side in sides) or not set(operators) <= _ORDER | {"=", "\\in"}:
        raise Unreadable("a relation that is not =, <, > or in")
    names = [_name(side) for side in sides]
    if operators == ("=",) and not names[0] and names[1]:
        sides, names = sides[::-1], names[::-1]
    # A chain of inequalities describes its middle; anything else describes its left side.
    is_between = len(sides) == 3 and set(operators) <= _ORDER  # noqa: PLR2004
    at = 1 if is_between else next((at for at in (0, len(sides) - 1) if names[at]), 0)
    terms = tuple(
        _maybe(side) if position == at and names[at] else read_tokens(side)
        for position, side in enumerate(sides)
    )
    return _spread(Relation(names[at], terms, operators))


def _operators(tokens: list[Token]) -> tuple[str, ...]:
    depth, operators = 0, []
    for token in tokens:
        depth += depth_change(token)
        if depth == 0 and token.text in _RELATIONS:
            operators.append(token.text)
    return tuple(operators)


def _maybe(tokens: list[Token]) -> Shape | None:
    try:
        return read_tokens(tokens)
    except Unreadable:
        return None


def _spread(relation: Relation) -> Shape:
    r"""``x = \pm 4`` is a list of two values, ``x \in \{1, 2\}`` as well."""
    value = relation.terms[-1]
    if not relation.name or len(relation.terms) != 2 or not isinstance(value, Group):  # noqa: PLR2004
        return relation
    is_values = relation.operators == ("=",) and value.brackets == ""
    is_member = relation.operators == ("\\in",) and value.brackets == "{}"
    return Group("", value.items) if is_values or is_member else relation


_OPERATION_SIGNS = frozenset({"+", "-", "/", "^", "\\cdot", "\\pm", "!", "\\frac", "\\sqrt"})


def _name(tokens: list[Token]) -> str:
    r"""The name on a side of an equation (``x``, ``f(3)``, ``(x, y)``, ``m + n``), or nothing.

    A formula in one variable (``2x``) is no name: ``2x = 14`` does not say 14.
    """
    texts = [token.text for token in tokens]
    letters = {t.text for t in tokens if t.kind == "letter" or _is_greek(t)}
    letters |= {letter for t in tokens if t.kind == "run" for letter in t.text}
    if not letters and not any(token.kind == "word" for token in tokens):
        return ""
    if {"\\log", "\\ln", "\\exp", "\\lfloor", "\\lceil"} & set(texts):
        return ""
    if {"\\" + binder for binder in BINDERS} & set(texts):
        return "".join(texts)
    if _OPERATION_SIGNS & set(texts):
        # 100m+n is what was asked for, 2x+3y is the side of an equation.
        is_several = len(letters - {"e", "i"}) > 1
        is_asked = not letters <= {"x", "y", "z"} or not _has_coefficient(tokens)
        return "".join(texts) if is_several and is_asked else ""
    if tokens[0].kind == "number":
        return ""
    return "".join(texts)


def _has_coefficient(tokens: list[Token]) -> bool:
    """A number that is no exponent."""
    before = ["", "", *(token.text for token in tokens)]
    return any(
        token.kind == "number" and before[at + 1] != "^" and before[at : at + 2] != ["^", "{"]
        for at, token in enumerate(tokens)
    )


def _is_greek(token: Token) -> bool:
    name = token.text[1:]
    is_plain = name in {"pi", "infty", "frac", "sqrt", "cdot", "binom"} | SEVERAL | FUNCTIONS
    return token.kind == "command" and name.isalpha() and not is_plain


def _sets(tokens: list[Token]) -> Shape | None:
    if len(tokens) > 2 and tokens[0].text == "\\mathbb{R}" and tokens[1].text == "-":  # noqa: PLR2004
        tokens = [tokens[0], Token("command", "\\setminus"), *tokens[2:]]
    for operators in (("\\setminus",), ("\\cup",), ("\\cap",)):
        pieces = split(tokens, frozenset(operators))
        if len(pieces) > 1:
            return _fold(operators[0], [read_tokens(piece) for piece in pieces])
    if len(tokens) == 1 and tokens[0].text.startswith("\\mathbb{"):
        return NumberSet(tokens[0].text[8])
    if len(tokens) == 1 and tokens[0].text == "\\emptyset":
        return Group("{}", ())
    return None


_TIME = r"([01]?\d|2[0-3])(:[0-5]\d){1,2}"


def _single(tokens: list[Token]) -> Shape:
    """One bracketed thing, one matrix, one ratio, or one formula."""
    if len(tokens) > 1 and depth_change(tokens[0]) == 1 and encloses(tokens):
        group = _bracketed(tokens)
        if group is not None:
            return group
    if any(token.text == "\\begin" for token in tokens):
        return read_matrix(tokens)
    parts = split(tokens, frozenset({":"}))
    if len(parts) > 1:
        is_time = re.fullmatch(_TIME, _compact(tokens)) is not None
        return Ratio(tuple(read_expression(part) for part in parts), is_time)
    try:
        return read_scalar(tokens)
    except Unreadable:
        if all(token.text.isalnum() for token in tokens) and _compact(tokens).isupper():
            return Words(_compact(tokens).casefold())
        if tokens[0].kind == "word" and _is_prose(tokens, {"letter", "number"}):
            return Words(fold_words(tokens))
        raise


def _point(tokens: list[Token]) -> Shape | None:
    """``A(2, 3)`` as ``A = (2, 3)``."""
    is_named = re.fullmatch("[A-Z]", tokens[0].text) and [t.text for t in tokens[1:2]] == ["("]
    point = _bracketed(tokens[1:]) if is_named and encloses(tokens[1:]) else None
    return Relation(tokens[0].text, (None, point), ("=",)) if isinstance(point, Group) else None


def _bracketed(tokens: list[Token]) -> Shape | None:
    """A tuple, interval, set or vector; None for brackets around a single formula."""
    opener, closer = tokens[0].text, tokens[-1].text
    inside = tokens[1:-1]
    if opener == "\\{" and closer == "\\}":
        return _set(inside)
    pieces = split(inside, frozenset({";"}))
    pieces = pieces if len(pieces) > 1 else split(inside, frozenset({","}))
    if opener == "\\langle" and closer == "\\rangle":
        return Group("<>", tuple(map(read_tokens, pieces)))
    if opener not in {"(", "["} or closer not in {")", "]"}:
        return None
    if len(pieces) > 1:
        return Group(opener + closer, tuple(map(read_tokens, pieces)))
    is_more = any(token.text in _RELATIONS or token.kind == "word" for token in inside)
    if opener + closer == "()" and is_more:
        return read_tokens(inside)
    return None


def _set(inside: list[Token]) -> Shape:
    r"""``\{1, 2\}``, or ``\{x \mid x > 3\}``, which is its condition."""
    if not inside:
        return Group("{}", ())
    for separator in ("|", ":"):
        sides = split(inside, frozenset({separator}))
        if len(sides) == 2 and _name(sides[0][:1]):  # noqa: PLR2004
            return read_tokens(sides[1])
    items = _gather([read_tokens(piece) for piece in split(inside, frozenset({",", ";"}))])
    assert isinstance(items, Group)
    return Group("{}", items.items)
