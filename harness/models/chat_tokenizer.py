"""The model's tokenizer: the only place where text becomes token ids and token ids text.

Every engine is given ids and gives ids back, so that the same prompt means the same tokens and
equal tokens mean equal text, whichever engine made them.
"""

import hashlib
import logging
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.errors import ConfigError
from harness.models import ResolvedModel, stop_token_ids
from harness.models.tokenizer_files import load_tokenizer
from harness.records import Completion, Example, GenerationRequest, Problem, Prompt, Turn
from harness.scorers.answers.marks import Reasoning, detect, has_marks, without_marks, written_style
from harness.scorers.answers.thinking import is_inside_thought, split_thinking

log = logging.getLogger(__name__)

TEMPLATE_DATE = date(2025, 1, 1)
"""The date for chat templates that print today's, unless the protocol gives another. With the real
date, the prompts would change from day to day."""
DATE_FUNCTION = "strftime_now"
"""The function that templates call for today's date."""
_PROMPT_END = 80
"""Characters at a prompt's end that are searched for an opened thought, where the template changes
the question's text."""


_EMPTY_TOKENS = 16
"""Tokens without text that may occur within a stop text."""
BETWEEN_EXAMPLES = "\n\n"


class Times(NamedTuple):
    """The times of a request's events, in seconds on the run's clock; None where unknown."""

    queued_s: float | None = None
    started_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None


class TextAnswer(NamedTuple):
    """The answer of a server that sends no token ids."""

    content: str
    reasoning: str
    """Empty where the server keeps the thought in the content, or to itself."""
    is_cut_off: bool
    """Whether the token limit cut the answer off."""
    prompt_tokens: int | None
    """As the server counts, like the other counts; None where it does not report them."""
    completion_tokens: int | None
    reasoning_tokens: int | None

    def text(self, marks: Reasoning) -> str:
        """Thought and answer together, marked as this model marks them without a parser."""
        hides_a_thought = bool(self.reasoning_tokens) and not has_marks(self.content, marks)
        if not self.reasoning and not hides_a_thought:
            return self.content
        style = written_style(marks)
        thought = f"{style.open.rstrip()}\n{self.reasoning}"
        # without any content the thought never ended
        return f"{thought}\n{style.close}\n\n{self.content}" if self.content else thought

    def thought_tokens(self, marks: Reasoning, *, opened: bool) -> int | None:
        """Tokens of the thought, None where they are unknown."""
        if self.reasoning_tokens:
            return self.reasoning_tokens
        split = split_thinking(self.text(marks), prompt_opened_think=opened, reasoning=marks)
        if split.answer_start is None:
            return self.completion_tokens
        # the server counted none of the thought that it left in the content
        return None if split.answer_start else 0


class PromptOptions(NamedTuple):
    """Prompt options beside the task's own text; by default none is set."""

    system_prompt: str | None = None
    template_kwargs: Mapping[str, Any] = {}
    examples: tuple[Example, ...] = ()
    has_turns: bool = True
    """Examples are turns of user and assistant, and not text before the question."""
    before_answer: str = BETWEEN_EXAMPLES
    """Between an example's question and its answer where both are text."""
    today: date = TEMPLATE_DATE
    """Today's date for the chat template."""

    def earlier_turns(self, instruction: str) -> tuple[Turn, ...]:
        """The turns before the user's last turn."""
        system = [] if self.system_prompt is None else [_turn("system", self.system_prompt)]
        shown = [
            turn
            for example in (self.examples if self.has_turns else ())
            for turn in (
                _turn("user", _asked(instruction, example.question)),
                _turn("assistant", example.answer),
            )
        ]
        return (*system, *shown)

    def user_text(self, instruction: str, question: str) -> str:
        """The user's last turn: the question, after the examples that are text."""
        shown = [] if self.has_turns else self.examples
        parts = [
            f"{_asked(instruction, each.question)}{self.before_answer}{each.answer}"
            for each in shown
        ]
        return BETWEEN_EXAMPLES.join([*parts, _asked(instruction, question)])


def _turn(role: Literal["system", "user", "assistant"], content: str) -> Turn:
    return Turn(role=role, content=content)


def _asked(instruction: str, question: str) -> str:
    return instruction.replace("{question}", question)


NO_OPTIONS = PromptOptions()


