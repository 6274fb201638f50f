"""The JSON of a request, and the parsing of a complete or streamed answer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.engines.request_error import RequestError, of_event, one_line
from harness.io.token_gaps import GapCounter
from harness.models.chat_tokenizer import Codec, TextAnswer
from harness.records import GenerationRequest

Mode = Literal["tokens", "text", "chat"]
"""How a prompt is sent: as token ids, as the rendered text, or as messages."""
PATHS: dict[Mode, str] = {
    "tokens": "completions",
    "text": "completions",
    "chat": "chat/completions",
}
Omittable = Literal[
    "seed",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "skip_special_tokens",
    "ignore_eos",
    "stop_token_ids",
    "min_tokens",
    "stream",
    "stream_options",
    "stream_interval",
    "return_token_ids",
]
"""Request fields that ``engine.omit`` can leave out."""
OF_TRANSPORT: frozenset[Omittable] = frozenset(
    {"stream", "stream_options", "stream_interval", "return_token_ids"}
)
"""Fields that change how an answer is sent, and nothing about the answer."""

# Other servers' words for the two ends that an answer can have.
_STOPS = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete"})
_CUTS = frozenset({"length", "max_tokens", "model_length"})

# Servers that take sampling arguments beyond OpenAI's, by what they say owns their models.
TAKES_MORE = frozenset({"vllm", "sglang", "llamacpp"})
# Servers that accept a list of the only tokens that end an answer.
TAKES_STOP_TOKENS = frozenset({"vllm", "sglang"})
# Servers that accept that a prompt's text already has its beginning-of-sequence token.
TAKES_BOS = frozenset({"vllm"})
# vLLM sends the first token at once and then this many at a time: regular signs of life, at a
# hundredth of the work of sending each token.
TOKENS_PER_CHUNK = 100
SMALL_SEED = 2**31
"""Servers other than vLLM refuse larger seeds, or lose digits of them."""


def body(request: GenerationRequest, mode: Mode, software: str, codec: Codec) -> dict[str, Any]:
    """The fields of one request but the model and the token limit, all sampling spelled out.

    Args:
        request: What is asked.
        mode: What the prompt is sent as.
        software: What the server says it is, ``unknown`` included.
        codec: The model's.
    """
    sampling = request.sampling
    fields: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": request.seed if software == "vllm" else request.seed % SMALL_SEED,
    }
    match mode:
        case "tokens":
            fields["prompt"] = list(request.prompt_token_ids)
        case "text":
            fields["prompt"] = codec.text_for_server(request, adds_bos=software not in TAKES_BOS)
        case "chat":
            fields["messages"] = [
                *(turn.model_dump() for turn in request.earlier_turns),
                {"role": "user", "content": request.user_text},
            ]
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    return fields | _more(request, mode, software, codec.stop_token_ids)


def without(fields: dict[str, Any], omitted: Collection[str]) -> dict[str, Any]:
    """The request fields without the omitted ones.

    ``stream_options`` is only valid beside ``stream``.

    ``stream_options`` is only understood beside ``stream``.
    """
    left_out = {*omitted, *(("stream_options", "stream_interval") if "stream" in omitted else ())}
    return {name: value for name, value in fields.items() if name not in left_out}


OFF: Mapping[str, Any] = {"min_p": 0.0, "repetition_penalty": 1.0, "chat_template_kwargs": {}}
"""Options that OpenAI's API does not have, with the values that turn them off."""


def beyond_openai(request: GenerationRequest, mode: Mode) -> dict[str, Any]:
    """Options of the protocol that are set and that OpenAI's API does not have, by name."""
    sampling = request.sampling
    options = {
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "chat_template_kwargs": request.template_kwargs if mode == "chat" else None,
    }
    return {name: value for name, value in options.items() if value}


def _more(
    request: GenerationRequest, mode: Mode, software: str, stop_token_ids: frozenset[int]
) -> dict[str, Any]:
    sampling = request.sampling
    top_k = sampling.top_k
    if software not in TAKES_MORE:
        known = {"top_k": top_k, **beyond_openai(request, mode)}
        return {name: value for name, value in known.items() if value is not None}
    more: dict[str, Any] = {
        "top_k": top_k or -1,
        "min_p": OFF["min_p"],
        "repetition_penalty": OFF["repetition_penalty"],
    }
    more |= beyond_openai(request, mode)
    if software == "llamacpp" and sampling.repetition_penalty is not None:
        # llama.cpp's name for it; by default it looks back over 64 tokens only, -1 means all.
        more |= {"repeat_penalty": sampling.repetition_penalty, "repeat_last_n": -1}
    if software in TAKES_STOP_TOKENS:
        more["skip_special_tokens"] = False
        if stop_token_ids:
            # The same tokens end an answer here as in every engine, and no others.
            more |= {"ignore_eos": True, "stop_token_ids": sorted(stop_token_ids)}
    if software == "vllm":
        more |= {"stream_interval": TOKENS_PER_CHUNK, "min_tokens": 0}
        if mode == "tokens":
            more["return_token_ids"] = True
        if mode == "text":  # the template has written its own
            more["add_special_tokens"] = False
    return more


