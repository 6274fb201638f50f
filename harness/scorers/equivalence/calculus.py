r"""Formulas with sums, integrals, limits, gcd, max and ``f(x)`` as well: the reader of formulas.

It inherits every refusal of ``expression``: a text that can be read in two ways stays unreadable.
Bound variables lose their names, so ``\sum_j`` is ``\sum_k``.
"""

from harness.scorers.equivalence.expression import Reader
from harness.scorers.equivalence.latex import Token, Unreadable
from harness.scorers.equivalence.spelling import SEVERAL
from harness.scorers.equivalence.tree import Node, contains, number, replace, variables

BINDERS = frozenset({"sum", "prod", "int", "lim"})
"""``sum`` and ``prod`` (body, start, end), ``lim`` (body, point), ``int`` (body, or body, low,
high); value: the bound variable, ``#1`` for the innermost."""
FOREIGN = BINDERS | {"apply"}
"""Operations that are not worked out. ``apply`` (operands): an unknown function, value its name."""

_DIFFERENTIAL = "\\differential"
_ARROWS = frozenset({"\\to", "\\rightarrow", "\\longrightarrow"})
# Letters that in front of a bracket name a function: f(2) is not 2f.
_FUNCTION_LETTERS = frozenset("fgFG")


def read_expression(tokens: list[Token]) -> Node:
    """The tree of a whole formula.

    Raises:
        Unreadable: It is no formula, or one that can be read in two ways.
    """
    reader = _Reader(_with_differentials(tokens))
    node = reader.whole()
    if reader.bound:
        _check_names(node, reader)
    return node


def _check_names(node: Node, reader: "_Reader") -> None:
    free = variables(node) | ({"i"} if contains(node, "constant", frozenset("i")) else frozenset())
    if reader.bound & {name.partition("_")[0] for name in free}:
        raise Unreadable("a bound variable outside of what binds it")
    if any(_mentions(name, reader.bound) for name in variables(node) | reader.functions):
        raise Unreadable("a name that may hold a bound variable")
    if contains(node, "either") or contains(node, "degrees"):
        raise Unreadable("a sign with two readings")


def _mentions(name: str, bound: set[str]) -> bool:
    r"""``a_{k+1}`` and ``\bar k`` depend on ``k`` in a way that the tree does not show."""
    index = name.partition("_")[2]
    is_accented = name.startswith(("\\overline", "\\vec", "\\hat"))
    return any(each in index or (is_accented and each in name) for each in bound)


def _with_differentials(tokens: list[Token]) -> list[Token]:
    """Replaces the ``d`` of ``dx`` in integrals by a command."""
    integrals = sum(token.text == "\\int" for token in tokens)
    if not integrals:
        return tokens
    single = [
        Token("letter", letter) if token.kind == "run" else token
        for token in tokens
        for letter in (token.text if token.kind == "run" else " ")
    ]
    marked = [
        Token("command", _DIFFERENTIAL) if token == Token("letter", "d") else token
        for token in single
    ]
    if sum(token.text == _DIFFERENTIAL for token in marked) != integrals:
        raise Unreadable("an integral without its one differential")
    return marked


