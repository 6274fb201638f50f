r"""Finds where a reasoning model's thinking ends and its answer begins.

The answer is what follows the last thought. A thought begins with an opening mark, or with the
prompt: R1's chat template ends the prompt with ``<think>\n``, so its completions hold a
``</think>`` but no ``<think>``. The rules beside that:

- A thought that has not ended leaves no answer, whatever came before it: the model was about to
  think again. A thought inside a thought needs its own closing mark.
- A closing mark that no opening one belongs to ends a thought that the prompt opened, so all before
  it is thought. After a thought that has ended such a mark ends the answer if nothing follows it;
  otherwise it counts like the first.
- A mark that is only mentioned is text: in quotes or inline code, before "tags" or "block", in a
  string of a program, in a code block. In a thought code blocks are often left open, so there they
  hide no mark.

Time is linear in the length of the text.
"""

import re
from functools import cache
from typing import NamedTuple

from harness.scorers.answers.marks import Reasoning, Style, styles_in, styles_of, written_style


class SplitText(NamedTuple):
    """A completion, taken apart."""

    reasoning: str
    """Empty when the model did not think."""
    answer: str | None
    """The text after the last thought; None when a thought never ended."""
    answer_start: int | None
    """Offset of the answer in the completion: 0 without a thought, None without an answer."""


def split_thinking(
    text: str, *, prompt_opened_think: bool, reasoning: Reasoning = None
) -> SplitText:
    """Takes the reasoning off a completion.

    Args:
        text: The whole completion, without the prompt.
        prompt_opened_think: The prompt ended inside a thought.
        reasoning: How the model marks its thoughts; None: in any of the known styles.
    """
    scan = _Scan(text, reasoning, opened=prompt_opened_think)
    scan.run()
    if scan.inside is not None:
        return SplitText(_without_opening(text, scan.inside), None, None)
    thought_end, start, end, style = scan.answer
    thought = "" if style is None else _without_opening(text[:thought_end], style)
    return SplitText(thought, text[start:end], start)


def _without_opening(thought: str, style: Style) -> str:
    """A thought without the opening mark that it begins with."""
    bare = thought.lstrip()
    opening = re.compile(style.opening).match(bare)
    return bare[opening.end() :] if opening else thought


def is_inside_thought(prompt_end: str, reasoning: Reasoning = None) -> bool:
    """Whether a prompt ends inside a thought.

    Args:
        prompt_end: Of the prompt, what its template writes after the user's words.
        reasoning: How the model marks its thoughts.
    """
    bare = prompt_end.rstrip()
    if any(bare.endswith(style.open.strip()) for style in styles_of(reasoning)):
        return True
    split = split_thinking(prompt_end, prompt_opened_think=False, reasoning=reasoning)
    return split.answer is None


# --- patterns ---------------------------------------------------------------------------------

_FENCE = re.compile(r"(?P<fence>`{3,}|~{3,})(?P<info>[^\n`]*)$", re.MULTILINE)
_INLINE_CODE = r"(?<!`)`(?![`\s])[^`\n]{1,200}(?<!\s)`(?!`)"
_STRING = r"""
    (?<!\\)" (?:\\.|[^"\\\n]){0,200} "
  | (?: (?<![\w\\]) | (?<=[\s=(\[{,][rRbBfFuU]) ) ' (?:\\.|[^'\\\n]){0,200} ' (?!\w)
"""
_BEFORE_STRING = re.compile(
    r"(?:[=(\[{,:+%]|\b(?:return|in|and|or|not|if|yield|assert))\s*[rRbBfFuU]{0,2}\Z"
)
_IN_CODE = re.compile(f"(?P<code>{_INLINE_CODE})|(?P<string>{_STRING})", re.VERBOSE)
_QUOTES = (('"', '"'), ("'", "'"), ("`", "`"), ("“", "”"), ("\u2018", "\u2019"), ("«", "»"))
_NOUNS = r"(?:tags?|blocks?|tokens?|sections?|markers?|elements?|delimiters?)\b"
# White space, stray Markdown, closing tags, and stop tokens that a server leaves in the text.
_NOTHING = re.compile(
    r"(?:[\s.*_~`#-]|<\|[^|<>\s]{1,40}\|>|<\uff5c[^\uff5c\s]{1,40}\uff5c>|</\w{1,20}>)*"
)
_NEARBY = 200
"""Characters on a line before and after a mark that are looked at."""