@dataclass(slots=True, eq=False)
class Heard:
    """An answer as received so far."""

    token_ids: list[int] | None = None
    """Token ids; None from a server that sends only text."""
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    """The server's finish reason; None until it gives one."""
    is_whole: bool = False
    """Whether the server has marked the end of the answer."""
    first_token_s: float | None = None
    finished_s: float | None = None
    prompt_tokens: int | None = None
    """Counts of the server; None where it does not report them."""
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    gaps: GapCounter = field(default_factory=GapCounter)
    _chunks: int = 0
    """With something of the answer in them."""
    prefill_s: float | None = None
    """From the engine's start with the request to its first token, by the server's clock."""

    def add(self, chunk: Any, now_s: float) -> None:
        """Takes a chunk in; ``now_s`` is when it came.

        Raises:
            RequestError: It is an error, or no chunk of an answer.
        """
        if not isinstance(chunk, dict):
            raise RequestError(one_line(f"the server sent no answer but {chunk!r}"))
        if chunk.get("error"):
            raise of_event(chunk["error"])
        for choice in chunk.get("choices") or ():
            part = choice.get("delta") or choice.get("message")
            if self._read(choice) if part is None else self._read_chat(part):
                self.first_token_s = now_s if self.first_token_s is None else self.first_token_s
                self.gaps.token_came(now_s)
                self._chunks += 1
                self.finished_s = now_s
            if choice.get("finish_reason"):
                self.finish_reason, self.finished_s = str(choice["finish_reason"]), now_s
        if isinstance(chunk.get("usage"), Mapping):
            self._count(chunk["usage"])
        metrics = chunk.get("metrics")
        if isinstance(metrics, Mapping) and metrics.get("time_to_first_token_ms") is not None:
            self.prefill_s = float(metrics["time_to_first_token_ms"]) / 1000

    def add_whole(self, reply: Any, now_s: float) -> None:
        """Takes an answer in that came in one piece: when its first token came is unknown."""
        self.add(reply, now_s)
        self.is_whole, self.finished_s, self.first_token_s = True, now_s, None

    def ended(self, max_new_tokens: int) -> Literal["stop", "length"] | None:
        """How the answer ended; None where the server's word for it is none that is known.

        Where it gives none, an answer that is whole and has any text ended by itself if it has
        fewer tokens than it might have had.
        """
        if self.finish_reason is None:
            tokens = self.completion_tokens
            if not tokens or self.is_empty or not self.is_whole:
                return None
            return "stop" if tokens < max_new_tokens else "length"
        word = self.finish_reason.lower()
        return "stop" if word in _STOPS else "length" if word in _CUTS else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an answer has come: no text, no thought, no token."""
        return self._chunks == 0

    @property
    def tokens_so_far(self) -> int | None:
        """Tokens that have come; None where only text comes."""
        if self.is_empty:
            return 0
        return None if self.token_ids is None else len(self.token_ids)

    def token_gaps(self) -> dict[int, int] | None:
        """Between tokens, by bin; None where chunks hold several tokens.

        The token that ends an answer has no text, so in a stream of text it is in no chunk.
        """
        tokens = self.completion_tokens or 0
        hides_end = self.token_ids is None and self.finish_reason == "stop"
        is_single = tokens - self._chunks in ({0, 1} if hides_end else {0})
        is_streamed = self.first_token_s is not None
        return dict(self.gaps.counts) if is_single and tokens and is_streamed else None

    def answer(self, max_new_tokens: int) -> TextAnswer:
        """The answer of a server that sends text."""
        return TextAnswer(
            content="".join(self.content),
            reasoning="".join(self.reasoning),
            is_cut_off=self.ended(max_new_tokens) == "length",
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )

    def _read(self, choice: Mapping[str, Any]) -> bool:
        ids = choice.get("token_ids")
        if ids is not None:
            self.token_ids = (self.token_ids or []) + ids
        text = _text(choice.get("text"))
        self.content.append(text)
        return bool(ids or text)

    def _read_chat(self, part: Mapping[str, Any]) -> bool:
        # The field's name differs: reasoning (vLLM, OpenRouter), reasoning_content (DeepSeek).
        thought = _text(part.get("reasoning") or part.get("reasoning_content"))
        content = part.get("content")
        if isinstance(content, list):
            # Mistral's models think in parts of the content.
            thought += _text([each for each in content if each["type"] == "thinking"])
            content = [each for each in content if each["type"] != "thinking"]
        content = _text(content)
        self.reasoning.append(thought)
        self.content.append(content)
        return bool(thought or content)

    def _count(self, usage: Mapping[str, Any]) -> None:
        self.prompt_tokens = _whole(usage.get("prompt_tokens")) or None  # no prompt has none
        self.completion_tokens = _whole(usage.get("completion_tokens"))
        if self.completion_tokens == 0 and any((*self.content, *self.reasoning)):
            self.completion_tokens = None
        self.reasoning_tokens = _detail(usage, "completion_tokens_details", "reasoning_tokens")
        cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
        if cached is not None and cached <= (self.prompt_tokens or 0):
            self.cached_prompt_tokens = cached


def _text(value: Any) -> str:
    """What a field of an answer says: a text, or a list of parts that hold one each.

    Raises:
        TypeError: It is neither.
        LookupError: A part holds no text.
    """
    if isinstance(value, list):
        names = ["thinking" if part["type"] == "thinking" else "text" for part in value]
        return "".join(_text(part[name]) for part, name in zip(value, names, strict=True))
    if value and not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text should be")
    return value or ""


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int | None:
    details = usage.get(group)
    return _whole(details.get(name)) if isinstance(details, Mapping) else None


def _whole(value: Any) -> int | None:
    """A count; None for whatever else a server may put there."""
    return value if isinstance(value, int) and value >= 0 else None
