"""The program in an answer text, and what is put around it before its tests.

The rule: the last fenced block that defines the entry point, else the last text before a fence
that does, else the body with which the answer begins, else the last fenced block, else the answer
text. Blocks marked as another language than Python count only when there is no other. Time is
linear in the length of the text.

Fences are read as models write them, which is more than Markdown allows: text may stand before an
opening fence and after a closing one, code may share a line with either, one block may open before
the last was closed, a fence may close a block that none opened, and there may be characters
before it that cannot be seen.
"""

import re
from typing import NamedTuple

_UNSEEN = "\ufeff\u200b\u200c\u200d\u2060"
"""The byte order mark, and characters without width."""
_WITHOUT_UNSEEN = dict.fromkeys(map(ord, _UNSEEN))
_CODE = (
    r"(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[ \t]*[(:]|@\w"
    r"|from[ \t]+[\w.]+[ \t]+import\b|import[ \t]+[\w.]+[ \t]*(?:$|[,;#]|as\b)"
)
"""How the first line of a program begins; no sentence does."""
_FIRST_LINE = re.compile(_CODE)
_SETTING = re.compile(r"[ \t]|$|#|[\])}]|\w+[ \t]*(?::[^=]*)?=(?!=)")
"""What may stand before that: blank and indented lines, comments, assignments."""
_OPENING = re.compile(
    rf"(?P<indent>(?:[^\S\n]|[{_UNSEEN}])*+(?:(?:[-*+>]|\d{{1,9}}[.)])[ \t]+)?[{_UNSEEN}]*+)"
    r"(?:(?P<ticks>`{3,})(?P<info>[^`]*)|(?P<tildes>~{3,})(?P<tilde_info>.*))$"
)
_TICKS = re.compile(r"`{3,}")
_INFO = re.compile(rf"[\s{{.]*+(?P<language>[\w+#-]*?)[ \t]*+(?P<code>(?:{_CODE}).*)?$")
_LANGUAGE = re.compile(r"[\s{.]*+([\w+#-]*)")
_ONLY_LANGUAGE = re.compile(r"[\w+#.-]*[ \t]*$")
_QUOTE_MARK = re.compile(r"[ \t]*>[ \t]?")
_TRIPLE = re.compile(r"\"\"\"|'''")
_PYTHON = frozenset({"", "py", "py3", "python", "python3"})
_MAX_CLOSING_INDENT = 3
"""More than this beyond the opening fence's, and a fence is part of the code: of a docstring."""
_BODY = re.compile(r"(?:[^\S\n]*\n)*(?: {4}|\t)")
_FUTURE = re.compile(r"^from[ \t]+__future__[ \t]+import\b[^\n(\\]*$", re.MULTILINE)


class ExtractedCode(NamedTuple):
    """The code of an answer."""

    code: str | None
    """None when there is none."""
    is_complete: bool
    """False when it was taken from a block that was never closed."""


class _Block(NamedTuple):
    code: str
    is_python: bool
    is_complete: bool


def extract_code(answer: str, entry_point: str) -> ExtractedCode:
    """The code in an answer text.

    Args:
        answer: The text, without any reasoning.
        entry_point: The function that the code should define.
    """
    text = _Text(answer)
    if not text.blocks:
        return ExtractedCode(_flush(_trimmed(answer), entry_point) or None, is_complete=True)
    written = [
        block._replace(code=_flush(block.code, entry_point)) for block in text.blocks if block.code
    ]
    python = [block for block in written if block.is_python] or written
    defining = [block for block in python if defines(block.code, entry_point)]
    if not defining and (unopened := _unopened(text.before_fences, entry_point)):
        return ExtractedCode(unopened, is_complete=True)
    if not python:
        return ExtractedCode(None, text.blocks[-1].is_complete)
    chosen = (defining or python)[-1]
    return ExtractedCode(chosen.code, chosen.is_complete)


def _unopened(texts: list[str], entry_point: str) -> str | None:
    """The code of a block whose opening fence is missing."""
    for text in reversed(texts):
        code = _flush(_from_first_line(text), entry_point)
        if defines(code, entry_point):
            return code
    return _trimmed(texts[0]) if texts and _BODY.match(texts[0]) else None


