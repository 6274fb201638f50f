r"""LaTeX of a short answer, cut into tokens: decoration gone, every spelling in one form.

What cannot be read as mathematics or as plain words stays in as the command that it is, and the
reader of expressions refuses every command that it does not know. So ``\input`` or ``\def``
never get further than this.
"""

import re
import unicodedata
from typing import Literal, NamedTuple

from harness.scorers.equivalence.spelling import (
    BOLD,
    CHINESE,
    DROPPED,
    DROPPED_WITH_GROUP,
    KEPT_WIDE,
    LOWERED,
    MATH_FONTS,
    ORDINALS,
    PLAIN_NAMES,
    RAISED,
    RENAMED,
    SETS,
    SEVERAL,
    SYMBOLS,
    TEXT,
    UNICODE,
    UPRIGHT_FUNCTIONS,
    WORD_SIGNS,
)

MAX_CHARACTERS = 1500
MAX_DEPTH = 40
MAX_DIGITS = 600


class Unreadable(ValueError):  # noqa: N818 - says what a text is, not that something broke
    """A text that the parser cannot read as an answer. The message says why."""


class Token(NamedTuple):
    """One piece of an answer."""

    kind: Literal["number", "letter", "run", "word", "command", "symbol"]
    """``run``: two or more letters in math mode; ``word``: any letters in text mode."""
    text: str


