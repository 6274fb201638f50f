"""A running server, attached to through the ``openai`` client.

Its hardware and weights are known only to its operator, so they are recorded as unknown, and its
times are not comparable with those of an engine that has a machine to itself.

What it runs on, and which weights it serves, only its operator knows: they are unknown here, and
no time of it is comparable with that of an engine that has its machine for itself.
"""

import asyncio
import contextlib
import json
import logging
import re
import ssl
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from harness.engines.base import Clock, EngineInputs, refuse_unfit
from harness.engines.config import BaseEngineConfig
from harness.engines.endpoint import (
    CONNECT_LIMIT_S,
    Endpoint,
    Link,
    Target,
    bearer,
    open_client,
    secret_header,
)
from harness.engines.event_loop import answer_all, event_loop, wait_for
from harness.engines.model_list import Served, find_model, get, why_gone
from harness.engines.open_files import room_for
from harness.engines.pace import Pace, Sleep
from harness.engines.serving_metrics import Meter
from harness.engines.vllm_settings import of_server
from harness.engines.wire import OF_TRANSPORT, OFF, TAKES_MORE, Mode, Omittable, beyond_openai
from harness.errors import ConfigError, UnavailableError
from harness.io.redaction import describe_secret, shown_variable
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import Completion, EngineInfo, GenerationRequest, Setting

log = logging.getLogger(__name__)

# Each is decided elsewhere in the configuration; two answers to one question could disagree.
NOT_IN_EXTRA_BODY = {
    "model": "engine.served_model",
    "prompt": "tasks",
    "messages": "tasks",
    "n": "protocol.samples_per_problem",
    "seed": "seed",
    "stream": "engine.omit=[stream]",
    "temperature": "protocol.temperature",
    "top_p": "protocol.top_p",
    "top_k": "protocol.top_k",
    "stop": "protocol.stop",
    "max_tokens": "protocol.max_new_tokens",
    "max_completion_tokens": "protocol.max_new_tokens",
}


_SECRET_HEADER = re.compile(r"authorization|key|token|secret|cookie|passw|credential", re.I)


class OpenaiConfig(BaseEngineConfig):
    """Settings of the attached server."""

    kind: Literal["openai"]
    base_url: str
    """The server's URL, up to and with ``/v1``."""
    mode: Mode = "tokens"
    """tokens: ``/v1/completions`` with token ids, for vLLM and SGLang; text: the same with the
    rendered prompt as text, which the server tokenizes; chat: ``/v1/chat/completions``, where the
    server applies its own template."""
    served_model: str | None = None
    """The model's name at the server; None: the only model that it has."""
    api_key_env: str | None = None
    """The environment variable that holds the key; white space around the key is left out."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Requests in progress at once."""
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    """Requests per minute, retries included; None: no limit."""
    max_retries: Annotated[int, Field(ge=0, le=100)] = 7
    """Retries of a request that the server refused for now (408, 409, 425, 429, 5xx) or lost."""
    max_retry_wait_s: Annotated[float, Field(gt=0)] = 600.0
    """A request fails when the server's Retry-After is longer than this."""
    silence_limit_s: Annotated[float, Field(gt=0)] = 1800.0
    """A request fails, without a retry, when the server sends nothing for this long."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers of every request; they are recorded, so they may hold nothing secret."""
    headers_env: dict[str, str] = Field(default_factory=dict)
    """Headers by the environment variables that hold their values; the values are not recorded."""
    ca_file: str | None = None
    """A PEM file of certificates to trust; None: the system's."""
    verify: bool = True
    """Whether to check the server's certificate; False trusts any."""
    omit: tuple[Omittable, ...] = ()
    """Request fields to leave out, so that the server's own values apply."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The field of a request that holds the token limit."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further request fields that the server understands."""
    device: Literal["remote", "cpu", "cuda"] = "remote"
    """The server's hardware, if the user knows it."""
    device_name: str | None = None
    """The server's device, for prices and tables; null: unknown."""
    device_count: Annotated[int, Field(ge=1)] = 1
    """Number of these devices."""

    is_local: ClassVar[bool] = False

    @field_validator("base_url")
    @classmethod
    def _is_a_plain_url(cls, base_url: str) -> str:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("should be a URL such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "should hold no user, password or query: it is written to the manifest; name the "
                "variable that holds a key in engine.api_key_env"
            )
        return base_url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _is_no_key(cls, name: str | None) -> str | None:
        if name is not None and (
            describe_secret(name) or not re.fullmatch(r"[A-Za-z_]\w*", name, re.A)
        ):
            raise ValueError(
                "should be the name of an environment variable that holds the key, not the key"
            )
        return name

    @field_validator("extra_body")
    @classmethod
    def _says_nothing_twice(cls, extra_body: dict[str, Any]) -> dict[str, Any]:
        if twice := sorted(extra_body.keys() & NOT_IN_EXTRA_BODY.keys()):
            raise ValueError(f"{twice[0]} is not set here but by {NOT_IN_EXTRA_BODY[twice[0]]}")
        return extra_body

    @field_validator("headers")
    @classmethod
    def _holds_no_secret(cls, headers: dict[str, str]) -> dict[str, str]:
        if secret := [name for name in headers if _SECRET_HEADER.search(name)]:
            raise ValueError(
                f"{secret[0]}: its value would be recorded; give the name of an environment "
                f"variable that holds it, in engine.headers_env.{secret[0]}"
            )
        return headers

    @model_validator(mode="after")
    def _trusts_in_one_way(self) -> Self:
        if self.ca_file is not None and not self.verify:
            raise ValueError("ca_file is not read with verify=false; leave one of them out")
        return self

    def build(self, given: EngineInputs) -> "OpenaiEngine":
        """Builds the engine; a running server's log is not recorded."""
        return OpenaiEngine(self, given.model, given.codec, given.clock, given.max_model_len)

    @property
    def renders_prompts(self) -> bool:
        """True in chat mode, where the server applies its template."""
        return self.mode == "chat"

    @property
    def sent_at_once(self) -> int:
        """The setting ``concurrency``."""
        return self.concurrency

    @property
    def omitted(self) -> tuple[str, ...]:
        """The setting ``omit``."""
        return self.omit

    @property
    def sampling_omitted(self) -> tuple[str, ...]:
        """Sampling fields that are left to the server and can change an answer, in order."""
        return tuple(sorted(set(self.omit) - OF_TRANSPORT))


