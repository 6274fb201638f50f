r"""The final answer in the text that follows a model's reasoning: the content of its last box.

Rules, in order: the last balanced ``\boxed{}`` or ``\fbox{}`` that holds more than a placeholder;
boxes joined by nothing but "and", "or possibly", a comma or ``x =``, or that are one in each item
of a list, are one list, so that boxing several candidates is not the same as giving the last one.
A name in front of a box belongs to it where it tells boxes or formulas apart. A box without braces
holds the rest of its formula, or else one number. A last box that the end of the
text cuts off is no answer, and no reason to go back to an earlier one. Without any box only an
explicit "the answer is" counts, the last one; never the last number of the text. Where nothing
shows that an answer has ended, the end of the text may have cut it off.
"""

import re
from typing import NamedTuple

_MAX_STATEMENT = 300


class Extracted(NamedTuple):
    """The answer that a text gives."""

    text: str | None
    """LaTeX or words; None when the text gives no answer."""
    is_complete: bool
    """False when the end of the text cut the answer off, or may have: "the answer is 1"."""


class _Box(NamedTuple):
    """The positions of a box and of its content."""

    start: int
    content_start: int
    content_end: int
    end: int


_PIECE = re.compile(
    r"""
    (?P<open>(?<!\\)\\++(?:boxed|fbox)\s*+\{)
  | (?P<bare>(?<!\\)\\++(?:boxed|fbox)\s*+(?P<token>
        (?: (?!\\(?:boxed|fbox))\\(?:[A-Za-z]+|[%,;!]) | [A-Za-z](?![A-Za-z])
          | [-+\d.,/^_(){}*!%] | \ (?=\S) ){1,60}?
        (?=\s*(?:\$|\\\)|\\\]))
      | [-+]?\d(?:[\d.,/]{0,40}\d)?))
  | \\. | \{ | \}
    """,
    re.VERBOSE | re.DOTALL,
)
_NOISE = re.compile(
    r"""\\[()\[\],;:!\ ] | \\q?quad\b | \\text(?:rm|bf|it)?\b | \\(?:left|right)\b | \\mbox\b
      | [\s${}~*]+ """,
    re.VERBOSE,
)
_NAME = r"[A-Za-z](?:_\w|_\{\w+\})?'?(?:\([A-Za-z]\))?"
_NAMED = re.compile(rf"(?:^|[\s$({{;,:*]|\\[(\[])({_NAME})\s*=[\s${{]*$")
_OR = frozenset({"or", "alternatively", "equivalently", "possibly", "perhaps", "maybe", "could",
                 "might", "may", "depending", "otherwise", "another", "vs", "versus"})  # fmt: skip
_FILLING = frozenset({"and", "also", "either", "even", "else", "be", "it", "but", "i", "e"})
_CORRECTING = frozenset(
    {"actually", "no", "not", "wait", "mistake", "wrong", "correct", "rather", "instead", "should"}
)
_LABEL = r"""(?: \(?\d{1,2}[.)]
  | (?:case|answer|option|possibility|root|solution)[ \t]\(?(?:\d{1,2}|[a-h])\)?[.):] )"""
_ITEM = re.compile(
    rf"(?:^|\n)[ \t]* (?: (?:[-*•+] | \**{_LABEL}\**:?) [ \t]+ ){{1,2}} $",
    re.VERBOSE | re.IGNORECASE,
)
"""Items of a list. Parts of a question are not among them: "Part (a)" has a separate answer."""
_PLACEHOLDER = re.compile(
    r"""
    (?:\\(?:l|c)?dots|\\phantom\{[^{}]*\}|\\quad|\\square|\\Box|\\_|\\underline|[\s.?_…{}$~*,-])*
  | \s*\\?(?:text|mathrm|textbf)?\s*\{?\s*
    (?:insert|put|write)?\s*(?:your|the|my)?\s*(?:final|correct)?\s*answer\s*(?:here)?
    \s*[.…]*\s*\}?\s*
    """,
    re.VERBOSE | re.IGNORECASE,
)
_STATEMENT = re.compile(
    r"\banswer(?:\s+to\s+(?:the|this)\s+(?:question|problem))?\s*(?:\*\*|__)?\s*(?:is|:|=)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!](?=\s|\*|$)|\n")
