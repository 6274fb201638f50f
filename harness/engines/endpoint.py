"""An OpenAI-compatible endpoint: sends one request, and again where a retry can help."""

import asyncio
import contextlib
import json
import os
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, NamedTuple

from harness.engines.base import Clock
from harness.engines.pace import Pace
from harness.engines.refusals import RefusalJudge
from harness.engines.request_error import RequestError, of_response, of_transport, one_line
from harness.engines.wire import PATHS, Heard, Mode, body, without
from harness.errors import ConfigError, GenerationError, UnavailableError
from harness.io.redaction import keep_secret, shown_variable
from harness.models.chat_tokenizer import Codec, Times
from harness.records import Completion, GenerationRequest

# A server that is there accepts a connection at once; one that is not may never refuse it.
CONNECT_LIMIT_S = 10.0
# Seconds to read on after the end of an answer, so that its connection can be used again.
CLOSING_LIMIT_S = 1.0


class Link(NamedTuple):
    """How to reach a server."""

    base_url: str
    """The server's URL, up to and with ``/v1``."""
    headers: Mapping[str, str]
    """Headers of every request, the API key included."""
    silence_limit_s: float | None
    """Seconds to wait for the next byte of an answer."""
    verify: ssl.SSLContext | bool = True
    """The certificates that are trusted; False trusts any."""
    is_own: bool = False
    """Whether the server is on this machine, so that no proxy is used."""


class Target(NamedTuple):
    """The model and options of the requests to a server."""

    mode: Mode
    model: str
    """The model's name at the server."""
    software: str
    """``vllm``, ``sglang`` or ``llamacpp``; ``unknown`` where the server does not show it."""
    max_tokens_field: str = "max_tokens"
    extra_body: dict[str, Any] = {}  # noqa: RUF012 - never written to
    omitted: Collection[str] = ()
    """Request fields that are left out."""


class Attempts(NamedTuple):
    """How often a request was sent, and when last."""

    retries: int
    sent_s: float
    waited_s: float
    """Seconds from the request's turn to its last attempt."""


def bearer(api_key: str) -> dict[str, str]:
    """The authorization header with the key."""
    return {"Authorization": f"Bearer {api_key}"}


def secret_header(setting: str, variable: str) -> str:
    """The value of a header from an environment variable, without surrounding white space.

    From here on it is removed from every message (``keep_secret``).

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


def get_text(url: str, limit_s: float, *, is_own: bool) -> str | None:
    """A text that the server offers beside its API; None without a complete, successful answer.

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
    """An ``httpx2.AsyncClient``; close it in the event loop that used it."""
    import httpx2

    return httpx2.AsyncClient(
        base_url=link.base_url,
        headers=link.headers,
        timeout=httpx2.Timeout(link.silence_limit_s, connect=CONNECT_LIMIT_S),
        limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        verify=link.verify,
        trust_env=not link.is_own,
        follow_redirects=False,  # keys are for this server alone
    )