class OpenaiEngine:
    """Keeps a number of requests under way at the server, and yields each as it ends."""

    def __init__(
        self,
        config: OpenaiConfig,
        model: ResolvedModel,
        codec: Codec,
        clock: Clock,
        max_model_len: int,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._config = config
        self._source = model
        self._codec = codec
        self._clock = clock
        self._max_model_len = max_model_len
        self._link = _link(config)
        self._pace = Pace(
            clock,
            max_retries=config.max_retries,
            longest_wait_s=config.max_retry_wait_s,
            requests_per_minute=config.requests_per_minute,
            sleep=sleep,
        )
        self._root = config.base_url.removesuffix("/v1")
        self._resources = contextlib.ExitStack()
        self._served: Served
        self._endpoint: Endpoint
        self._meter: Meter
        self._settings: dict[str, Setting] = {}
        self._at_once = 0

    def __enter__(self) -> Self:
        """Finds the model at the server; loads nothing."""
        if not self._config.verify:
            log.warning("engine.verify=false: the server's certificate is not checked")
        self._served = self._probe()
        context = self._served.context_tokens
        if context is not None and context < self._max_model_len:
            raise UnavailableError(
                f"engine.base_url={self._config.base_url}: the server's context is {context} "
                f"tokens, the protocol needs {self._max_model_len}; start it with more "
                "(--max-model-len) or lower protocol.max_new_tokens"
            )
        config = self._config
        target = Target(
            mode=config.mode,
            model=self._served.model,
            software=self._served.software,
            max_tokens_field=config.max_tokens_field,
            extra_body=config.extra_body,
            omitted=config.omit,
        )
        self._at_once = room_for(config.concurrency)
        with contextlib.ExitStack() as resources:
            self._loop = resources.enter_context(event_loop("openai"))
            client = open_client(self._link, self._at_once)
            resources.callback(lambda: wait_for(client.aclose(), self._loop))
            self._endpoint = Endpoint(
                client, target, self._codec, self._pace, self._clock, partial(why_gone, self._link)
            )
            self._meter = Meter(self._metrics)
            metrics = self._metrics()
            self._settings = of_server("", metrics, {}) if metrics else {}
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connections; the server keeps running."""
        self._resources.close()

    def info(self) -> EngineInfo:
        """The facts known about the server."""
        return EngineInfo(
            name="openai",
            version=self._served.version,
            device=self._config.device,
            device_name=self._config.device_name or "unknown",
            device_count=self._config.device_count,
            dtype="unknown",
            model_path=self._served.model,
            weights_revision=None,
            weights_sha256=None,
            load_s=None,
            max_concurrency=self._at_once,
            peak_memory_bytes=None,
            peak_memory_source="the server is not ours",
            serving=self._meter.stats(),
            settings=self._settings,
        )

    def restart_counters(self) -> None:
        """Resets the counters."""
        self._meter = Meter(self._metrics)

    def expect_refusals(self) -> None:
        """Marks a resumed run: it has answers, so a first refusal concerns its request alone."""
        self._endpoint.expect_refusals()

    def tokens_under_way(self) -> int | None:
        """Tokens of unfinished answers; None where the server sends no token ids."""
        return self._endpoint.tokens_under_way()

    def stop(self) -> None:
        """Sends no further request; ``generate`` ends with those under way."""
        self._loop.call_soon_threadsafe(self._pace.stop)

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields each completion as soon as it ends."""
        if requests:
            _refuse_contradicted(requests[0], self._config)
        _refuse_unknown(requests, self._served, self._config)
        now = self._clock()
        limit = min(self._served.context_tokens or self._max_model_len, self._max_model_len)
        fitting, unfit = refuse_unfit(requests, limit, self._codec.failed, now)
        answer = partial(self._endpoint.answer, queued_s=now)
        with self._meter.watching():
            yield from answer_all(self._loop, fitting, answer, self._at_once, self._pace)
        yield from unfit

    def _probe(self) -> Served:
        """Finds out which model is served.

        Raises:
            UnavailableError: The server cannot be reached, the key is refused, or the model is not
                there.
        """
        config = self._config
        served = find_model(self._link, config.served_model, _where_the_key_is(config))
        return served._replace(version=self._version(served.software))

    def _version(self, software: str) -> str:
        if software != "vllm" or (text := self._get("/version")) is None:
            return software
        try:
            return f"{software} {json.loads(text)['version']}"
        except (ValueError, LookupError, TypeError):
            return software

    def _metrics(self) -> str | None:
        return self._get("/metrics") if self._served.software == "vllm" else None

    def _get(self, path: str) -> str | None:
        """A text that the server offers beside its API; None without a successful answer."""
        import httpx2

        try:
            response = get(self._link, f"{self._root}{path}", CONNECT_LIMIT_S)
        except (httpx2.HTTPError, OSError):
            return None
        return str(response.text) if response.is_success else None


def _link(config: OpenaiConfig) -> Link:
    headers = dict(config.headers)
    for name, variable in config.headers_env.items():
        headers[name] = secret_header(f"engine.headers_env.{name}", variable)
    if config.api_key_env is not None:
        headers |= bearer(secret_header("engine.api_key_env", config.api_key_env))
    return Link(config.base_url, headers, config.silence_limit_s, _trusted(config))


def _trusted(config: OpenaiConfig) -> ssl.SSLContext | bool:
    """The certificates to trust."""
    if config.ca_file is None:
        return config.verify
    try:
        return ssl.create_default_context(cafile=Path(config.ca_file).expanduser())
    except OSError as error:  # an SSLError is one
        raise ConfigError(
            f"engine.ca_file={config.ca_file}: cannot be read as certificates "
            f"({error.strerror or error}); give a PEM file"
        ) from error


# llama.cpp has its own name for one of the protocol's options.
_ITS_OPTION = {**{name: name for name in OFF}, "repeat_penalty": "repetition_penalty"}


def _refuse_contradicted(request: GenerationRequest, config: OpenaiConfig) -> None:
    """Refuses an ``extra_body`` that would override a value of the protocol.

    Raises:
        ConfigError: Names the option and both values.
    """
    # Also where the prompt is rendered here and the template's options are not sent.
    asked = {**OFF, **beyond_openai(request, "chat")}
    for name, option in _ITS_OPTION.items():
        extra = config.extra_body.get(name, asked[option])
        if extra != asked[option]:
            raise ConfigError(
                f"engine.extra_body.{name}={extra}: would be sent in place of "
                f"protocol.{option}={asked[option]}; set protocol.{option}={extra} too, or leave "
                f"engine.extra_body.{name} out"
            )


def _refuse_unknown(
    requests: Sequence[GenerationRequest], served: Served, config: OpenaiConfig
) -> None:
    """Refuses options that a server may silently ignore.

    Raises:
        ConfigError: Names the option, and how to send it anyway.
    """
    if served.software in TAKES_MORE or not requests:
        return
    for name, value in beyond_openai(requests[0], config.mode).items():
        if config.extra_body.get(name) != value:
            raise ConfigError(
                f"protocol.{name}={value}: engine.base_url={config.base_url} does not say that it "
                f"is a server that knows it (vLLM, SGLang, llama.cpp); if it does, add "
                f"engine.extra_body.{name} with the same value, else leave it out"
            )


def _where_the_key_is(config: OpenaiConfig) -> str:
    if config.api_key_env is None:
        return "engine.api_key_env should name the environment variable that holds it"
    name = shown_variable(config.api_key_env)
    return f"engine.api_key_env={name} should hold a valid one"
