"""The program in an answer text, and what is put around it before its tests.

The rule: the last fenced block that defines the entry point, else the last fenced block, else the
answer text. Blocks marked as another language than Python count only when there is no other.
Time is linear in the length of the text.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_OPENING = re.compile(
    r"(?P<indent>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)"
    r"(?:(?P<ticks>`{3,})(?P<info>[^`]*)|(?P<tildes>~{3,})(?P<tilde_info>.*))$"
)
_LANGUAGE = re.compile(r"[\s{.]*([\w+#-]*)")
_PYTHON = frozenset({"", "py", "py3", "python", "python3"})
_MAX_CLOSING_INDENT = 3
"""More than this beyond the opening fence's, and a fence is part of the code: of a docstring."""
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
    every = list(_blocks(answer))
    if not every:
        return ExtractedCode(_trimmed(answer) or None, is_complete=True)
    written = [block for block in every if block.code]
    if not written:
        return ExtractedCode(None, every[-1].is_complete)
    python = [block for block in written if block.is_python] or written
    defining = [block for block in python if defines(block.code, entry_point)]
    chosen = (defining or python)[-1]
    return ExtractedCode(chosen.code, chosen.is_complete)


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


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks of a Markdown text, without their fences and indentation."""
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        if opening is None:
            if opening := _OPENING.match(line.rstrip()):
                lines = []
        elif _closes(line, opening):
            yield _block(lines, opening, is_complete=True)
            opening = None
        else:
            lines.append(line)
    if opening is not None:
        yield _block(lines, opening, is_complete=False)


def _closes(line: str, opening: re.Match[str]) -> bool:
    fence = opening["ticks"] or opening["tildes"]
    bare = line.strip()
    indent = len(line) - len(line.lstrip())
    return (
        len(bare) >= len(fence)
        and not bare.strip(fence[0])
        and indent <= len(opening["indent"]) + _MAX_CLOSING_INDENT
    )


def _block(lines: list[str], opening: re.Match[str], *, is_complete: bool) -> _Block:
    width = len(opening["indent"])
    code = "\n".join(line[min(width, len(line) - len(line.lstrip())) :] for line in lines)
    language = _LANGUAGE.match(opening["info"] or opening["tilde_info"] or "")
    assert language is not None, "the pattern matches the empty string"
    return _Block(_trimmed(code), language[1].lower() in _PYTHON, is_complete)


def _trimmed(code: str) -> str:
    """Without blank lines before and white space after; the first line keeps its indentation."""
    code = code.rstrip()
    first = re.match(r"(?:[^\S\n]*\n)*", code)
    return code[first.end() :] if first else code
