"""The fenced blocks of an answer.

Fences are read as models write them, which is more than Markdown allows: text may precede an
opening fence and follow a closing one, code may share a line with either, one block may open before
the last was closed, a fence may close a block that none opened, and there may be characters
before it that cannot be seen. Time is linear in the length of the text.
"""

import re
from typing import NamedTuple

_UNSEEN = "\ufeff\u00ad" + "".join(
    map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)])
)
"""The byte order mark, soft hyphens, and characters without width or of writing direction."""
_WITHOUT_UNSEEN = dict.fromkeys(map(ord, _UNSEEN))
CODE = (
    r"(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[ \t]*[(:]|@\w"
    r"|from[ \t]+[\w.]+[ \t]+import\b|import[ \t]+[\w.]+[ \t]*(?:$|[,;#]|as\b)"
)
"""How the first line of a program begins; no sentence does."""
_OPENING = re.compile(
    rf"(?P<indent>(?:[^\S\n]|[{_UNSEEN}])*+"
    rf"(?:(?:>|(?:[-*+]|\d{{1,9}}[.)])[ \t])[ \t]*)?[{_UNSEEN}]*+)"
    r"(?:(?P<ticks>`{3,})(?P<info>[^`]*)|(?P<tildes>~{3,})(?P<tilde_info>.*))$"
)
_TICKS = re.compile(r"`{3,}")
_INFO = re.compile(rf"[\s{{.]*+(?P<language>[\w+#-]*?)[ \t]*+(?P<code>(?:{CODE}).*)?$")
_LANGUAGE = re.compile(r"[\s{.]*+([\w+#-]*)")
_ONLY_LANGUAGE = re.compile(r"[\w+#.-]*[ \t]*$")
_QUOTE_MARK = re.compile(r"[ \t]*>[ \t]?")
_BARE_QUOTE_MARK = re.compile(r"[ \t]*>")
_TRIPLE = re.compile(r"\"\"\"|'''")
_PYTHON = frozenset({"", "py", "py3", "python", "python3"})
_MAX_CLOSING_INDENT = 3
"""More than this beyond the opening fence's, and a fence is part of the code: of a docstring."""


class Block(NamedTuple):
    """One fenced block, without its fences and their indentation."""

    code: str
    is_python: bool
    """Whether the block is marked as Python, or not marked."""
    is_complete: bool
    """False when it was never closed."""