_REASON = re.compile(r",?\s+(?:because|since|as required|as desired)\b.*", re.DOTALL)
_FILLER = re.compile(
    r"^(?:\s|\*\*|__|[:=]"
    r"|\b(?:is|therefore|thus|then|hence|simply|clearly|equal to|given by)\b[:,]?)*",
    re.IGNORECASE,
)


def extract_boxed(answer: str) -> Extracted:
    """The answer that a text gives; its reasoning must be removed before (see ``thinking``)."""
    boxes, cut_at = _boxes(answer)
    if cut_at is not None and cut_at > max((box.start for box in boxes), default=-1):
        return Extracted(None, is_complete=False)
    written = [box for box in boxes if not _is_placeholder(answer, box)]
    if written:
        # only a box without braces can end where the text does, or before a point of 7.5
        rest = answer[written[-1].content_end :][:2]
        return Extracted(_last_list(answer, written), rest not in {"", "."})
    return _statement(answer)


def _boxes(text: str) -> tuple[list[_Box], int | None]:
    """All outermost closed boxes, and where the last box that never closes begins."""
    boxes: list[_Box] = []
    stack: list[tuple[int, int] | None] = []
    for piece in _PIECE.finditer(text):
        if piece["open"]:
            stack.append((piece.start(), piece.end()))
        elif piece["bare"]:
            boxes.append(_Box(piece.start(), *piece.span("token"), piece.end()))
        elif piece[0] == "{":
            stack.append(None)
        elif piece[0] == "}" and stack:
            opened = stack.pop()
            if opened is not None:
                while boxes and boxes[-1].start > opened[0]:
                    boxes.pop()
                boxes.append(_Box(*opened, piece.start(), piece.end()))
    open_boxes = [opened for opened in stack if opened is not None]
    if open_boxes and open_boxes[-1][0] > max((box.start for box in boxes), default=-1):
        repaired = _without_brace(text, *open_boxes[-1])
        if repaired is not None:
            return [*boxes, repaired], None
    return boxes, open_boxes[-1][0] if open_boxes else None


def _content(text: str, box: _Box) -> str:
    """The content of a box, with single backslashes where the model doubled all of them."""
    content = text[box.content_start : box.content_end].strip()
    is_doubled = "\\\\" in content and "begin" not in content
    if is_doubled and not re.search(r"(?<!\\)\\(?!\\)", content):
        return content.replace("\\\\", "\\")
    return content


def _without_brace(text: str, start: int, content_start: int) -> _Box | None:
    """A box in ``$…$`` whose closing brace is missing, with more text behind it."""
    end = re.compile(r"(?<!\\)\$|\\\)|\n").search(text, content_start)
    if end is None or end[0] == "\n":
        return None
    content = text[content_start : end.start()]
    depth = 0
    for piece in re.finditer(r"\\.|[{}]", content):
        depth += (piece[0] == "{") - (piece[0] == "}")
    if depth != 0 or not content.strip():
        return None
    return _Box(start, content_start, end.start(), end.start())


def _is_placeholder(text: str, box: _Box) -> bool:
    if box.content_end - box.content_start > 80:  # noqa: PLR2004
        return not text[box.content_start : box.content_end].strip()
    return _PLACEHOLDER.fullmatch(text, box.content_start, box.content_end) is not None


def _last_list(text: str, boxes: list[_Box]) -> str:
    """The last box with those that are joined to it."""
    first = len(boxes) - 1
    joints = []
    while first > 0:
        joint = _joint(text, boxes[first - 1], boxes[first])
        if joint is None:
            break
        joints.append(joint)
        first -= 1
    contents = [_content(text, box) for box in boxes[first:]]
    names = [_name_before(text, box) for box in boxes[first:]]
    if "" not in names and (len(set(names)) > 1 or _is_formula(contents)):
        contents = [f"{name} = {content}" for name, content in zip(names, contents, strict=True)]
    if not joints:
        return contents[0]
    separator = r" \text{ or } " if all(each == "or" for each in joints) else ", "
    return separator.join(dict.fromkeys(contents))


