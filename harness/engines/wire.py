"""What is said over HTTP: the body of a request, and what a streamed answer adds up to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.gaps import GapCounter
from harness.prompts import TextAnswer
from harness.records import GenerationRequest

Mode = Literal["tokens", "chat"]

# Servers that take sampling arguments beyond OpenAI's, by what they say owns their models.
TAKES_MORE = frozenset({"vllm", "sglang", "llamacpp"})
# Those that can be told which tokens end an answer, and that no others do.
TAKES_STOP_TOKENS = frozenset({"vllm", "sglang"})
# vLLM sends the first token at once and then so many at a time: a signature of life now and then,
# and a hundredth of the work of sending each.
TOKENS_PER_CHUNK = 100
SMALL_SEED = 2**31
"""Seeds above this are refused, or lose digits, in other servers than vLLM."""


def body(
    request: GenerationRequest, mode: Mode, software: str, stop_token_ids: frozenset[int]
) -> dict[str, Any]:
    """The arguments of one request, all sampling spelled out.

    Args:
        request: What is asked.
        mode: Which of the two endpoints it goes to.
        software: What the server says it is, ``unknown`` included.
        stop_token_ids: What ends an answer, where the server can be told.
    """
    sampling = request.sampling
    said: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": request.seed if software == "vllm" else request.seed % SMALL_SEED,
    }
    if mode == "tokens":
        said["prompt"] = list(request.prompt_token_ids)
    else:
        said["messages"] = [{"role": "user", "content": request.user_text}]
    return said | {"extra_body": _more(request, mode, software, stop_token_ids)}


def _more(
    request: GenerationRequest, mode: Mode, software: str, stop_token_ids: frozenset[int]
) -> dict[str, Any]:
    top_k = request.sampling.top_k
    if software not in TAKES_MORE:
        return {} if top_k is None else {"top_k": top_k}
    more: dict[str, Any] = {"top_k": top_k or -1, "min_p": 0.0, "repetition_penalty": 1.0}
    if software in TAKES_STOP_TOKENS:
        more["skip_special_tokens"] = False
        if stop_token_ids:
            # The same tokens end an answer here as in every engine, and no others.
            more |= {"ignore_eos": True, "stop_token_ids": sorted(stop_token_ids)}
    if software == "vllm":
        more |= {"stream_interval": TOKENS_PER_CHUNK, "min_tokens": 0}
        if mode == "tokens":
            more["return_token_ids"] = True
    return more


@dataclass(slots=True)
class Heard:
    """A streamed answer, as far as it has come."""

    token_ids: list[int] | None = None
    """None from a server that sends text alone."""
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    first_token_s: float | None = None
    finished_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    """None where the server does not say what it had in its cache."""
    gaps: GapCounter = field(default_factory=GapCounter)
    _chunks: int = 0
    """With something of the answer in them."""
    prefill_s: float | None = None
    """From the engine's start with the request to its first token, by the server's clock."""

    def add(self, chunk: Any, now_s: float) -> None:
        """Takes a chunk in; ``now_s`` is when it came."""
        for choice in chunk.choices:
            said = self._read_chat(choice) if hasattr(choice, "delta") else self._read(choice)
            if said:
                self.first_token_s = now_s if self.first_token_s is None else self.first_token_s
                self.gaps.token_came(now_s)
                self._chunks += 1
            if choice.finish_reason is not None:
                self.finish_reason, self.finished_s = choice.finish_reason, now_s
        if chunk.usage is not None:
            self._count(chunk.usage)
        metrics = getattr(chunk, "metrics", None)
        if isinstance(metrics, Mapping) and metrics.get("time_to_first_token_ms") is not None:
            self.prefill_s = float(metrics["time_to_first_token_ms"]) / 1000

    def token_gaps(self) -> dict[int, int] | None:
        """Between tokens, by bin; None where chunks hold several tokens.

        The token that ends an answer has no text, so in a stream of text it is in no chunk.
        """
        tokens = self.completion_tokens or 0
        hides_end = self.token_ids is None and self.finish_reason == "stop"
        is_single = tokens - self._chunks in ({0, 1} if hides_end else {0})
        return dict(self.gaps.counts) if is_single and tokens else None

    def answer(self) -> TextAnswer:
        """The answer of a server that sends text."""
        return TextAnswer(
            content="".join(self.content),
            reasoning="".join(self.reasoning),
            is_cut_off=self.finish_reason == "length",
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens or 0,
            reasoning_tokens=self.reasoning_tokens,
        )

    def _read(self, choice: Any) -> bool:
        if (ids := getattr(choice, "token_ids", None)) is not None:
            self.token_ids = (self.token_ids or []) + ids
        self.content.append(choice.text or "")
        return bool(ids or choice.text)

    def _read_chat(self, choice: Any) -> bool:
        # The field's name differs: reasoning (vLLM, OpenRouter), reasoning_content (DeepSeek).
        thought = getattr(choice.delta, "reasoning", None) or getattr(
            choice.delta, "reasoning_content", None
        )
        self.reasoning.append(thought or "")
        self.content.append(choice.delta.content or "")
        return bool(thought or choice.delta.content)

    def _count(self, usage: Any) -> None:
        self.prompt_tokens = usage.prompt_tokens
        self.completion_tokens = usage.completion_tokens
        details = getattr(usage, "completion_tokens_details", None)
        self.reasoning_tokens = getattr(details, "reasoning_tokens", None)
        of_prompt = getattr(usage, "prompt_tokens_details", None)
        cached = getattr(of_prompt, "cached_tokens", None)
        if isinstance(cached, int) and 0 <= cached <= usage.prompt_tokens:
            self.cached_prompt_tokens = cached
