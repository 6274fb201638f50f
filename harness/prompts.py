"""The model's tokenizer: the only place where text becomes token ids and token ids text.

Every engine is given ids and gives ids back, so that the same prompt means the same tokens and
equal tokens mean equal text, whichever engine made them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.answers.thinking import CLOSE, OPEN
from harness.errors import ConfigError, UnavailableError
from harness.models import ResolvedModel, stop_token_ids
from harness.records import Completion, GenerationRequest, Problem, Prompt


class Times(NamedTuple):
    """When things happened to a request, in seconds on the run's clock; None where unknown."""

    queued_s: float | None = None
    started_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None


class TextAnswer(NamedTuple):
    """What a server says that tells no token ids."""

    content: str
    reasoning: str
    """Empty where the server keeps the thought in the content, or to itself."""
    is_cut_off: bool
    """By the token limit."""
    prompt_tokens: int | None
    """By the server's count, as the others; None where it does not tell."""
    completion_tokens: int
    reasoning_tokens: int | None

    @property
    def text(self) -> str:
        """Thought and answer together, marked as a model without a parser writes them."""
        if not self.reasoning and not self._hides_a_thought:
            return self.content
        if not self.content:  # the thought never ended
            return f"{OPEN}\n{self.reasoning}"
        return f"{OPEN}\n{self.reasoning}\n{CLOSE}\n\n{self.content}"

    def thought_tokens(self, *, opened: bool) -> int | None:
        """Tokens of the thought, None where it cannot be told."""
        if self.reasoning_tokens:
            return self.reasoning_tokens
        text = self.text
        if CLOSE in text:  # the server counted none of what it left in the content
            return None
        return self.completion_tokens if opened or text.lstrip().startswith(OPEN) else 0

    @property
    def _hides_a_thought(self) -> bool:
        return bool(self.reasoning_tokens) and CLOSE not in self.content


