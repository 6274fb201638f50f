"""A server that runs already, anywhere: it is attached to through the ``openai`` client.

What it runs on, and which weights it serves, only its operator knows: they are unknown here, and
no time of it is comparable with that of an engine that has its machine for itself.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from harness.engines.base import Clock, refuse_unfit
from harness.engines.endpoint import (
    CONNECT_LIMIT_S,
    Endpoint,
    Link,
    Target,
    describe,
    get_text,
    open_client,
    secret_header,
)
from harness.engines.event_loop import answer_all, event_loop, wait_for
from harness.engines.open_files import room_for
from harness.engines.serving_metrics import Meter
from harness.engines.vllm_settings import of_server
from harness.engines.wire import TAKES_MORE
from harness.errors import UnavailableError
from harness.models import ResolvedModel
from harness.prompts import Codec
from harness.records import Completion, EngineInfo, GenerationRequest, Record, Setting
from harness.redaction import shown_variable, why_secret

PROBE_RETRIES = 1
PROBE_LIMIT_S = 30.0
# The client refuses to work without one; servers that want none ignore it.
NO_KEY = "none"
NAMES_SHOWN = 5
# Each is decided elsewhere in the configuration; two answers to one question could disagree.
NOT_IN_EXTRA_BODY = {
    "model": "engine.served_model",
    "prompt": "tasks",
    "messages": "tasks",
    "n": "protocol.samples_per_problem",
    "seed": "seed",
    "stream": "nothing: answers are always streamed",
    "temperature": "protocol.temperature",
    "top_p": "protocol.top_p",
    "top_k": "protocol.top_k",
    "max_tokens": "protocol.max_new_tokens",
    "max_completion_tokens": "protocol.max_new_tokens",
}


class OpenaiConfig(Record):
    """Knobs of the attached server."""

    kind: Literal["openai"]
    base_url: str
    """Up to and with ``/v1``."""
    mode: Literal["tokens", "chat"] = "tokens"
    """tokens: ``/v1/completions`` with token ids, for vLLM and SGLang; chat:
    ``/v1/chat/completions``, where the server applies its own template."""
    served_model: str | None = None
    """Its name there; None: the only one that there is."""
    api_key_env: str | None = None
    """The environment variable that holds the key; white space around the key is left out."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 32
    max_retries: Annotated[int, Field(ge=0, le=100)] = 5
    """Of a request that the server refused for now (408, 409, 429, 5xx) or lost."""
    silence_limit_s: Annotated[float, Field(gt=0)] = 3600.0
    """A request that hears nothing for so long is given up."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Whatever else the server understands, sent with every request."""
    device: Literal["remote", "cpu", "cuda"] = "remote"
    """What the server runs on, where the user knows it."""
    device_name: str | None = None
    device_count: Annotated[int, Field(ge=1)] = 1

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
        if name is not None and (why_secret(name) or not re.fullmatch(r"[A-Za-z_]\w*", name, re.A)):
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


class Served(NamedTuple):
    """What the server says of the model."""

    model: str
    software: str
    version: str
    context_tokens: int | None