_SCANNER = re.compile(
    r"""
    (?P<space>(?:\s|~|\\[,;:!>\ ])+)
  | (?P<number>\d+(?:\.\d+|\.(?=\s*\\(?:overline|bar|dot)\b))?(?:[eE][+-]?\d+(?![\dA-Za-z.]))?
             |\.\d+)
  | (?P<command>\\(?:[A-Za-z]+\*?|.))
  | (?P<letters>[^\W\d_]+)
  | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ROW_SPACING = re.compile(r"\\\\\s*\[[\d.]+\s*(?:pt|em|ex|mm|cm)\]")
_DELIMITERS = re.compile(r"(\\\\)|\\[()\[\]]|(?<!\\)\$")
_GROUP_OF_THREE = r"(?:,\\!\s*|\{,\}|\\,|\\!|\\;|\\:|\\ |~|,(?=\d))\d{3}"
_THOUSANDS = re.compile(rf"(?<![\d.,])\d{{1,3}}(?:{_GROUP_OF_THREE})+(?![\d]|,\d|\{{,\}})")
_DOTTED = re.compile(r"(?<=[\d.])\s*\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?")
_BRACKETED_PERIOD = re.compile(r"(?<![\d.])(\d+\.)\((\d+)\)")
_CHINESE = re.compile("|".join(CHINESE))
_LINES = re.compile(
    r"""\\left\s*\\\{\s*\\begin\{(?:array|aligned)\}(?:\{[lcr]*\})?
      | \\end\{(?:array|aligned)\}\s*\\right\s*\.
      | \\(?:begin|end)\{(?:aligned|align\*?|gathered|gather\*?|split|cases)\}""",
    re.VERBOSE,
)
_TYPED_DOTS = re.compile(r"(?<=[\d,])\s*\.{3,}")
_SPACED_THOUSANDS = re.compile(r"-?\d{1,3}(?: \d{3})+(?:\.\d+)?")


def tokenize(latex: str) -> list[Token]:
    """Tokens of one answer.

    Raises:
        Unreadable: It is too long, too deep, or holds a number too long to be an answer.
    """
    if len(latex) > MAX_CHARACTERS:
        raise Unreadable(f"longer than {MAX_CHARACTERS} characters")
    tokens = _scan(_plain(latex), prose=False)
    depth = 0
    for token in tokens:
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth > MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH}")
        if token.kind == "number" and _digits(token.text) > MAX_DIGITS:
            raise Unreadable(f"a number of more than {MAX_DIGITS} digits")
    return _tidy(tokens)


def _digits(number: str) -> int:
    """About how many digits a number has when it is written out: ``1e9`` has ten."""
    digits, _, exponent = number.casefold().partition("e")
    return len(digits) + abs(int(exponent[:9] or 0))


_OPENING = frozenset({"(", "[", "{", "\\{", "\\langle", "\\lfloor", "\\lceil", "\\begin"})
_CLOSING = frozenset({")", "]", "}", "\\}", "\\rangle", "\\rfloor", "\\rceil", "\\end"})


def depth_change(token: Token) -> int:
    """+1 for an opening bracket of any kind, -1 for a closing one, else 0."""
    return (token.text in _OPENING) - (token.text in _CLOSING)


def _plain(latex: str) -> str:
    """One alphabet, no math delimiters, no thousands separators, no Markdown."""
    text = (latex if latex.isascii() else _one_alphabet(latex)).strip()
    while len(text) > 4 and text.startswith("**") and text.endswith("**"):  # noqa: PLR2004
        text = text[2:-2].strip()
    for table, mark in ((RAISED, "^"), (LOWERED, "_")):
        text = re.sub(
            f"[{''.join(table)}]+",
            lambda found, table=table, mark=mark: (  # type: ignore[misc]
                f"{mark}{{{''.join(table[character] for character in found[0])}}}"
            ),
            text,
        )
    if not text.isascii():
        text = _CHINESE.sub(lambda found: CHINESE[found[0]], text.translate(UNICODE))
    text = text.replace("**", "^").replace(">=", "\\geq ").replace("<=", "\\leq ")
    text = _ROW_SPACING.sub(r"\\\\", text)
    if "\\begin" in text:
        text = _without_lines(text)
    text = _DOTTED.sub(r"\\overline{\1\2\3}", text)
    text = _BRACKETED_PERIOD.sub(r"\1\\overline{\2}", text)
    text = _TYPED_DOTS.sub(r" \\ldots ", text)
    text = _DELIMITERS.sub(lambda found: found[1] or " ", text).strip()
    if _SPACED_THOUSANDS.fullmatch(text.rstrip(".")):
        return text.replace(" ", "")
    return _join_thousands(text)


def _one_alphabet(text: str) -> str:
    """ASCII digits, letters, signs and spaces for those of other widths, fonts and scripts."""

    def plain(character: str) -> str:
        kind = unicodedata.category(character)
        if kind == "Nd":
            return str(unicodedata.digit(character))
        if kind in {"Zs", "Cf"} or character == "\ufe0f":
            return " " if kind == "Zs" else ""
        is_styled = "\uff01" <= character <= "\uff5e" or "\U0001d400" <= character <= "\U0001d7ff"
        is_styled = is_styled and character not in KEPT_WIDE
        return unicodedata.normalize("NFKC", character) if is_styled else character

    return "".join(map(plain, text))


def _without_lines(text: str) -> str:
    """The lines of an aligned formula or a system one after the other."""
    if not _LINES.search(text):
        return text
    text = _LINES.sub(" ", text)
    text = re.sub(r"&\s*(?==|<|>|\\[lg]e|\\in\b|\\approx)", "", text)
    text = re.sub(r"\\\\\s*(?==)", " ", text).strip().removesuffix("\\\\")
    return text.replace("\\\\", ", ")


def _join_thousands(text: str) -> str:
    """``58,500`` is one number, ``(58,500)`` are two."""
    depth, position, pieces = 0, 0, []
    for found in _THOUSANDS.finditer(text):
        for at in range(position, found.start()):
            if text[at] in "([" or text.startswith("\\{", at - 1) or text.startswith("gle", at - 2):
                depth += 1
            elif text[at] in ")]" or text.startswith("\\}", at - 1):
                depth -= 1
        pieces.append(text[position : found.start()])
        number = found[0]
        is_plain = "\\" not in number and "{" not in number and "~" not in number
        pieces.append(number if is_plain and depth > 0 else re.sub(r"\D", "", number))
        position = found.end()
    return "".join([*pieces, text[position:]])


def _scan(text: str, *, prose: bool) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        found = _SCANNER.match(text, position)
        assert found is not None, "the scanner's last alternative takes any character"
        position = found.end()
        match found.lastgroup:
            case "number":
                tokens.append(Token("number", found[0]))
            case "letters":
                tokens.append(_letters(found[0], prose=prose))
            case "symbol":
                tokens.append(Token("symbol", found[0]))
            case "command":
                position = _command(found[0][1:], text, position, tokens)
            case _:
                pass
    return tokens


def _letters(letters: str, *, prose: bool) -> Token:
    if prose and letters in UPRIGHT_FUNCTIONS:
        return Token("command", "\\" + letters)
    if prose or not letters.isascii():
        return Token("word", letters)
    if letters in PLAIN_NAMES:
        return Token("command", "\\" + letters)
    return Token("letter" if len(letters) == 1 else "run", letters)


def _command(name: str, text: str, position: int, tokens: list[Token]) -> int:
    """Appends the tokens of a command; returns the position after it."""
    name = RENAMED.get(name, name)
    if name in TEXT or name in {"mathbb", "hat", "vec"}:
        return _styled(name, text, position, tokens)
    if name in DROPPED_WITH_GROUP:
        return _group(text, position)[1]
    if name in DROPPED:
        if name in {"left", "right"} and text.startswith(".", position):
            return position + 1
        return position
    if name in {"i", "j"}:
        tokens.append(Token("letter", name))
    elif name in WORD_SIGNS:
        tokens.append(Token("word", WORD_SIGNS[name]))
    elif name in SYMBOLS:
        tokens.append(Token("symbol", SYMBOLS[name]))
    else:
        tokens.append(Token("command", "\\" + name))
    return position


def _styled(name: str, text: str, position: int, tokens: list[Token]) -> int:
    """A change of font, reduced to what it says about its content."""
    content, position = _group(text, position)
    inner = _scan(content, prose=name in TEXT and name not in {*MATH_FONTS})
    only = inner[0].text if len(inner) == 1 else ""
    if name == "mathbb":
        tokens.append(Token("command", f"\\mathbb{{{only}}}" if only in SETS else "\\mathbb"))
    elif only in {"i", "j", "k"} and (name in BOLD or name in {"hat", "vec"}):
        tokens.append(Token("command", f"\\basis{{{only}}}"))
    elif inner and inner[0].text.startswith("\\basis"):
        tokens.extend(inner)
    elif name in {"hat", "vec"}:
        tokens += [
            Token("command", f"\\{name}"),
            Token("symbol", "{"),
            *inner,
            Token("symbol", "}"),
        ]
    elif name in {"operatorname", "operatorname*"}:
        known = only.casefold() in {*PLAIN_NAMES, "arccot", "arcsec", "arccsc", "cis"}
        tokens.extend([Token("command", "\\" + only.casefold())] if known else inner)
    elif name in MATH_FONTS:
        tokens.extend(_upright(inner) if name in {"mathrm", "rm"} else _words(inner))
    else:
        tokens.extend(inner)
    return position


def _words(tokens: list[Token]) -> list[Token]:
    return [Token("word", token.text) if token.kind == "run" else token for token in tokens]


def _upright(tokens: list[Token]) -> list[Token]:
    """Upright letters are words and units, except for the constants that are printed upright."""
    if len(tokens) == 1 and tokens[0].text in {"i", "e", "d", "C"}:
        return tokens
    return [Token("word", t.text) if t.kind in {"run", "letter"} else t for t in tokens]


def _group(text: str, position: int) -> tuple[str, int]:
    """The braced group, or the single character, at ``position``; and where it ends."""
    while position < len(text) and text[position].isspace():
        position += 1
    if not text.startswith("{", position):
        found = re.compile(r"\\[A-Za-z]+|.", re.DOTALL).match(text, position)
        return (found[0], found.end()) if found else ("", position)
    depth = 0
    for found in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, position):
        depth += (found[0] == "{") - (found[0] == "}")
        if depth == 0:
            return text[position + 1 : found.start()], found.end()
    raise Unreadable("unbalanced braces")


_SEVERAL = frozenset(Token("word", name) for name in SEVERAL)
_RAISED_MARKS = frozenset({"°", "'", *ORDINALS})


def _mark(token: Token) -> Token:
    return token if token.kind == "symbol" else Token("word", token.text)


def _is_ordinal(number: Token, ending: str) -> bool:
    """``12th`` and ``2nd``, not ``2th``."""
    if number.kind != "number" or not number.text.isdigit():
        return False
    is_teen = number.text[-2:-1] == "1"
    return ending == (
        "th" if is_teen else {"1": "st", "2": "nd", "3": "rd"}.get(number.text[-1], "th")
    )


def _tidy(tokens: list[Token]) -> list[Token]:
    """Raised degree signs, primes and ordinals without their ``^``; no punctuation at the end."""
    tidy: list[Token] = []
    for token in tokens:
        tidy.append(token)
        texts = [each.text for each in tidy[-4:]]
        if len(texts) > 1 and texts[-2] == "^" and texts[-1] in _RAISED_MARKS:
            tidy[-2:] = [_mark(token)]
        elif texts[:2] == ["^", "{"] and texts[-1] == "}" and texts[2] in _RAISED_MARKS:
            tidy[-4:] = [_mark(tidy[-2])]
        elif token.text in {"(", "\\{"} and len(tidy) > 1 and tidy[-2] in _SEVERAL:
            tidy[-2] = Token("command", "\\" + tidy[-2].text)
        elif texts[-2:] in (["°", "C"], ["°", "F"]):
            tidy[-2:] = [Token("word", "°" + token.text)]
        elif token.kind == "run" and len(tidy) > 1 and _is_ordinal(tidy[-2], token.text):
            tidy[-1] = _mark(token)
    while tidy and tidy[-1].kind == "symbol" and tidy[-1].text in ".,;":
        tidy.pop()
    is_turned = bool(tidy) and (tidy[0].text == "]" or tidy[-1].text == "[")
    return _round(tidy) if is_turned else tidy


def _round(tokens: list[Token]) -> list[Token]:
    """``]0,1[`` is the open interval ``(0,1)``."""
    depth, turned = 0, []
    for token, after in zip(tokens, [*tokens[1:], Token("symbol", "\\cup")], strict=True):
        is_closing = depth > 0 and after.text in {"\\cup", "\\cap", "\\setminus"}
        if token.text == "]" and depth == 0:
            turned.append(Token("symbol", "("))
        elif token.text == "[" and is_closing:
            turned.append(Token("symbol", ")"))
        else:
            turned.append(token)
        depth += depth_change(turned[-1])
    return turned