class Endpoint:
    """Sends requests to a server and turns the responses into completions."""

    def __init__(
        self,
        client: Any,
        target: Target,
        codec: Codec,
        pace: Pace,
        clock: Clock,
        gone: Callable[[], str | None],
    ) -> None:
        """Sends nothing yet.

        Args:
            client: From ``open_client``.
            target: What is asked.
            codec: The model's.
            pace: When.
            clock: The run's.
            gone: Why the server cannot go on, None when it can; asked after a failure.
        """
        self._client = client
        self._target = target
        self._codec = codec
        self._pace = pace
        self._clock = clock
        self._gone = gone
        self._refusals = RefusalJudge(target.mode)
        self._hearing: set[Heard] = set()
        """Answers that are being received."""

    def tokens_under_way(self) -> int | None:
        """Tokens of the answers being received; None where the server sends no token ids."""
        counts = [heard.tokens_so_far for heard in list(self._hearing)]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def expect_refusals(self) -> None:
        """Marks a resumed run: it has answers, so a first refusal concerns its request alone."""
        self._refusals.expect_refusals()

    async def answer(self, request: GenerationRequest, queued_s: float) -> Completion | None:
        """The completion of one request; None if everything stopped before it was sent.

        Raises:
            GenerationError: The server is gone.
            UnavailableError: The server refuses every request with this key, account or mode.
        """
        turn_s, retries = self._clock(), 0
        if not await self._pace.turn():
            return None
        number = self._refusals.sent()
        while True:
            sent_s = self._clock()
            attempts = Attempts(retries, sent_s, sent_s - turn_s)
            heard = Heard()
            self._hearing.add(heard)
            try:
                await self._hear(request, heard)
            except RequestError as error:
                wait_s = self._pace.before_retry_s(error, retries, request.seed)
                if wait_s is None or not await self._pace.turn(wait_s):
                    if (why := self._refusals.failed(number, error)) is not None:
                        raise UnavailableError(why) from error
                    return await self._given_up(request, error, queued_s, attempts)
                retries += 1
            else:
                self._refusals.answered()
                return self._completion(request, heard, queued_s, attempts)
            finally:
                self._hearing.discard(heard)

    async def _hear(self, request: GenerationRequest, heard: Heard) -> None:
        """Makes one attempt.

        Raises:
            RequestError: It failed; ``heard`` counts for nothing then.
        """
        import httpx2

        target = self._target
        fields = {
            "model": target.model,
            **body(request, target.mode, target.software, self._codec),
            target.max_tokens_field: request.sampling.max_new_tokens,
        }
        payload = {**without(fields, target.omitted), **target.extra_body}
        try:
            async with self._client.stream("POST", PATHS[target.mode], json=payload) as response:
                if response.status_code != HTTPStatus.OK:
                    raise of_response(
                        response.status_code, response.headers, await response.aread()
                    )
                await self._read(response, heard)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise of_transport(error, self._client.timeout.read) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            reason = f"the server's answer cannot be read ({type(error).__name__}: {error})"
            raise RequestError(one_line(reason)) from error
        if (wrong := _incomplete(heard, request.sampling.max_new_tokens)) is not None:
            raise wrong

    async def _read(self, response: Any, heard: Heard) -> None:
        """Reads an answer, in one piece or streamed."""
        import httpx2

        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            content = await response.aread()
            try:
                whole = json.loads(content)
            except ValueError:
                raise of_response(response.status_code, {}, content) from None
            heard.add_whole(whole, self._clock())
            return
        async with contextlib.aclosing(_events(response)) as events:
            async for event in events:
                if event.data.strip() == "[DONE]":
                    heard.is_whole = True
                    break
                if event.data:
                    heard.add(json.loads(event.data), self._clock())
            with contextlib.suppress(TimeoutError, httpx2.HTTPError):
                async with asyncio.timeout(CLOSING_LIMIT_S):
                    async for _ in events:
                        pass

    def _completion(
        self, request: GenerationRequest, heard: Heard, queued_s: float, attempts: Attempts
    ) -> Completion:
        started_s = _started_s(heard, attempts.sent_s)
        times = Times(queued_s, started_s, heard.first_token_s, heard.finished_s)
        if heard.token_ids is not None:
            completion = self._codec.completion(request, heard.token_ids, times)
        else:
            answer = heard.answer(request.sampling.max_new_tokens)
            completion = self._codec.text_completion(request, answer, times)
        measured = {
            **attempts._asdict(),
            "cached_prompt_tokens": heard.cached_prompt_tokens,
            "token_gaps": heard.token_gaps(),
        }
        return completion.model_copy(update=measured)

    async def _given_up(
        self, request: GenerationRequest, error: RequestError, queued_s: float, attempts: Attempts
    ) -> Completion:
        """A failed completion; raises if the server is gone."""
        if error.is_of_server and (why := await asyncio.to_thread(self._gone)) is not None:
            raise GenerationError(why) from error
        reason = self._pace.why_not_again(error, attempts.retries)
        times = Times(queued_s, attempts.sent_s, None, self._clock())
        failed = self._codec.failed(request, self._refusals.with_hint(reason, error), times)
        return failed.model_copy(update=attempts._asdict())


async def _events(response: Any) -> AsyncGenerator[Any, None]:
    """The server-sent events of a response."""
    import httpx2

    async for event in httpx2.EventSource(response, None):
        yield event


def _incomplete(heard: Heard, max_new_tokens: int) -> RequestError | None:
    """Why an answer is incomplete; None for a complete one."""
    if heard.token_ids is not None and heard.completion_tokens is None:
        heard.completion_tokens = len(heard.token_ids)
    if heard.finish_reason is None and not heard.is_whole:
        return RequestError("the connection ended before the answer", can_retry=True, is_lost=True)
    if heard.ended(max_new_tokens) is None:
        if heard.finish_reason is not None:
            return RequestError(one_line(f"the server ended the answer with {heard.finish_reason}"))
        if heard.is_empty:
            return RequestError("the server sent no answer")
        return RequestError(
            "the server gave neither a finish reason nor a number of tokens, so whether the answer "
            "was cut off is unknown"
        )
    if heard.token_ids is not None and len(heard.token_ids) != heard.completion_tokens:
        return RequestError(
            f"the server sent {len(heard.token_ids)} tokens and counted {heard.completion_tokens}"
        )
    return None


def _started_s(heard: Heard, sent_s: float) -> float:
    """When the engine began, by the server's own measure; without one, the sending time."""
    if heard.prefill_s is None or heard.first_token_s is None:
        return sent_s
    return max(sent_s, heard.first_token_s - heard.prefill_s)
