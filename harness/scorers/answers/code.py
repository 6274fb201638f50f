"""Extracts the program from an answer, and completes it for its tests.

The rule: the last fenced block that defines the entry point, else the last text before a fence
that does, else the body with which the answer begins, else the last fenced block. Without any
fence it is the indented code among sentences, else the answer text without the
sentences before and after the code. Blocks marked as another language than Python count only when
there is no other; a closed block that shows no more than the signature, only when no other defines
the entry point. Time is linear in the length of the text.
"""

import keyword
import re
from typing import NamedTuple

from harness.scorers.answers.fences import CODE, Block, Text, open_string, trimmed

_FIRST_LINE = re.compile(CODE)
_SETTING = re.compile(
    r"[ \t]|$|#|[\])}]|\w+[ \t]*(?::[^=]*)?=(?!=)|(?:try|else|finally|except\b[^:]*)[ \t]*:"
)
"""What may precede that: blank and indented lines, comments, assignments, guarded imports."""
_BODY = re.compile(r"(?:[^\S\n]*\n)*(?: {4}|\t)")
"""An answer that begins like this continues the function that the prompt has begun."""
_PROSE = re.compile(
    rf"(?!(?:{'|'.join(keyword.kwlist)}|match|type)\b)"
    r"(?:(?:[-*+>]|\d+[.)])[ \t]+(?=[^\W\d]))?`?[^\W\d][\w'\u2019-]*`?"
    r"(?:[ \t]?:$|(?:[,.;!?]?|:[ \t]+\w[\w'\u2019-]*)[ \t]+[*`]*[^\W\d])"
    r"|\*\*\w|</?[a-zA-Z!|]|\[/?[A-Z]+\]$|(?i:python3?|py)$"
)
"""How a line of text begins that is no Python: two words in a row, a title, a tag, a language."""
_LANGUAGE = re.compile(r"\A(?:python3?|py)[ \t]*\n", re.IGNORECASE)
"""A language name on the line after its fence."""
_SIGNATURE = re.compile(r"[^(\n]*\([^()]*(?:\([^()]*\)[^()]*)*\)[^:\n]*:")
_STUB = re.compile(
    r"""(?:\s|#.*)*+(?:(?P<q>\"{3}|'{3})[\s\S]*?(?P=q))?(?:\s|#.*)*+(?:\.\.\.|pass)?\s*"""
)
"""The text after a signature that is only shown."""
_FUTURE = re.compile(r"^from[ \t]+__future__[ \t]+import\b[^\n(\\]*$", re.MULTILINE)


class ExtractedCode(NamedTuple):
    """The code of an answer."""

    code: str | None
    """The program; None when there is none."""
    is_complete: bool
    """False when it was taken from a block that was never closed."""


def extract_code(answer: str, entry_point: str) -> ExtractedCode:
    """The code in an answer text.

    Args:
        answer: The text, without any reasoning.
        entry_point: The function that the code should define.
    """
    text = Text(answer)
    if not text.blocks:
        code = _flush(trimmed(answer), entry_point)
        code = _indented_block(code, entry_point) or _without_prose(code, entry_point)
        return ExtractedCode(code or None, is_complete=True)
    written = [
        block._replace(code=_flush(_LANGUAGE.sub("", block.code), entry_point))
        for block in text.blocks
        if block.code
    ]
    python = [block for block in written if block.is_python] or written
    defining = [block for block in python if defines(block.code, entry_point)]
    defining = [each for each in defining if not _is_stub(each, entry_point)] or defining
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
    return trimmed(texts[0]) if texts and _BODY.match(texts[0]) else None


def _is_stub(block: Block, entry_point: str) -> bool:
    """Whether a block shows only the function's signature, as an explanation may."""
    start = _definition(block.code, entry_point)
    signature = None if start is None else _SIGNATURE.match(block.code, start)
    if signature is None or not block.is_complete:
        return False
    return _STUB.fullmatch(block.code, signature.end()) is not None


def _without_prose(code: str, entry_point: str) -> str:
    """Removes the sentences before and after code that is in no block."""
    if defines(code, entry_point):
        if _PROSE.match(code.split("\n", 1)[0]):
            code = _from_first_line(code)
    elif not _BODY.match(code):
        return code
    start, triple, at = _definition(code, entry_point) or 0, "", 0
    for line in code.split("\n"):
        if at > start and not triple and _PROSE.match(line):
            return trimmed(code[:at])
        triple = open_string(line, triple)
        at += len(line) + 1
    return code


def _from_first_line(text: str) -> str:
    """Removes the sentences before a program."""
    lines = trimmed(text).split("\n")
    margin = lines[0][: len(lines[0]) - len(lines[0].lstrip(" \t"))]
    flush = [line.removeprefix(margin) for line in lines]
    start = next((at for at, line in enumerate(flush) if _FIRST_LINE.match(line)), 0)
    while start and _SETTING.match(flush[start - 1]):
        start -= 1
    while flush[start][:1] in ("", " ", "\t") and start + 1 < len(flush):
        start += 1  # the rest of something that is no setting
    return trimmed("\n".join(lines[start:]))


def _indented_block(text: str, entry_point: str) -> str | None:
    """The indented code among sentences, which Markdown also reads as a block."""
    found = re.search(
        rf"^(?P<margin> {{4}}|\t)(?:async[ \t]+)?def[ \t]+{re.escape(entry_point)}\b",
        text,
        re.MULTILINE,
    )
    if found is None or defines(text, entry_point) or text[:1] in (" ", "\t"):
        return None
    lines = text.split("\n")
    first = last = text.count("\n", 0, found.start())
    while _is_within(lines[first - 1], found["margin"]):
        first -= 1  # the text begins with a line that is not
    while last + 1 < len(lines) and _is_within(lines[last + 1], found["margin"]):
        last += 1
    if any(_FIRST_LINE.match(line) for line in lines[:first]):
        return None  # a method
    return _flush(trimmed("\n".join(lines[first : last + 1])), entry_point)


def _is_within(line: str, margin: str) -> bool:
    return not line.strip() or line.startswith(margin)


def _flush(code: str, entry_point: str) -> str:
    """Removes the common indentation of a whole program; the body of a function keeps it."""
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
    # The model's imports from __future__ must come before everything else.
    future = "".join(f"{statement}\n" for statement in _FUTURE.findall(code))
    return f"{future}{setting.rstrip()}\n\n{_FUTURE.sub('', code)}\n"


def _definition(code: str, name: str) -> int | None:
    """The position at which a top-level function begins."""
    pattern = rf"^(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b"
    found = re.search(pattern, code, re.MULTILINE)
    return None if found is None else found.start()
