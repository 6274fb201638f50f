"""How models mark their thoughts: the known styles, and which of them a model has.

The marks are facts of the models, read from their chat templates, their tokenizers' added tokens
and the outputs that their makers publish. A model that marks its thoughts in another way names its
own marks in its YAML.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from harness.records import Record

StyleName = Literal[
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "scratchpad",
    "analysis",
    "harmony",
    "mistral",
    "kimi",
    "seed",
    "minimax",
    "gemma",
    "medgemma",
    "cohere",
    "open_thoughts",
    "granite",
    "apriel",
]
DEFAULT: StyleName = "think"
"""The marks of a thought where nothing says how the model marks it."""


class Marks(Record):
    """The marks of a model that has none of the known styles."""

    open: Annotated[str, Field(pattern=r"\S")]
    """The text that opens a thought."""
    close: Annotated[str, Field(pattern=r"\S")]
    """The text that ends a thought."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.open == self.close:
            raise ValueError("open and close are the same")
        return self


def _checked(value: Any) -> Any:
    """Raises one error instead of one for each member of the union."""
    if value is None or isinstance(value, Marks) or value in get_args(StyleName):
        return value
    try:
        return Marks.model_validate(value)
    except ValidationError as error:
        raise ValueError(
            f"should be one of {', '.join(get_args(StyleName))}, or two different texts "
            "{open: …, close: …}"
        ) from error


Reasoning = Annotated[StyleName | Marks | None, BeforeValidator(_checked)]
"""How a model marks its thoughts; None where that is unknown, and any known style counts."""


@dataclass(frozen=True)
class Style:
    """One way to mark a thought."""

    open: str
    """The opening mark as a prompt contains it, with its line break."""
    close: str
    opens: str = ""
    """Pattern of the opening mark; empty: ``open`` literally."""
    closes: str = ""
    ends: str = ""
    """Pattern of what follows the answer and is not part of it; empty: nothing does."""
    nests: bool = True
    """A thought inside a thought has its own closing mark."""
    may_begin_in_prompt: bool = True
    """A closing mark without an opening one ends a thought that the prompt opened."""
    signs: tuple[str, ...] = ()
    """See ``needed``; empty: the two marks."""

    @property
    def opening(self) -> str:
        """Pattern of the opening mark."""
        return self.opens or re.escape(self.open.strip())

    @property
    def closing(self) -> str:
        """Pattern of the closing mark."""
        return self.closes or re.escape(self.close)

    @property
    def needed(self) -> tuple[str, ...]:
        """In lower case: every text with such a mark contains one of these."""
        return self.signs or (self.open.strip().lower(), self.close.strip().lower())


def _tags(name: str) -> Style:
    return Style(f"<{name}>\n", f"</{name}>", rf"<(?i:{name})>", rf"</(?i:{name})>")