class Codec:
    """A tokenizer with its chat template, stop tokens and thinking marks."""

    def __init__(self, tokenizer: Any, stop_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        own_stop = tokenizer.eos_token_id
        self.stop_token_ids = stop_ids | (frozenset() if own_stop is None else {own_stop})
        """Every id that ends an answer."""
        if not self.stop_token_ids:
            raise ConfigError("model: its tokenizer names no end-of-sequence token")
        pad = tokenizer.pad_token_id
        self.pad_token_id: int = min(self.stop_token_ids) if pad is None else pad
        self._think_end_id: int | None = tokenizer.get_vocab().get(CLOSE)

    @classmethod
    def load(cls, model: ResolvedModel) -> "Codec":
        """Loads the tokenizer from the model's folder, where it has one."""
        if not model.path:
            return ServersCodec()
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(
                model.path, trust_remote_code=model.trust_remote_code
            )
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UnavailableError(f"model={model.name}: no tokenizer: {reason}") from error
        return cls(tokenizer, stop_token_ids(Path(model.path)))

    @property
    def template_sha256(self) -> str | None:
        """Digest of the chat template, None where there is none."""
        template = self._tokenizer.chat_template
        return None if template is None else hashlib.sha256(template.encode()).hexdigest()

    def prompt(
        self, problem: Problem, instruction: str, *, chat: bool, force_think: bool
    ) -> Prompt:
        r"""Renders and tokenizes one problem.

        Args:
            problem: Its ``question`` takes the place of ``{question}`` in the instruction.
            instruction: The task's prompt; all of it goes into the user's turn, because R1 is
                to have no system prompt (DeepSeek-R1 README, "Usage Recommendations").
            chat: Use the chat template; otherwise the model sees the bare text.
            force_think: End the prompt with ``<think>\n`` where the template does not.

        Raises:
            ConfigError: The model has no chat template, or the prompt has two BOS tokens.
        """
        text = user_text = instruction.replace("{question}", problem.question)
        if chat:
            if self._tokenizer.chat_template is None:
                raise ConfigError(
                    "protocol.chat=true: this model has no chat template; "
                    "protocol.chat=false sends the bare text"
                )
            text = self._rendered(text)
        if force_think and not text.rstrip().endswith(OPEN):
            text += f"{OPEN}\n"
        return Prompt(
            problem_id=problem.problem_id,
            text=text,
            token_ids=self._encode(text),
            opened_think=text.rstrip().endswith(OPEN),
            user_text=user_text,
        )

    def _rendered(self, user_text: str) -> str:
        from jinja2 import TemplateError

        turn = {"role": "user", "content": user_text}
        try:
            text: str = self._tokenizer.apply_chat_template(
                [turn], add_generation_prompt=True, tokenize=False
            )
        except TemplateError as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ConfigError(f"model: its chat template cannot be rendered: {reason}") from error
        return text

    def _encode(self, text: str) -> tuple[int, ...]:
        # The template has written BOS itself where it wants one; a tokenizer that adds its own
        # (add_bos_token) would make two of them, which costs accuracy and says nothing.
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        bos = self._tokenizer.bos_token_id
        if bos is not None:
            if ids[:1] != [bos] and self._tokenizer.encode("")[:1] == [bos]:
                ids.insert(0, bos)
            if ids[:2] == [bos, bos]:
                raise ConfigError("model: its chat template writes two BOS tokens")
        return tuple(ids)

    def words(self, token_ids: Sequence[int]) -> str:
        """Ids as text, special tokens spelled out; empty where the tokenizer is not here."""
        text: str = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    @property
    def special_tokens(self) -> frozenset[str]:
        """What the tokenizer writes between texts; none of it belongs into an answer."""
        return frozenset(self._tokenizer.all_special_tokens) - {OPEN, CLOSE}

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
        return Completion(
            request_id=request.request_id,
            text=text,
            finish_reason="stop" if stopped else "length",
            prompt_tokens=len(request.prompt_token_ids),
            completion_tokens=len(ids),
            reasoning_tokens=self._reasoning_tokens(ids, text, opened=request.prompt_opened_think),
            **times._asdict(),
        )

    def text_completion(
        self, request: GenerationRequest, answer: TextAnswer, times: Times
    ) -> Completion:
        """The record of a request that was answered in text: its tokens are the server's count."""
        text = answer.text
        return Completion(
            request_id=request.request_id,
            text=text,
            finish_reason="length" if answer.is_cut_off else "stop",
            prompt_tokens=(
                len(request.prompt_token_ids)
                if answer.prompt_tokens is None
                else answer.prompt_tokens
            ),
            completion_tokens=answer.completion_tokens,
            reasoning_tokens=answer.thought_tokens(opened=request.prompt_opened_think),
            **times._asdict(),
        )

    def failed(self, request: GenerationRequest, error: str, times: Times) -> Completion:
        """The record of a request that the engine could not serve."""
        return Completion(
            request_id=request.request_id,
            text="",
            finish_reason="error",
            prompt_tokens=len(request.prompt_token_ids),
            completion_tokens=0,
            reasoning_tokens=None,
            error=" ".join(error.split()) or "no message",
            **times._asdict(),
        )

    def _reasoning_tokens(self, ids: list[int], text: str, *, opened: bool) -> int | None:
        if self._think_end_id is not None and self._think_end_id in ids:
            return len(ids) - ids[::-1].index(self._think_end_id)
        if CLOSE in text:  # spelled out in several tokens: the border cannot be told
            return None
        return len(ids) if opened or text.lstrip().startswith(OPEN) else 0


class ServersCodec(Codec):
    """In place of a tokenizer that only the server has: the user's words are all that is known."""

    def __init__(self) -> None:
        self.stop_token_ids = frozenset()

    @property
    def template_sha256(self) -> str | None:
        """The server's template is unknown."""
        return None

    @property
    def special_tokens(self) -> frozenset[str]:
        """Unknown."""
        return frozenset()

    def words(self, token_ids: Sequence[int]) -> str:  # noqa: ARG002 - there are none
        """Unknown."""
        return ""

    def prompt(
        self,
        problem: Problem,
        instruction: str,
        *,
        chat: bool,  # noqa: ARG002 - the server decides it
        force_think: bool,  # noqa: ARG002
    ) -> Prompt:
        """One problem in words, without token ids."""
        text = instruction.replace("{question}", problem.question)
        return Prompt(
            problem_id=problem.problem_id,
            text=text,
            token_ids=(),
            opened_think=False,
            user_text=text,
        )