class _Reader(Reader):
    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self.bound: set[str] = set()
        self.functions: set[str] = set()
        self.indices: list[str] = []
        self.measure: str | None = None
        """The variable of the innermost integral once it is known, None outside of all."""

    def starts_factor(self) -> bool:
        return super().starts_factor() or self.peek()[1:] in SEVERAL | BINDERS

    def command(self, name: str) -> Node:
        if name in SEVERAL:
            return self.several()
        if name in {"sum", "prod"}:
            return self.series()
        if name == "lim":
            return self.limit()
        if name == "int":
            return self.integral()
        if "\\" + name == _DIFFERENTIAL:
            self.differential()
            return number(1)
        return super().command(name)

    def letter(self) -> Node:
        if self.peek() in self.indices:
            return self.variable(self.take().text)
        return super().letter()

    def variable(self, name: str) -> Node:
        name += self.marks()
        if name[0] not in _FUNCTION_LETTERS or self.peek() != "(":
            return Node("variable", (), name)
        self.functions.add(name)
        return Node("apply", self.bracketed(")"), name)

    def power(self) -> Node:
        node = super().power()
        base = str(node.operands[0].value) if node.operation == "power" else ""
        if base[:1] in _FUNCTION_LETTERS and self.peek() == "(":
            raise Unreadable("a power of what may be a function")
        return node

    def several(self) -> Node:
        """The operands in brackets of a function that takes many."""
        name = self.take().text[1:]
        closer = {"(": ")", "\\{": "\\}"}.get(self.peek())
        if closer is None or (closer == "\\}" and name not in {"max", "min"}):
            raise Unreadable(f"{name} without brackets")
        return Node(name, self.bracketed(closer))

    def bracketed(self, closer: str) -> tuple[Node, ...]:
        """The contents of brackets, separated by commas."""
        self.take()
        bars, self.bars = self.bars, 0
        operands = [self.sum()]
        while self.peek() == ",":
            self.take()
            operands.append(self.sum())
        self.take(closer)
        self.bars = bars
        return tuple(operands)

    def index(self) -> str:
        """A variable to be bound."""
        token = self.take()
        is_name = token.kind == "letter" or (token.kind == "command" and token.text[1:].isalpha())
        if not is_name or token.text in {"e", "d", "\\pi", "\\infty"}:
            raise Unreadable("nothing to bind")
        return token.text

    def end(self) -> Node:
        r"""The limit below or above a sign; in ``\int_0^12x`` it is 1 for TeX, 12 for others."""
        if self.kind() != "number":
            return self.argument()
        digits = self.take().text
        if len(digits) > 1:
            raise Unreadable("a bound without braces")
        return number(int(digits))

    def within(self, name: str) -> Node:
        """The factors after a binder."""
        self.indices.append(name)
        body = self.product()
        self.indices.pop()
        return body

    def bind(self, operation: str, name: str, body: Node, *ends: Node) -> Node:
        self.bound.add(name)
        fresh = f"#{1 + _height(body)}"
        body = replace(body, {name: Node("variable", (), fresh)})
        return Node(operation, (body, *ends), fresh)

    def series(self) -> Node:
        operation = self.take().text[1:]
        name, found = "", {}
        for _ in range(2):
            mark = self.take().text
            if mark == "_":
                self.take("{")
                name = self.index()
                self.take("=")
                found[mark] = self.sum()
                self.take("}")
            elif mark == "^":
                found[mark] = self.end()
        if set(found) != {"_", "^"}:
            raise Unreadable("a sum without its two ends")
        return self.bind(operation, name, self.within(name), found["_"], found["^"])

    def limit(self) -> Node:
        self.take()
        self.take("_")
        self.take("{")
        name = self.index()
        if self.take().text not in _ARROWS:
            raise Unreadable("a limit without an arrow")
        point = self.sum()
        self.take("}")
        return self.bind("lim", name, self.within(name), point)

    def integral(self) -> Node:
        self.take()
        ends = {}
        while self.peek() in {"_", "^"}:
            mark = self.take().text
            ends[mark] = self.end()
        if len(ends) == 1:
            raise Unreadable("an integral with one end")
        outer, self.measure = self.measure, ""
        body = self.sum()
        if self.peek() == _DIFFERENTIAL:
            self.differential()
        name, self.measure = self.measure, outer
        if not name or self.starts_factor():
            raise Unreadable("an integral that does not end with its differential")
        if not ends:
            # An antiderivative is a function of the variable that it names.
            return Node("int", (body,), name)
        return self.bind("int", name, body, ends["_"], ends["^"])

    def differential(self) -> None:
        self.take(_DIFFERENTIAL)
        if self.measure != "":
            raise Unreadable("a differential without an integral")
        self.measure = self.index()


def _height(node: Node) -> int:
    """How deep binders are nested."""
    inner = max(map(_height, node.operands), default=0)
    is_binder = node.operation in BINDERS and str(node.value).startswith("#")
    return inner + is_binder
