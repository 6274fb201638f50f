"""An OpenAI-compatible endpoint: one request to it, and what its errors mean."""

import asyncio
import contextlib
import os
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, NamedTuple

from harness.engines.base import Clock
from harness.engines.wire import Heard, Mode, body
from harness.errors import ConfigError, GenerationError
from harness.prompts import Codec, Times
from harness.records import Completion, GenerationRequest
from harness.redaction import keep_secret, redact, shown_variable

# A server that is there accepts a connection at once; one that is not may never refuse it.
CONNECT_LIMIT_S = 10.0
# What ends with these has a beginning of its own: the token limit, or the model's own end.
ENDINGS = frozenset({"stop", "length"})
# An answer to all requests alike: the key, the account or the model is not accepted.
NO_ENTRY = frozenset({401, 402, 403, 404})


class Link(NamedTuple):
    """How to reach a server."""

    base_url: str
    """With ``/v1``."""
    api_key: str
    max_retries: int
    """Of a request that the server refused for now (408, 409, 429, 5xx) or lost; the waits
    between them double from 0.5 s to 8 s, or are what ``Retry-After`` says, up to 2 minutes."""
    silence_limit_s: float | None
    """Longest wait for the next byte of an answer."""
    is_own: bool = False
    """On this machine: no proxy stands between."""


class Target(NamedTuple):
    """What is asked of the server."""

    mode: Mode
    model: str
    """Its name there."""
    software: str
    """``vllm``, ``sglang``, ``llamacpp``; ``unknown`` where it is not to be known."""
    max_tokens_field: str = "max_tokens"
    extra_body: dict[str, Any] = {}  # noqa: RUF012 - never written to


def get_text(url: str, limit_s: float, *, is_own: bool) -> str | None:
    """What a server says beside its API; None where it says nothing, or does not say it whole.

    Args:
        url: Of http or https.
        limit_s: Longest wait for the connection, and for the next byte.
        is_own: As in ``Link``.
    """
    proxies = [urllib.request.ProxyHandler({})] if is_own else []
    try:
        with urllib.request.build_opener(*proxies).open(url, timeout=limit_s) as response:
            text: str = response.read().decode("utf-8", errors="replace")
            return text
    except (OSError, ValueError, HTTPException):  # URLError and HTTPError are OSErrors
        return None


def open_client(link: Link, concurrency: int) -> Any:
    """An ``openai.AsyncOpenAI``; to be closed in the loop that used it."""
    import openai

    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
        max_connections=concurrency, max_keepalive_connections=concurrency
    )
    return openai.AsyncOpenAI(
        base_url=link.base_url,
        api_key=link.api_key,
        max_retries=link.max_retries,
        timeout=openai.Timeout(link.silence_limit_s, connect=CONNECT_LIMIT_S),
        http_client=openai.DefaultAsyncHttpxClient(trust_env=not link.is_own, limits=limits),
    )


