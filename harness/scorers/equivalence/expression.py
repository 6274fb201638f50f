r"""Parses arithmetic, roots and functions into a tree, before any algebra.

The reader knows a closed list of commands and refuses the rest. Where LaTeX leaves two readings
(``\sin 2(x+1)``, ``\sqrt 2 3``) it refuses as well: a wrong reading could give false credit.
"""
# ruff: noqa: D102 - the reader's methods are named after what they read

from fractions import Fraction

from harness.scorers.equivalence.brackets import matching_brace
from harness.scorers.equivalence.latex import Token, Unreadable
from harness.scorers.equivalence.spelling import words
from harness.scorers.equivalence.tree import FUNCTIONS, Node, number

_GREEK = words(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell"
)
_CLOSER = {"(": ")", "[": "]", "{": "}", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}
# Commands besides functions and Greek letters that a factor may begin with.
_STARTERS = words("frac sqrt binom pi infty overline vec hat lfloor lceil")
_MAX_RUN = 20
_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec",
            "csc": "arccsc"}  # fmt: skip


class Reader:
    """A cursor over tokens, with one method for each level of binding."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = list(tokens)
        self.at = 0
        self.bars = 0

    def whole(self) -> Node:
        """The tree of everything."""
        node = self.group()
        if self.peek():
            raise Unreadable(f"unexpected {self.peek()!r}")
        return node

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ""

    def kind(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].kind if at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> Token:
        if self.at >= len(self.tokens) or expected not in {None, self.peek()}:
            raise Unreadable(f"expected {expected or 'more'}, found {self.peek() or 'the end'!r}")
        self.at += 1
        return self.tokens[self.at - 1]

    def group(self) -> Node:
        r"""All between two braces: a sum, or two of them around ``\over`` or ``\choose``."""
        node = self.sum()
        if self.peek() not in {"\\over", "\\choose"}:
            return node
        operation = "divide" if self.take().text == "\\over" else "binomial"
        return Node(operation, (node, self.sum()))

    def sum(self) -> Node:
        terms = [self.signed()]
        while self.peek() in {"+", "-", "\\pm", "\\mp"}:
            terms.append(self.signed())
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def signed(self) -> Node:
        sign = self.peek() if self.peek() in {"+", "-", "\\pm", "\\mp"} else ""
        if not sign:
            return self.product()
        self.take()
        if self.peek() in {"+", "-", "\\pm", "\\mp"} and sign in {"\\pm", "\\mp"}:
            raise Unreadable("two signs in a row")
        inner = self.signed() if self.peek() in {"+", "-"} else self.product()
        if sign in {"\\pm", "\\mp"}:
            return Node("either", (inner,), sign)
        return Node("negate", (inner,)) if sign == "-" else inner

    def product(self) -> Node:
        node = self.power()
        while True:
            if self.peek() in {"\\cdot", "*"}:
                self.take()
                node = Node("multiply", (node, self.factor()))
            elif self.peek() == "/":
                self.take()
                node = Node("divide", (node, self.factor()))
            elif self.starts_factor():
                if self.kind() == "number" and node.operation != "factorial":
                    raise Unreadable("a number after a factor")
                node = Node("multiply", (node, self.power()))
            else:
                return node

    def factor(self) -> Node:
        """A factor after a product sign: ``-3`` too."""
        if self.peek() in {"-", "+"}:
            is_minus = self.take().text == "-"
            node = self.factor()
            return Node("negate", (node,)) if is_minus else node
        return self.power()

    def starts_factor(self) -> bool:
        text = self.peek()
        if text == "|":
            return self.bars == 0
        if self.kind() in {"number", "letter", "run"} or text in {"(", "[", "{"}:
            return True
        if self.kind() != "command":
            return False
        name = text[1:]
        return name in FUNCTIONS or name in _GREEK or name.startswith("basis{") or name in _STARTERS

    def power(self) -> Node:
        node = self.postfix(self.primary())
        if self.peek() != "^":
            return node
        self.take()
        node = Node("power", (node, self.argument()))
        if self.peek() in {"^", "!"}:
            raise Unreadable("a power of a power without brackets")
        return self.postfix(node)

    def postfix(self, node: Node) -> Node:
        while self.peek() in {"!", "°"}:
            if self.take().text == "°":
                node = Node("degrees", (node,))
            elif node.operation == "negate" or self.peek() == "!":
                raise Unreadable("a double factorial")
            else:
                node = Node("factorial", (node,))
        return node

    def argument(self) -> Node:
        r"""The argument of ``^``, ``\frac`` and similar: a group, or one signed token."""
        if self.peek() == "{":
            return self.enclosed()
        if self.peek() == "-":
            self.take()
            return Node("negate", (self.argument(),))
        if self.kind() == "run":
            # As TeX has it: x^ab is x^a b.
            letters = self.take().text
            rest = Token("run" if len(letters) > 2 else "letter", letters[1:])  # noqa: PLR2004
            self.tokens[self.at : self.at] = [Token("letter", letters[0]), rest]
        return self.primary()

    def enclosed(self) -> Node:
        closer = _CLOSER[self.take().text]
        bars, self.bars = self.bars, 0
        node = self.group()
        self.take(closer)
        self.bars = bars
        return node

    def primary(self) -> Node:
        kind, text = self.kind(), self.peek()
        if kind == "number":
            return self.number()
        if kind == "letter":
            return self.letter()
        if kind == "run":
            return self.run()
        if text in {"(", "[", "{"}:
            return self.enclosed()
        if text == "|":
            return self.bars_of_abs()
        if kind == "command":
            return self.command(text[1:])
        raise Unreadable(f"cannot read {text or 'nothing'!r}")

    def bars_of_abs(self) -> Node:
        self.take("|")
        self.bars += 1
        node = self.sum()
        self.take("|")
        self.bars -= 1
        return Node("abs", (node,))

    def number(self) -> Node:
        text = self.take().text
        value = Fraction(text)
        if self.peek() == "\\overline":
            return number(value + self.repetend(text))
        if self.peek() == "\\ldots":
            self.take()
            return number(_continued(text))
        if not text.isdigit():
            return number(value)
        if self.peek() == "\\frac" or (
            self.kind() == "number" and self.peek().isdigit() and self.peek(1) == "/"
        ):
            return self.mixed(value)
        return number(value)

    def repetend(self, text: str) -> Fraction:
        r"""The part under the bar of ``0.1\overline{6}``."""
        self.take()
        digits = self.digits()
        places = len(text.partition(".")[2])
        if "." not in text:
            raise Unreadable("a bar over digits before the decimal point")
        return Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)

    def digits(self) -> str:
        is_group = self.peek() == "{"
        if is_group:
            self.take()
        digits = self.take().text
        if is_group:
            self.take("}")
        if not digits.isdigit():
            raise Unreadable("no digits under the bar")
        return digits

    def mixed(self, whole: Fraction) -> Node:
        r"""``3\frac{2}{5}`` and ``3 2/5`` are sums, ``3\frac{x}{5}`` is a product."""
        start = self.at
        if self.peek() == "\\frac":
            part = self.primary()
        else:
            top = number(int(self.take().text))
            self.take("/")
            part = Node("divide", (top, self.primary()))
        top, bottom = part.operands
        if top.operation != "number" or bottom.operation != "number":
            self.at = start
            return number(whole)
        assert isinstance(top.value, Fraction)
        assert isinstance(bottom.value, Fraction)
        if not 0 < top.value < bottom.value:
            raise Unreadable("a whole number next to an improper fraction")
        return number(whole + top.value / bottom.value)

    def letter(self) -> Node:
        name = self.take().text
        if name in {"e", "i"} and self.peek() not in {"_", "'"}:
            return Node("constant", (), name)
        return self.variable(name)

    def variable(self, name: str) -> Node:
        return Node("variable", (), name + self.marks())

    def marks(self) -> str:
        """Subscripts and primes."""
        marks = ""
        while self.peek() in {"_", "'"}:
            marks += self.subscript() if self.peek() == "_" else self.take().text
        return marks

    def subscript(self) -> str:
        self.take("_")
        if self.peek() != "{":
            return "_" + self.take().text
        inside = []
        self.take("{")
        while self.peek() != "}":
            inside.append(self.take().text)
        self.take("}")
        return "_" + "".join(inside)

    def run(self) -> Node:
        """Letters side by side in math mode: a product."""
        letters = [Token("letter", letter) for letter in self.take().text]
        if len(letters) > _MAX_RUN:
            raise Unreadable("more letters side by side than a product has")
        self.tokens[self.at : self.at] = letters
        node = self.power()
        for _ in letters[1:]:
            node = Node("multiply", (node, self.power()))
        return node

    def command(self, name: str) -> Node:  # noqa: PLR0911 - one for each kind
        if name in FUNCTIONS:
            return self.call()
        if name in {"frac", "binom"}:
            return self.pair()
        if name == "sqrt":
            return self.root()
        if name in {"lfloor", "lceil"}:
            return Node("floor" if name == "lfloor" else "ceil", (self.enclosed(),))
        if name in {"overline", "vec", "hat"}:
            return self.accented()
        self.take()
        if name in _GREEK or name.startswith("basis{"):
            return self.variable("\\" + name)
        if name in {"pi", "infty"}:
            return Node("constant", (), name)
        raise Unreadable(f"unknown command \\{name}")

    def accented(self) -> Node:
        r"""``\overline{z}`` is a separate name."""
        accent = self.take().text
        if self.peek() == "{":
            end = matching_brace(self.tokens, self.at)
            inside = self.tokens[self.at + 1 : end]
            self.at = end + 1
        else:
            inside = [self.take()]
        if not inside or any(token.kind not in {"letter", "run"} for token in inside):
            raise Unreadable(f"cannot read {accent} over more than letters")
        return self.variable(accent + "".join(token.text for token in inside))

    def pair(self) -> Node:
        r"""The two arguments of ``\frac`` and ``\binom``, which may be bare digits: ``\frac12``."""
        operation = "divide" if self.take().text == "\\frac" else "binomial"
        operands = []
        for _ in range(2):
            text = self.peek()
            if self.kind() == "number" and len(text) > 1 and text.isdigit():
                self.tokens[self.at : self.at + 1] = [
                    Token("number", text[0]),
                    Token("number", text[1:]),
                ]
            if self.kind() == "number":
                operands.append(number(Fraction(self.take().text)))
            else:
                operands.append(self.argument())
        return Node(operation, tuple(operands))

    def root(self) -> Node:
        self.take()
        degree = number(2)
        if self.peek() == "[":
            degree = self.enclosed()
        return Node("root", (self.argument(), degree))

    def call(self) -> Node:
        name = self.take().text[1:]
        base = power = None
        while self.peek() in {"_", "^"}:
            if self.take().text == "_":
                if name != "log" or base is not None:
                    raise Unreadable("an index on a function")
                base = self.argument()
            elif power is not None:
                raise Unreadable("two powers on a function")
            else:
                power = self.argument()
        if power == Node("negate", (number(1),)):
            if name not in _INVERSE:
                raise Unreadable("an inverse of a function without one name")
            name, power = _INVERSE[name], None
        inner = self.operand()
        node = Node("call", (inner,) if base is None else (inner, base), name)
        return node if power is None else Node("power", (node, power))

    def operand(self) -> Node:
        """The argument of a function: brackets, or factors up to the next sign."""
        if self.peek() in {"(", "[", "{", "|"}:
            node = self.primary()
            if self.peek() == "!" or self.peek() == "°":
                raise Unreadable("a factorial after a function")
            return node
        if self.peek() == "-":
            self.take()
            return Node("negate", (self.operand(),))
        node = self.power()
        while self.starts_factor() and self.peek()[1:] not in FUNCTIONS:
            if self.peek() in {"(", "[", "|"} or self.kind() == "number":
                raise Unreadable("a function's operand without brackets")
            node = Node("multiply", (node, self.power()))
        return node


def _continued(text: str) -> Fraction:
    """``0.2727...``: the digits must show their period, at least twice, three times if short."""
    places = text.partition(".")[2]
    for length in range(1, len(places) // 2 + 1):
        block = places[-length:]
        shown = 3 if length == 1 else 2
        if places.endswith(block * shown):
            return Fraction(text) + Fraction(int(block), (10**length - 1) * 10 ** len(places))
    raise Unreadable("an endless decimal without a period")