def _from_first_line(text: str) -> str:
    """Without the sentences before a program."""
    lines = _trimmed(text).split("\n")
    margin = lines[0][: len(lines[0]) - len(lines[0].lstrip(" \t"))]
    flush = [line.removeprefix(margin) for line in lines]
    start = next((at for at, line in enumerate(flush) if _FIRST_LINE.match(line)), 0)
    while start and _SETTING.match(flush[start - 1]):
        start -= 1
    return _trimmed("\n".join(lines[start:]))


def _flush(code: str, entry_point: str) -> str:
    """Without the indentation that a whole program has; the body of a function keeps it."""
    margin = code[: len(code) - len(code.lstrip(" \t"))]
    if not margin or defines(code, entry_point):
        return code
    flush = "\n".join(line.removeprefix(margin) for line in code.split("\n"))
    is_program = defines(flush, entry_point) and not re.search(r"^return\b", flush, re.MULTILINE)
    return flush if is_program else code


def defines(code: str, name: str) -> bool:
    """Whether the code has a function of that name at its top level."""
    return _definition(code, name) is not None


def assemble_program(prompt: str, code: str, entry_point: str) -> str:
    """The whole program: the problem's own imports and helpers, and the model's code.

    Args:
        prompt: The problem's source, up to and with the signature and docstring to be completed.
        code: The model's code: a program, or the rest of the function that the prompt begins.
        entry_point: The function that the tests will call.
    """
    if not defines(code, entry_point):
        beginning = prompt if prompt.endswith("\n") else f"{prompt}\n"
        return f"{beginning}{code}\n"
    start = _definition(prompt, entry_point)
    setting = prompt if start is None else prompt[:start]
    # What the model takes from the future must stand before everything else.
    future = "".join(f"{statement}\n" for statement in _FUTURE.findall(code))
    return f"{future}{setting.rstrip()}\n\n{_FUTURE.sub('', code)}\n"


def _definition(code: str, name: str) -> int | None:
    """Where a top-level function begins."""
    pattern = rf"^(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b"
    found = re.search(pattern, code, re.MULTILINE)
    return None if found is None else found.start()


class _Text:
    """The fenced blocks of an answer, and the texts that a fence ended."""

    def __init__(self, answer: str) -> None:
        """Reads the answer, line by line."""
        self.blocks: list[_Block] = []
        self.before_fences: list[str] = []
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
                self.blocks.append(_Block(_trimmed(code), _is_python(info), is_complete=True))
        self._lines.append(line)

    def _read_inside(self, line: str) -> None:
        assert self._opening is not None
        if ">" in self._opening["indent"]:
            line = _QUOTE_MARK.sub("", line, count=1)
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
        """Where a fence is that closes the block though it is not alone on its line."""
        ticks = _TICKS.findall(line)
        if not ticks or len(ticks) % 2 == 0 or len(ticks[-1]) < len(self._fence):
            return None
        if self._fence[0] != "`":
            return None
        at = line.rindex(ticks[-1])
        before, after = line[:at], line[at + len(ticks[-1]) :]
        if not before.strip(_UNSEEN).strip():
            return at if self._is_outer(line) else None
        is_text = self._triple or before.count('"') % 2 or before.count("'") % 2
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
        for mark in _TRIPLE.findall(line):
            if self._triple in ("", mark):
                self._triple = "" if self._triple else mark

    def _close(self, *, is_complete: bool = True) -> None:
        assert self._opening is not None
        code = _trimmed("\n".join(_outdented(self._lines, self._width)))
        self.blocks.append(_Block(code, _is_python(_info(self._opening)), is_complete))
        self._opening, self._lines = None, []


def _outdented(lines: list[str], width: int) -> list[str]:
    """Lines without the indentation of their fence, as far as the first of them has it."""
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


def _trimmed(code: str) -> str:
    """Without blank lines before and white space after; the first line keeps its indentation."""
    code = code.lstrip(_UNSEEN).rstrip()
    first = re.match(r"(?:[^\S\n]*\n)*", code)
    return (code[first.end() :] if first else code).lstrip(_UNSEEN)