class Codec:
    """A tokenizer with its chat template, stop tokens and thinking marks."""

    embedding_rows: int | None = None
    """A prompt with a higher token id is refused; None: unknown."""

    def __init__(
        self, tokenizer: Any, stop_ids: frozenset[int], reasoning: Reasoning = None
    ) -> None:
        """Takes a loaded tokenizer.

        Args:
            tokenizer: Of the model.
            stop_ids: What ends an answer besides the tokenizer's own end-of-sequence token.
            reasoning: How the model marks its thoughts; None: as the tokenizer shows.
        """
        self._tokenizer = tokenizer
        self.reasoning: Reasoning = reasoning or detect(
            tokenizer.chat_template, tokenizer.get_added_vocab()
        )
        """How the model marks its thoughts; None: unknown, any known style counts."""
        own_stop = tokenizer.eos_token_id
        self.stop_token_ids = stop_ids | (frozenset() if own_stop is None else {own_stop})
        """Every id that ends an answer."""
        if not self.stop_token_ids:
            raise ConfigError(
                "model: nothing names its end-of-sequence token: neither generation_config.json "
                "nor config.json (eos_token_id) nor the tokenizer (eos_token)"
            )
        pad = tokenizer.pad_token_id
        self.pad_token_id: int = min(self.stop_token_ids) if pad is None else pad
        self._style = written_style(self.reasoning)
        self._think_end_id: int | None = tokenizer.get_vocab().get(self._style.close)

    @classmethod
    def load(cls, model: ResolvedModel) -> "Codec":
        """Loads the tokenizer from the model's folder, where it has one."""
        if not model.path:
            return ServersCodec(model.reasoning)
        return cls(load_tokenizer(model), stop_token_ids(Path(model.path)), model.reasoning)

    @property
    def template_sha256(self) -> str | None:
        """Digest of the chat template, None where there is none."""
        template = self._tokenizer.chat_template
        return None if template is None else hashlib.sha256(template.encode()).hexdigest()

    @property
    def uses_date(self) -> bool:
        """Whether the chat template writes today's date into prompts."""
        return DATE_FUNCTION in str(self._tokenizer.chat_template or "")

    def prompt(
        self,
        problem: Problem,
        instruction: str,
        *,
        chat: bool,
        force_think: bool,
        options: PromptOptions = NO_OPTIONS,
    ) -> Prompt:
        r"""Renders and tokenizes one problem.

        Args:
            problem: Its ``question`` takes the place of ``{question}`` in the instruction.
            instruction: The task's prompt; all of it goes into the user's turn, because R1 is
                to have no system prompt (DeepSeek-R1 README, "Usage Recommendations"), unless
                the options have one.
            chat: Use the chat template; otherwise the model sees the bare text.
            force_think: End the prompt inside a thought (``<think>\n``) where the template does
                not.
            options: The prompt options, already checked by ``check_options``.

        Raises:
            ConfigError: The model has no chat template, or the prompt has two BOS tokens or one
                that the embedding has no row for.
        """
        text = user_text = options.user_text(instruction, problem.question)
        turns = options.earlier_turns(instruction)
        if chat:
            if self._tokenizer.chat_template is None:
                raise ConfigError(
                    "protocol.chat=true: this model has no chat template; "
                    "protocol.chat=false sends the bare text"
                )
            text = self._rendered((*turns, _turn("user", text)), options)
        elif options.system_prompt is not None:
            text = f"{options.system_prompt}{BETWEEN_EXAMPLES}{text}"
        # only what the template writes after the question, which may speak of marks itself
        _, asked, end = text.rpartition(user_text.strip() or text)
        opened = is_inside_thought(end if asked else text[-_PROMPT_END:], self.reasoning)
        if force_think and not opened:
            text += self._style.open
        token_ids = self._encode(text)
        self._refuse_without_row(token_ids, problem)
        return Prompt(
            problem_id=problem.problem_id,
            text=text,
            token_ids=token_ids,
            opened_think=opened or force_think,
            user_text=user_text,
            earlier_turns=turns,
            template_kwargs=dict(options.template_kwargs) if chat else {},
        )

    def check_options(self, options: PromptOptions) -> None:
        """Refuses options that this model's chat template leaves out of its prompts.

        Only where the template is used.

        Raises:
            ConfigError: Names the option.
        """
        template = self._tokenizer.chat_template or ""
        for name, value in options.template_kwargs.items():
            if not re.search(rf"\b{re.escape(name)}\b", template):
                raise ConfigError(
                    f"protocol.chat_template_kwargs.{name}={value}: this model's chat template has "
                    "no such variable; leave it out"
                )
        plain = options._replace(template_kwargs={})
        if options.template_kwargs and self._sample(options) == self._sample(plain):
            log.warning(
                "protocol.chat_template_kwargs=%s: the prompt is the same without them",
                dict(options.template_kwargs),
            )
        if (system := options.system_prompt) is None:
            return
        try:
            is_there = system.strip() in self._sample(options)
        except ConfigError as error:
            self._sample(options._replace(system_prompt=None))  # or the template itself is broken
            raise ConfigError(f"protocol.system_prompt: {error}") from error
        if not is_there:
            raise ConfigError(
                "protocol.system_prompt: this model's chat template leaves the system's turn "
                "out; leave the setting out"
            )

    def _sample(self, options: PromptOptions) -> str:
        turns = (*options.earlier_turns("{question}"), _turn("user", "?"))
        return self._rendered(turns, options)

    def _rendered(self, turns: Sequence[Turn], options: PromptOptions) -> str:
        from jinja2 import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(
                [turn.model_dump() for turn in turns],
                add_generation_prompt=True,
                tokenize=False,
                **{DATE_FUNCTION: _midnight(options.today).strftime},
                **options.template_kwargs,
            )
        except TemplateError as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ConfigError(f"model: its chat template cannot be rendered: {reason}") from error
        return text

    def _encode(self, text: str) -> tuple[int, ...]:
        # The template writes BOS itself where the model needs one. A tokenizer that adds another
        # (add_bos_token) would make two, which lowers accuracy without any warning.
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        bos = self._tokenizer.bos_token_id
        if bos is not None:
            if ids[:1] != [bos] and self._tokenizer.encode("")[:1] == [bos]:
                ids.insert(0, bos)
            if ids[:2] == [bos, bos]:
                raise ConfigError("model: its chat template writes two BOS tokens")
        return tuple(ids)

    def _refuse_without_row(self, token_ids: Sequence[int], problem: Problem) -> None:
        highest = max(token_ids, default=-1)
        if self.embedding_rows is not None and highest >= self.embedding_rows:
            raise ConfigError(
                f"model: the prompt of {problem.problem_id} has the token {self.words([highest])} "
                f"(id {highest}), the model's embedding has only {self.embedding_rows} rows"
            )

    def text_for_server(self, request: GenerationRequest, *, adds_bos: bool) -> str:
        """A prompt as text, from which the server's tokenizer makes exactly one BOS.

        Args:
            request: With its rendered prompt.
            adds_bos: The server adds the BOS token where this tokenizer does.
        """
        text, bos = request.prompt_text or "", self._tokenizer.bos_token or ""
        has_bos = bool(bos) and text.startswith(bos)
        if adds_bos:
            is_added = self._tokenizer.encode("")[:1] == [self._tokenizer.bos_token_id]
            return text.removeprefix(bos) if is_added else text
        wants_bos = request.prompt_token_ids[:1] == (self._tokenizer.bos_token_id,)
        return bos + text if wants_bos and not has_bos else text

    def words(self, token_ids: Sequence[int]) -> str:
        """Ids as text, special tokens spelled out; empty where the tokenizer is not here."""
        text: str = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    @property
    def vocabulary(self) -> int:
        """The highest id and one, without the tokens that were added to the vocabulary."""
        added = self._tokenizer.get_added_vocab()
        own = (each for token, each in self._tokenizer.get_vocab().items() if token not in added)
        return max(own, default=-1) + 1

    @property
    def special_tokens(self) -> frozenset[str]:
        """Texts of special tokens, which do not belong into an answer."""
        return frozenset(
            token
            for token in self._tokenizer.all_special_tokens
            if without_marks(token, self.reasoning).strip()
        )

    def is_token(self, text: str) -> bool:
        """Whether a text is one token by itself, as template markup should be."""
        return text in self._tokenizer.get_vocab()

    def completion(
        self, request: GenerationRequest, token_ids: Sequence[int], times: Times
    ) -> Completion:
        """The record of a finished request.

        Args:
            request: What was asked.
            token_ids: All that was generated, with the stop token if one came, without padding.
            times: When.
        """
        ids = list(token_ids)
        stopped = bool(ids) and ids[-1] in self.stop_token_ids
        body = ids[:-1] if stopped else ids
        text = self._tokenizer.decode(
            body, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        cut = min(
            (at for stop in request.sampling.stop if (at := text.find(stop)) >= 0), default=None
        )
        text = text[:cut]
        return Completion(
            request_id=request.request_id,
            text=text,
            finish_reason="stop" if stopped or cut is not None else "length",
            prompt_tokens=len(request.prompt_token_ids),
            completion_tokens=len(ids),
            reasoning_tokens=self._reasoning_tokens(ids, text, opened=request.prompt_opened_think),
            **times._asdict(),
        )

    def tokens_until(
        self, token_ids: Sequence[int], stop: Sequence[str], known: int = 0
    ) -> int | None:
        """How many tokens it takes until one of the texts is whole; None where none is.

        Args:
            token_ids: An answer so far.
            stop: Texts that end it.
            known: How many of its first tokens are known to contain none.
        """
        if not stop:
            return None
        # A token has a byte at least, but for a few that have none; a window that begins within a
        # character is wrong about that character alone.
        window = max(len(each.encode()) for each in stop) + _EMPTY_TOKENS
        for count in range(known + 1, len(token_ids) + 1):
            text = self.words(token_ids[max(0, count - window) : count])
            if any(each in text for each in stop):
                return count
        return None

    def text_completion(
        self, request: GenerationRequest, answer: TextAnswer, times: Times
    ) -> Completion:
        """The record of a request that was answered in text: its tokens are the server's count."""
        text = answer.text(self.reasoning)
        # Servers leave a stop text out, or should.
        ending = [stop for stop in request.sampling.stop if text.endswith(stop)]
        text = text.removesuffix(max(ending, key=len, default=""))
        return Completion(
            request_id=request.request_id,
            text=text,
            finish_reason="length" if answer.is_cut_off else "stop",
            # without the tokenizer there are no ids
            prompt_tokens=answer.prompt_tokens or len(request.prompt_token_ids) or None,
            completion_tokens=answer.completion_tokens,
            reasoning_tokens=answer.thought_tokens(
                self.reasoning, opened=request.prompt_opened_think
            ),
            **times._asdict(),
        )

    def failed(self, request: GenerationRequest, error: str, times: Times) -> Completion:
        """The record of a request that the engine could not serve."""
        return Completion(
            request_id=request.request_id,
            text="",
            finish_reason="error",
            prompt_tokens=len(request.prompt_token_ids) or None,
            completion_tokens=0,
            reasoning_tokens=None,
            error=" ".join(error.split()) or "no message",
            **times._asdict(),
        )

    def _reasoning_tokens(self, ids: list[int], text: str, *, opened: bool) -> int:
        start = split_thinking(
            text, prompt_opened_think=opened, reasoning=self.reasoning
        ).answer_start
        if not start:
            return len(ids) if start is None else 0
        close = self._style.close
        ends = [place for place, each in enumerate(ids) if each == self._think_end_id]
        before = text.count(close, 0, start)
        if before and len(ends) == text.count(close):
            return ends[before - 1] + 1
        # The mark is spelled out in several tokens, or is another style's.
        return bisect_left(range(len(ids)), start, key=lambda count: self._length(ids[:count]))

    def _length(self, ids: list[int]) -> int:
        """Characters that are whole: one that was begun is decoded as a replacement character."""
        return len(self.words(ids).rstrip("\ufffd"))


def _midnight(day: date) -> datetime:
    """Templates may ask for the time of day too."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


class ServersCodec(Codec):
    """Replaces the tokenizer of a model that only a server has: only the messages are known."""

    def __init__(self, reasoning: Reasoning = None) -> None:
        self.stop_token_ids = frozenset()
        self.reasoning = reasoning

    @property
    def template_sha256(self) -> str | None:
        """The server's template is unknown."""
        return None

    @property
    def uses_date(self) -> bool:
        """The server knows."""
        return False

    @property
    def special_tokens(self) -> frozenset[str]:
        """Empty: unknown."""
        return frozenset()

    def words(self, token_ids: Sequence[int]) -> str:  # noqa: ARG002 - there are none
        """Empty: unknown."""
        return ""

    def prompt(
        self,
        problem: Problem,
        instruction: str,
        *,
        chat: bool,  # noqa: ARG002 - the server decides it
        force_think: bool,  # noqa: ARG002
        options: PromptOptions = NO_OPTIONS,
    ) -> Prompt:
        """One problem in words, without token ids."""
        text = options.user_text(instruction, problem.question)
        return Prompt(
            problem_id=problem.problem_id,
            text=text,
            token_ids=(),
            opened_think=False,
            user_text=text,
            earlier_turns=options.earlier_turns(instruction),
            template_kwargs=dict(options.template_kwargs),
        )

    def check_options(self, options: PromptOptions) -> None:
        """The server's template is unknown."""