def _name_before(text: str, box: _Box) -> str:
    """The name to which a box is equated; empty where it is no plain name."""
    before = text[max(0, box.start - 40) : box.start] if box.start else ""
    found = _NAMED.search(before) if "=" in before else None
    return found[1] if found else ""


def _is_formula(contents: list[str]) -> bool:
    """One box that holds a formula with variables: ``y =`` in front of it makes an equation."""
    plain = re.sub(r"\\text\{[^{}]*\}|\\[A-Za-z]+|[eiπ]", "", contents[0])
    return len(contents) == 1 and bool(re.search("[A-Za-z]", plain)) and not re.search(
        r"[=<>,;]|\\(?:in|[lg]eq?|approx|text|begin)\b", contents[0]
    )  # fmt: skip


def _joint(text: str, one: _Box, two: _Box) -> str | None:
    """How two boxes make one list, "or" or "and"; None when they do not."""
    if two.start - one.end > 80:  # noqa: PLR2004
        return None
    between = text[one.end : two.start]
    name = _NAMED.search(between)
    before = between[: name.start(1)] if name else between
    if _is_item(before) and _is_item(_line_before(text, one)):
        return "and"
    pieces = re.findall(r"[a-z]+|[^\sa-z]", _NOISE.sub(" ", before).lower())
    if not pieces:
        is_listed = "\n" not in between or (name and _name_before(text, one) not in {"", name[1]})
        return "and" if is_listed else None
    words = {piece for piece in pieces if piece.isalpha()}
    signs = set(pieces) - words
    lead = next((each for each in pieces if each.isalpha() and each not in _FILLING), "")
    if (lead in _OR and not words & _CORRECTING) or (lead in {"if", "when"} and "." not in signs):
        return "or"
    return "and" if words <= {"and", "also"} and signs <= set(",;&/") else None


def _is_item(before: str) -> bool:
    """A box is all that an item of a list holds."""
    return _ITEM.search(before.rstrip("$({\\")) is not None and not re.search(
        "[A-Za-z]", before.rpartition("\n")[0]
    )


def _line_before(text: str, box: _Box) -> str:
    """The text on a box's line before it, without its name."""
    before = text[max(0, box.start - 80) : box.start].rpartition("\n")[2]
    name = _NAMED.search(before)
    return before[: name.start(1)] if name else before


def _statement(text: str) -> Extracted:
    """The text after the last "answer is" or "answer:", to the end of its sentence."""
    nothing = Extracted(None, is_complete=True)
    last = None
    for last in _STATEMENT.finditer(text):  # noqa: B007 - the last one is what is wanted
        pass
    if last is None:
        return nothing
    statement = text[last.end() : last.end() + 4 * _MAX_STATEMENT]
    statement = _FILLER.sub("", statement, count=1)
    end = _SENTENCE_END.search(statement)
    is_cut = end is None and len(statement) == 4 * _MAX_STATEMENT
    is_complete = _is_whole(statement, end)
    statement = statement[: end.start()] if end else statement
    statement = _REASON.sub("", re.sub(r"\s*(?:\*\*|__)\s*$", "", statement)).strip()
    if (
        is_cut
        or len(statement) > _MAX_STATEMENT
        or statement.endswith("?")
        or _PLACEHOLDER.fullmatch(statement)
    ):
        return nothing
    if re.search(r"\\+(?:boxed|fbox)\b", statement):
        return nothing
    return Extracted(statement, is_complete)


def _is_whole(statement: str, end: re.Match[str] | None) -> bool:
    """Whether the statement has an end: a reason, asterisks, a point that is not that of 7.5."""
    if _REASON.search(statement[: end.start()] if end else statement):
        return True
    if end is None:
        return re.search(r"(?:\*\*|__)\s*$", statement) is not None
    return end.end() < len(statement) or re.search(r"\d\.$", statement) is None