class OpenaiEngine:
    """Sends the server so many requests at a time, and yields each as it ends."""

    def __init__(
        self,
        config: OpenaiConfig,
        model: ResolvedModel,
        codec: Codec,
        clock: Clock,
        max_model_len: int,
    ) -> None:
        self._config = config
        self._source = model
        self._codec = codec
        self._clock = clock
        self._max_model_len = max_model_len
        self._key = _key(config)
        self._root = config.base_url.removesuffix("/v1")
        self._resources = contextlib.ExitStack()
        self._served: Served
        self._endpoint: Endpoint
        self._meter: Meter
        self._settings: dict[str, Setting] = {}
        self._at_once = 0

    def __enter__(self) -> Self:
        """Finds the model at the server; loads nothing."""
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
        )
        self._at_once = room_for(config.concurrency)
        with contextlib.ExitStack() as resources:
            self._loop = resources.enter_context(event_loop("openai"))
            client = open_client(self._link(config.max_retries), self._at_once)
            resources.callback(lambda: wait_for(client.close(), self._loop))
            self._endpoint = Endpoint(client, target, self._codec, self._clock, self._why_gone)
            self._meter = Meter(self._metrics)
            told = self._metrics()
            self._settings = of_server("", told, {}) if told else {}
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connections; the server goes on."""
        self._resources.close()

    def info(self) -> EngineInfo:
        """What is known of the server."""
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
        """Counts from here on."""
        self._meter = Meter(self._metrics)

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields each completion as soon as it ends."""
        now = self._clock()
        limit = self._served.context_tokens
        fitting = list(requests)
        if limit is not None:
            fitting = yield from refuse_unfit(requests, limit, self._codec.failed, now)
        answer = partial(self._endpoint.answer, queued_s=now)
        with self._meter.watching():
            yield from answer_all(self._loop, fitting, answer, self._at_once)

    def _link(self, max_retries: int) -> Link:
        config = self._config
        return Link(config.base_url, self._key, max_retries, config.silence_limit_s)

    def _probe(self) -> Served:
        """Asks what is served.

        Raises:
            UnavailableError: Nobody answers, the key is refused, or the model is not there.
        """
        import openai

        config = self._config
        where = f"engine.base_url={config.base_url}"
        client = openai.OpenAI(
            base_url=config.base_url,
            api_key=self._key,
            max_retries=PROBE_RETRIES,
            timeout=openai.Timeout(PROBE_LIMIT_S, connect=CONNECT_LIMIT_S),
        )
        try:
            with client:
                models = client.models.list().data
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise UnavailableError(
                f"{where}: the server refuses the key ({describe(error)}); "
                f"{_where_the_key_is(config)}"
            ) from error
        except openai.NotFoundError as error:
            raise UnavailableError(
                f"{where}: no OpenAI-compatible API there (it has no /models); the URL usually "
                "ends in /v1"
            ) from error
        except (openai.APIError, ValueError, AttributeError, TypeError) as error:
            raise UnavailableError(
                f"{where}: {describe(error)}; give the URL of a running server, with /v1 at its end"
            ) from error
        names = [str(model.id) for model in models or ()]
        name = _chosen(names, config)
        chosen = models[names.index(name)]
        software = _software(getattr(chosen, "owned_by", None))
        return Served(
            model=name,
            software=software,
            version=self._version(software),
            context_tokens=getattr(chosen, "max_model_len", None),
        )

    def _why_gone(self) -> str | None:
        try:
            self._probe()
        except UnavailableError as error:
            return str(error)
        return None

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
        """What the server says beside its API, None where it says nothing."""
        return get_text(f"{self._root}{path}", CONNECT_LIMIT_S, is_own=False)


def _key(config: OpenaiConfig) -> str:
    name = config.api_key_env
    return NO_KEY if name is None else secret_header("engine.api_key_env", name)


def _where_the_key_is(config: OpenaiConfig) -> str:
    if config.api_key_env is None:
        return "engine.api_key_env should name the environment variable that holds it"
    name = shown_variable(config.api_key_env)
    return f"engine.api_key_env={name} should hold a valid one"


def _chosen(names: Sequence[str], config: OpenaiConfig) -> str:
    if config.served_model in names or (config.served_model is None and len(names) == 1):
        return config.served_model or names[0]
    shown = ", ".join(names[:NAMES_SHOWN]) or "no model"
    if len(names) > NAMES_SHOWN:
        shown += f" and {len(names) - NAMES_SHOWN} more"
    raise UnavailableError(
        f"engine.served_model={config.served_model}: engine.base_url={config.base_url} serves "
        f"{shown}; name one of those"
    )


def _software(owner: object) -> str:
    """What the server is, by what it says owns its models; hosted APIs name themselves there."""
    return owner if isinstance(owner, str) and owner in TAKES_MORE else "unknown"