class Endpoint:
    """Asks a server and makes completions of what it says."""

    def __init__(
        self,
        client: Any,
        target: Target,
        codec: Codec,
        clock: Clock,
        gone: Callable[[], str | None],
    ) -> None:
        """Sends nothing yet.

        Args:
            client: From ``open_client``.
            target: What is asked.
            codec: The model's.
            clock: The run's.
            gone: Why the server cannot go on, None when it can; asked after a failure.
        """
        self._client = client
        self._target = target
        self._codec = codec
        self._clock = clock
        self._gone = gone

    async def answer(self, request: GenerationRequest, queued_s: float) -> Completion:
        """The completion of one request.

        Raises:
            GenerationError: The server is gone, or lets nobody in any more.
        """
        sent_s = self._clock()
        heard = Heard()
        try:
            stream = await self._ask(request)
            async with contextlib.aclosing(aiter(stream)) as chunks:
                async for chunk in chunks:
                    heard.add(chunk, self._clock())
        except Exception as error:  # becomes this request's own error, on record
            reason = describe(error)
            if is_for_all(error):
                raise GenerationError(reason) from error
            if is_the_servers(error) and (why := await asyncio.to_thread(self._gone)) is not None:
                raise GenerationError(why) from error
            return self._failed(request, reason, queued_s, sent_s)
        if (wrong := _incomplete(heard)) is not None:
            return self._failed(request, wrong, queued_s, sent_s)
        times = Times(queued_s, _started_s(heard, sent_s), heard.first_token_s, heard.finished_s)
        if heard.token_ids is not None:
            completion = self._codec.completion(request, heard.token_ids, times)
        else:
            completion = self._codec.text_completion(request, heard.answer(), times)
        measured = {
            "sent_s": sent_s,
            "cached_prompt_tokens": heard.cached_prompt_tokens,
            "token_gaps": heard.token_gaps(),
        }
        return completion.model_copy(update=measured)

    async def _ask(self, request: GenerationRequest) -> Any:
        target = self._target
        said = body(request, target.mode, target.software, self._codec.stop_token_ids)
        said["extra_body"] |= {
            target.max_tokens_field: request.sampling.max_new_tokens,
            **target.extra_body,
        }
        client = self._client
        ask = client.completions if target.mode == "tokens" else client.chat.completions
        return await ask.create(model=target.model, **said)

    def _failed(
        self, request: GenerationRequest, reason: str, queued_s: float, sent_s: float
    ) -> Completion:
        times = Times(queued_s, sent_s, None, self._clock())
        return self._codec.failed(request, reason, times).model_copy(update={"sent_s": sent_s})


def _incomplete(heard: Heard) -> str | None:
    """Why an answer cannot count, None for a whole one."""
    if heard.finish_reason not in ENDINGS:
        return f"the server ended it with {heard.finish_reason or 'no reason given'}"
    if heard.completion_tokens is None:
        return "the server reported no token usage (stream_options.include_usage)"
    if heard.token_ids is not None and len(heard.token_ids) != heard.completion_tokens:
        return (
            f"the server sent {len(heard.token_ids)} tokens and counted {heard.completion_tokens}"
        )
    return None


def _started_s(heard: Heard, sent_s: float) -> float:
    """When the engine began: by the server's own measure where it tells, else when it was sent."""
    if heard.prefill_s is None or heard.first_token_s is None:
        return sent_s
    return max(sent_s, heard.first_token_s - heard.prefill_s)


def secret_header(setting: str, variable: str) -> str:
    """What an environment variable holds for a header, without the white space at its ends.

    From here on it is struck out of every message (``keep_secret``).

    Args:
        setting: The dotted key that named the variable.
        variable: Its name.

    Raises:
        ConfigError: It is not set, or holds what no header can.
    """
    where = f"{setting}={shown_variable(variable)}"
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ConfigError(
            f"{where}: that environment variable is not set or empty; it should hold the server's "
            "key"
        )
    keep_secret(value)
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(
            f"{where}: the value of that environment variable cannot be sent, for it has a line "
            "break or a character that is not ASCII in it; set it to the key alone"
        )
    return value


def describe(error: BaseException) -> str:
    """An error in one line, without keys: a server may quote what it refuses."""
    status = getattr(error, "status_code", None)
    said = getattr(error, "body", None)
    if isinstance(said, dict):
        said = said.get("message") or said.get("detail") or said.get("error") or said
    text = redact(" ".join(str(said or error.__cause__ or error).split()))[:300]
    text = text or type(error).__name__
    return text if status is None else f"HTTP {status}: {text}"


def is_for_all(error: BaseException) -> bool:
    """Whether every other request would end the same way."""
    status = getattr(error, "status_code", None)
    return status in NO_ENTRY or getattr(error, "code", None) == "insufficient_quota"


def is_the_servers(error: BaseException) -> bool:
    """Whether it may mean that the server itself is gone."""
    status = getattr(error, "status_code", None)
    return status is None or status >= 500  # noqa: PLR2004 - server errors