class _Mark(NamedTuple):
    start: int
    end: int
    style: Style
    is_opening: bool


class _Patterns(NamedTuple):
    marks: re.Pattern[str]
    kinds: tuple[tuple[re.Pattern[str], Style, bool], ...]
    """The pattern of each mark, its style, and whether it is the opening one."""
    quoted: re.Pattern[str]
    """A mark, or a pair of them, between quotes."""
    named: re.Pattern[str]
    """A mark before a noun, or a pair with nothing in it; in a line."""


@cache
def _patterns(styles: tuple[Style, ...]) -> _Patterns:
    opens = "|".join(style.opening for style in styles)
    closes = "|".join(style.closing for style in styles)
    return _Patterns(
        re.compile(f"{opens}|{closes}"),
        tuple(
            (re.compile(style.opening if is_opening else style.closing), style, is_opening)
            for style in styles
            for is_opening in (True, False)
        ),
        re.compile("|".join(_in_quotes(opens, closes, *quotes) for quotes in _QUOTES)),
        re.compile(
            rf"(?<=[^\n])(?:{opens}|{closes})(?= {_NOUNS})"
            rf"|(?<=[^\n>\]▷])(?:{opens})[ \t]*(?:\.\.\.|…|and|or|,|/)?[ \t]*(?:{closes})"
        ),
    )


def _in_quotes(opens: str, closes: str, left: str, right: str) -> str:
    # not behind a fence: a code block may end right before a mark
    pair = rf"(?:{opens})[^\n\\]{{0,40}}?(?:{closes})"
    return rf"(?<!`){left}(?:{opens}|{closes}|{pair}){right}"


# --- reading ----------------------------------------------------------------------------------


class _Answer(NamedTuple):
    """The positions of the last thought and of the answer after it, in the text read so far."""

    thought_end: int
    start: int
    end: int
    closer: Style | None
    """The style of that thought; None without one."""


def _prompts_style(present: tuple[Style, ...], reasoning: Reasoning) -> Style:
    """The style in which a prompt opened a thought, as far as a completion shows it."""
    style = written_style(reasoning)
    if reasoning is not None or style in present or len(present) != 1:
        return style
    return present[0]