_HEADER = r"(?:[^<\n]{0,80}(?:<\|constrain\|>[^<\n]{0,80})?<\|message\|>)?"
_MESSAGE = r"(?:(?:<\|end\|>\s{0,9})?<\|start\|>\s{0,9}assistant\s{0,9})?"
STYLES: dict[StyleName, Style] = {
    # DeepSeek-R1 and its distills, Qwen3, QwQ, GLM, Phi-4-reasoning, Granite 3.3 and others.
    "think": _tags("think"),
    # Claude-like prompts, Reflection, Marco-o1, EXAONE Deep, reward formats of GRPO recipes.
    "thinking": _tags("thinking"),
    "thought": _tags("thought"),
    "thoughts": _tags("thoughts"),
    "reasoning": _tags("reasoning"),
    "scratchpad": _tags("scratchpad"),
    "analysis": _tags("analysis"),
    # gpt-oss. The second forms are what is left where special tokens are dropped in decoding.
    "harmony": Style(
        open="<|channel|>analysis<|message|>",
        close="<|end|><|start|>assistant<|channel|>final<|message|>",
        opens=(
            rf"{_MESSAGE}<\|channel\|>\s{{0,9}}(?:analysis|commentary)\b{_HEADER}"
            r"|\A\s{0,9}analysis(?=[A-Z0-9\"'(\[\\$]|(?:we|the|user|need|let|ok(?:ay)?)\b)"
        ),
        closes=rf"{_MESSAGE}<\|channel\|>\s{{0,9}}final\b{_HEADER}|assistantfinal",
        ends=r"<\|(?:return|end|call)\|>",
        nests=False,
        signs=("<|channel|>", "assistantfinal", "analysis"),
    ),
    # Magistral from 2507 on.
    "mistral": Style("[THINK]", "[/THINK]"),
    # Kimi-VL-Thinking.
    "kimi": Style("◁think▷", "◁/think▷"),
    # Seed-OSS.
    "seed": Style("<seed:think>", "</seed:think>"),
    # MiniMax M3.
    "minimax": Style("<mm:think>", "</mm:think>"),
    # Gemma 4.
    "gemma": Style(
        open="<|channel>thought\n",
        close="<channel|>",
        opens=r"<\|channel>\s{0,9}thought\b",
        signs=("<|channel>", "<channel|>"),
    ),
    # MedGemma, whose tokenizer has no better names for them.
    "medgemma": Style(
        open="<unused94>thought\n",
        close="<unused95>",
        opens=r"<unused94>(?:\s{0,9}thought\b)?",
        signs=("<unused94>", "<unused95>"),
    ),
    # Command A Reasoning.
    "cohere": Style(
        open="<|START_THINKING|>",
        close="<|END_THINKING|>",
        closes=r"<\|END_THINKING\|>(?:\s{0,9}<\|START_RESPONSE\|>)?|<\|START_RESPONSE\|>",
        signs=("<|start_thinking|>", "<|end_thinking|>", "<|start_response|>"),
        ends=r"<\|END_RESPONSE\|>",
    ),
    # OpenThinker, Sky-T1.
    "open_thoughts": Style(
        open="<|begin_of_thought|>\n\n",
        close="<|end_of_thought|>",
        closes=(r"<\|end_of_thought\|>(?:\s{0,9}<\|begin_of_solution\|>)?|<\|begin_of_solution\|>"),
        ends=r"<\|end_of_solution\|>",
        signs=("of_thought|>", "<|begin_of_solution|>"),
    ),
    # Granite 3.2. Plain words, which anybody may write: only at the beginning of the output.
    "granite": Style(
        open="Here is my thought process:\n",
        close="Here is my response:",
        opens=r"\A\s{0,9}(?:Here's|Here is) my thought process:",
        closes=r"(?:Here's|Here is) my response:",
        signs=(" my thought process:",),
        nests=False,
        may_begin_in_prompt=False,
    ),
    # Apriel Thinker; its template writes the opening words.
    "apriel": Style(
        open="Here are my reasoning steps:\n",
        close="[BEGIN FINAL RESPONSE]",
        opens=r"\A\s{0,9}Here are my reasoning steps:",
        ends=r"\[END FINAL RESPONSE\]",
        nests=False,
    ),
}


@cache
def styles_of(reasoning: Reasoning) -> tuple[Style, ...]:
    """The styles that count in an output of a model."""
    match reasoning:
        case None:
            return tuple(STYLES.values())
        case Marks():
            return (Style(reasoning.open, reasoning.close),)
        case name:
            return (STYLES[name],)


def written_style(reasoning: Reasoning) -> Style:
    """The style in which the harness itself marks a thought for this model."""
    return STYLES[DEFAULT] if reasoning is None else styles_of(reasoning)[0]


def styles_in(text: str, reasoning: Reasoning) -> tuple[Style, ...]:
    """The styles of a model whose marks may occur in a text."""
    holds = text.lower().__contains__
    if not any(map(holds, _needed(reasoning))):  # most texts, found out without patterns
        return ()
    return tuple(style for style in styles_of(reasoning) if any(map(holds, style.needed)))


@cache
def _needed(reasoning: Reasoning) -> tuple[str, ...]:
    return tuple(sign for style in styles_of(reasoning) for sign in style.needed)


@cache
def _any_mark(styles: tuple[Style, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"{style.opening}|{style.closing}" for style in styles))


def without_marks(text: str, reasoning: Reasoning) -> str:
    """A text with a space in place of each mark of a thought."""
    styles = styles_in(text, reasoning)
    return _any_mark(styles).sub(" ", text) if styles else text


def has_marks(text: str, reasoning: Reasoning) -> bool:
    """Whether any mark of a thought is in a text, wherever it is."""
    styles = styles_in(text, reasoning)
    return bool(styles) and _any_mark(styles).search(text) is not None


def detect(template: str | None, added_tokens: Iterable[str]) -> Reasoning:
    """How a model marks its thoughts, as its chat template or its added tokens show.

    Returns:
        None where neither holds the marks of exactly one style.
    """
    for where in (template or "", "\n".join(added_tokens)):
        found = [name for name, style in STYLES.items() if _shows(where, style)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _shows(where: str, style: Style) -> bool:
    return style.open.strip() in where or style.close in where


def as_protocol_field(reasoning: Reasoning) -> Any:
    """The marks as a fingerprint contains them; None for those that every run had once.

    ``<think>`` was the only style that runs knew before there was a choice, and outputs of a model
    whose marks are unknown are read by it too: these runs stay comparable.
    """
    if reasoning is None or reasoning == DEFAULT:
        return None
    return reasoning.model_dump() if isinstance(reasoning, Marks) else reasoning