class Text:
    """The fenced blocks of an answer, and the texts that a fence ended."""

    def __init__(self, answer: str) -> None:
        """Reads the answer, line by line."""
        self.blocks: list[Block] = []
        self.before_fences: list[str] = []
        """For each opening fence, the text between it and the previous block."""
        self._opening: re.Match[str] | None = None
        self._width = 0
        self._lines: list[str] = []
        self._triple = ""
        for line in answer.split("\n"):
            if self._opening is None:
                self._read_outside(line)
            else:
                self._read_inside(line)
        if self._opening is not None:
            self._close(is_complete=False)

    def _read_outside(self, line: str) -> None:
        if opening := _OPENING.match(line.rstrip()):
            self._open(opening)
            return
        ticks = list(_TICKS.finditer(line))
        if len(ticks) % 2:
            rest = line[ticks[-1].start() :].rstrip()
            opening = _OPENING.match(rest)
            if opening and (_ONLY_LANGUAGE.match(opening["info"]) or _code_in(opening["info"])):
                self._lines.append(line[: ticks[-1].start()])
                self._open(opening)
                return
        for first, second in zip(ticks[::2], ticks[1::2], strict=False):
            if code := _code_in(info := line[first.end() : second.start()]):
                self.blocks.append(Block(trimmed(code), _is_python(info), is_complete=True))
        self._lines.append(line)

    def _read_inside(self, line: str) -> None:
        assert self._opening is not None
        if ">" in self._opening["indent"]:
            has_blank = not self._opening["indent"].endswith(">")
            line = (_QUOTE_MARK if has_blank else _BARE_QUOTE_MARK).sub("", line, count=1)
        if self._closes(line):
            self._close()
        elif (at := self._fence_in(line)) is None:
            self._add(line)
        elif line[:at].strip(_UNSEEN).strip():
            self._add(line[:at].rstrip())
            self._close()
            self._lines.append(line[at:].lstrip("`"))
        else:
            self._close()
            rest = line[at:].lstrip("`")
            if _ONLY_LANGUAGE.match(rest) or _code_in(rest):
                self._read_outside(line)
            else:
                self._lines.append(rest)

    def _closes(self, line: str) -> bool:
        bare = line.strip().strip(_UNSEEN).strip()
        fence = self._fence
        return len(bare) >= len(fence) and not bare.strip(fence[0]) and self._is_outer(line)

    def _fence_in(self, line: str) -> int | None:
        """The position of a fence that closes the block though it is not alone on its line."""
        ticks = _TICKS.findall(line)
        if not ticks or len(ticks) % 2 == 0 or len(ticks[-1]) < len(self._fence):
            return None
        if self._fence[0] != "`":
            return None
        at = line.rindex(ticks[-1])
        before, after = line[:at], line[at + len(ticks[-1]) :]
        if not before.strip(_UNSEEN).strip():
            return at if self._is_outer(line) else None
        code = before.partition("#")[0]
        is_text = self._triple or code.count('"') % 2 or code.count("'") % 2
        return None if is_text or after[:1] in ("'", '"') else at

    @property
    def _fence(self) -> str:
        assert self._opening is not None
        return self._opening["ticks"] or self._opening["tildes"]

    def _is_outer(self, line: str) -> bool:
        return _indent(line) <= self._width + _MAX_CLOSING_INDENT

    def _open(self, opening: re.Match[str]) -> None:
        self.before_fences.append("\n".join(self._lines))
        indent = opening["indent"].translate(_WITHOUT_UNSEEN)
        self._opening, self._width = opening, 0 if ">" in indent else len(indent)
        self._lines, self._triple = [], ""
        if code := _code_in(_info(opening)):
            self._add(code)

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self._triple = open_string(line, self._triple)

    def _close(self, *, is_complete: bool = True) -> None:
        assert self._opening is not None
        code = trimmed("\n".join(_outdented(self._lines, self._width)))
        self.blocks.append(Block(code, _is_python(_info(self._opening)), is_complete))
        self._opening, self._lines = None, []


def open_string(line: str, triple: str) -> str:
    """The marks of the triple-quoted string that is open after a line, given those before it."""
    for mark in _TRIPLE.findall(line):
        if triple in ("", mark):
            triple = "" if triple else mark
    return triple


def _outdented(lines: list[str], width: int) -> list[str]:
    """Lines without the indentation of their fence, as far as the first of them has it."""
    lines = [line.lstrip(_UNSEEN) for line in lines]
    width = min(width, next((_indent(line) for line in lines if line.strip()), 0))
    return [line[min(width, _indent(line)) :] for line in lines]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _info(opening: re.Match[str]) -> str:
    return opening["info"] or opening["tilde_info"] or ""


def _is_python(info: str) -> bool:
    found = _INFO.match(info)
    if found is not None and found["code"]:
        return found["language"].lower() in _PYTHON
    language = _LANGUAGE.match(info)
    assert language is not None, "the pattern matches the empty string"
    return language[1].lower() in _PYTHON


def _code_in(info: str) -> str | None:
    """The first line of code that shares its line with an opening fence."""
    found = _INFO.match(info)
    return found["code"] if found is not None else None


def trimmed(code: str) -> str:
    """Removes blank lines before, and white space after; the first line keeps its indentation."""
    code = code.lstrip(_UNSEEN).rstrip()
    first = re.match(r"(?:[^\S\n]*\n)*", code)
    return (code[first.end() :] if first else code).lstrip(_UNSEEN)