class _Scan:
    """One pass over a text, from mark to mark."""

    def __init__(self, text: str, reasoning: Reasoning, *, opened: bool) -> None:
        self._text = text
        self._styles = styles_in(text, reasoning)
        self.inside = _prompts_style(self._styles, reasoning) if opened else None
        self._depth = int(opened)
        self._opened_at = 0
        """The end of the last opening mark."""
        self.answer = _Answer(0, 0, len(text), None)
        self._before_marks: _Answer | None = None
        """An answer with marks after it, so far with nothing behind them."""
        self._last_mark_end = 0
        self._fence = ""
        self._fence_read_to = 0

    def run(self) -> None:
        """Finds the last thought."""
        position = 0
        while self._styles and (mark := self._next(position)) is not None:
            position = self._after_mention(mark, position)
            if position > mark.start:
                continue
            position = mark.end
            if self.inside is not None:
                self._read_inside(mark)
            else:
                self._read_outside(mark)
        self._read_end()

    def _next(self, position: int) -> _Mark | None:
        patterns = self._patterns()
        found = patterns.marks.search(self._text, position)
        if found is None:
            return None
        for pattern, style, is_opening in patterns.kinds:
            mark = pattern.match(self._text, found.start())
            if mark is not None and mark.end() == found.end():
                return _Mark(found.start(), found.end(), style, is_opening)
        raise AssertionError("one of the alternatives matched")

    def _patterns(self) -> _Patterns:
        return _patterns(self._styles if self.inside is None else (self.inside,))

    def _read_inside(self, mark: _Mark) -> None:
        self._note_mark(mark)
        if not mark.is_opening:
            self._depth -= 1
            if self._depth == 0:
                self._end_thought(mark)
        elif mark.style.nests:
            # A model may open the thought again that it, or the prompt, has just opened.
            if self._text[self._opened_at : mark.start].strip():
                self._depth += 1
            self._opened_at = mark.end

    def _read_outside(self, mark: _Mark) -> None:
        if self._is_code(mark):
            if self._is_alone(mark):
                self._note_mark(mark)
        elif mark.is_opening:
            self._note_mark(mark)
            self.inside, self._depth, self._opened_at = mark.style, 1, mark.end
        elif mark.style.may_begin_in_prompt:
            self._note_mark(mark)
            self._end_thought(mark)

    def _end_thought(self, mark: _Mark) -> None:
        self.inside, self._depth = None, 0
        self._fence, self._fence_read_to = "", mark.end
        self.answer = _Answer(mark.start, mark.end, len(self._text), mark.style)

    def _note_mark(self, mark: _Mark) -> None:
        """Remembers the answer that ends here, in case that nothing follows."""
        if not self._is_nothing(self._last_mark_end, mark.start):
            self._before_marks = None
        if self._before_marks is None and self.inside is None and self.answer.closer is not None:
            self._before_marks = self.answer._replace(end=mark.start)
        self._last_mark_end = mark.end

    def _read_end(self) -> None:
        before = self._before_marks
        if (
            before is not None
            and self._is_nothing(self._last_mark_end, len(self._text))
            and not self._is_nothing(before.start, before.end)
        ):
            self.inside, self.answer = None, before
        style = self.answer.closer
        if style is not None and style.ends:
            ends = re.compile(style.ends)
            if found := ends.search(self._text, self.answer.start, self.answer.end):
                self.answer = self.answer._replace(end=found.start())

    def _is_nothing(self, start: int, end: int) -> bool:
        return _NOTHING.fullmatch(self._text, start, end) is not None

    # --- marks that are only mentioned ----------------------------------------------------

    def _after_mention(self, mark: _Mark, position: int) -> int:
        """The end of what only mentions the mark, or ``position`` where nothing does."""
        patterns = self._patterns()
        named = patterns.named.match(self._text, mark.start)
        quoted = patterns.quoted.match(self._text, max(position, mark.start - 1))
        if found := named or quoted:
            return found.end()
        if self.inside is not None:  # in a thought quotes and backticks are often left open
            return position
        before, after = self._line(mark)
        at = max(position, mark.start - len(before))
        if not any(quote in before for quote in "\"'`"):
            return position
        while found := _IN_CODE.search(self._text, at, mark.end + len(after)):
            if found.start() >= mark.start:
                break
            if found.end() <= mark.start:
                at = found.end()
            elif found["code"] or self._is_in_program(found.start()):
                return found.end()
            else:
                at = found.start() + 1
        return position

    def _is_in_program(self, start: int) -> bool:
        """Whether a string in quotes is a program's, and not a quotation in prose."""
        before = self._text[max(0, start - 12) : start]
        return _BEFORE_STRING.search(before) is not None or self._is_fenced(start)

    def _is_fenced(self, place: int) -> bool:
        """Whether a line begins inside a code block, after the last thought."""
        line = self._text.rfind("\n", self._fence_read_to, place) + 1
        if line == 0:
            return bool(self._fence)
        for found in _FENCE.finditer(self._text, self._fence_read_to, line):
            if not self._fence:
                self._fence = found["fence"]
            elif found["fence"].startswith(self._fence) and not found["info"].strip():
                self._fence = ""
        self._fence_read_to = line
        return bool(self._fence)

    def _is_code(self, mark: _Mark) -> bool:
        """Whether the mark is part of a code block.

        Before any thought has ended, the block may be one that an unmarked thought left open: then
        only a mark inside a line is surely code.
        """
        if not self._is_fenced(mark.start):
            return False
        if self.answer.closer is not None:
            return True
        before, after = (part.strip("`~ \t") for part in self._line(mark))
        return bool(before) and (mark.is_opening or "#" in before or bool(after))

    def _is_alone(self, mark: _Mark) -> bool:
        return not any(part.strip() for part in self._line(mark))

    def _line(self, mark: _Mark) -> tuple[str, str]:
        """The text on the mark's line before and after it."""
        before = self._text[max(0, mark.start - _NEARBY) : mark.start].rpartition("\n")[2]
        return before, self._text[mark.end : mark.end + _NEARBY].partition("\n")[0]
