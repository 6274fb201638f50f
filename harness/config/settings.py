"""The run's configuration, the only place where Hydra's output is read.

Hydra composes YAML; pydantic checks all of it at once; after that there is one frozen record and
OmegaConf is not seen again. Defaults live in ``conf/``, types, ranges and cross rules here.
"""

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from harness.config.pricing import Pricing
from harness.engines.build import EngineConfig
from harness.errors import ConfigError, TaskError
from harness.io.mistakes import mistakes
from harness.io.redaction import describe_secret, is_secret_name, is_variable_name
from harness.models import ModelConfig, RemoteModel
from harness.models.chat_tokenizer import TEMPLATE_DATE, PromptOptions
from harness.records import Record, Sampling
from harness.scorers.answers.marks import as_protocol_field
from harness.scorers.sandbox.config import SandboxConfig
from harness.stats.assumed import PUBLISHED_SAMPLES
from harness.tasks import BEFORE_ANSWER, Selection, Shots, Task, known_selection, parse_selection

Fraction = Annotated[float, Field(ge=0, le=1)]
NotEmpty = Annotated[str, Field(min_length=1)]


OF_THE_HARNESS = frozenset(
    {
        "add_generation_prompt",
        "bos_token",
        "chat_template",
        "continue_final_message",
        "conversation",
        "eos_token",
        "messages",
        "padding",
        "return_dict",
        "return_tensors",
        "strftime_now",
        "tokenize",
        "truncation",
    }
)
"""Arguments of a chat template that a user may not set."""


class ProtocolConfig(Record):
    """How the model is asked; all but ``name`` is part of the protocol fingerprint."""

    name: str
    """The name in tables."""
    temperature: Annotated[float, Field(ge=0, le=10)]
    """The sampling temperature; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)]
    """Sample from the most likely tokens whose probabilities add up to this; 1 is off."""
    top_k: Annotated[int, Field(ge=1)] | None
    """Sample from the k most likely tokens only; null: off."""
    max_new_tokens: Annotated[int, Field(ge=1)]
    """The longest answer, thinking included, in tokens."""
    max_prompt_tokens: Annotated[int, Field(ge=1)]
    """The longest prompt, in tokens. The context length is this plus ``max_new_tokens``."""
    samples_per_problem: Annotated[int, Field(ge=1)]
    """Answers to each problem."""
    chat: bool
    """Use the model's chat template."""
    force_think: bool
    """End the prompt with ``<think>`` if the template does not."""
    date: datetime.date = TEMPLATE_DATE
    """Today's date for chat templates that print it (``strftime_now``)."""
    system_prompt: Annotated[str, Field(min_length=1)] | None = None
    """The system prompt; without a chat template, text before everything else. null: none."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end an answer, wherever they occur; they are not part of the answer."""
    min_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Drop tokens below this share of the most likely token's probability; null or 0: off."""
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    """Divide the logits of tokens that have occurred by this; null or 1: off."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables of the chat template, such as ``enable_thinking``."""
    fewshot: Annotated[int, Field(ge=0)] = 0
    """Number of solved examples before the question, from the task's ``fewshot``."""
    fewshot_as_multiturn: bool | None = None
    """Show examples as turns of user and assistant; null: with ``chat`` only, else as text."""
    fewshot_seed: Annotated[int, Field(ge=0)] = 0
    """The seed of the draw of examples, where the task has more than are shown."""
    fewshot_file: Annotated[str, Field(min_length=1)] | None = None
    """Rows with ``question`` and ``answer`` in place of the task's own examples, or a folder with a
    file ``TASK.jsonl`` for each task; null: the task's."""

    @field_validator("min_p", "repetition_penalty", mode="before")
    @classmethod
    def _off_is_none(cls, value: Any, info: ValidationInfo) -> Any:
        off = 0 if info.field_name == "min_p" else 1
        return None if value == off and not isinstance(value, bool) else value

    @field_validator("stop", mode="before")
    @classmethod
    def _is_a_list(cls, stop: Any) -> Any:
        if isinstance(stop, str):
            raise ValueError("should be a list of texts, such as protocol.stop=['Question:']")
        return () if stop is None else stop

    @field_validator("chat_template_kwargs", mode="before")
    @classmethod
    def _none_is_empty(cls, kwargs: Any) -> Any:
        return {} if kwargs is None else kwargs

    @field_validator("chat_template_kwargs")
    @classmethod
    def _are_free(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(kwargs.keys() & OF_THE_HARNESS):
            raise ValueError(f"{taken[0]} is decided by the harness and cannot be set here")
        return kwargs

    @model_validator(mode="after")
    def _has_a_template(self) -> Self:
        if self.chat_template_kwargs and not self.chat:
            raise ValueError("chat_template_kwargs need chat=true: a bare text has no template")
        if self.fewshot_file is not None and not self.fewshot:
            raise ValueError(
                f"fewshot_file={self.fewshot_file} needs fewshot, the number of examples to show"
            )
        if self.fewshot_as_multiturn and not self.chat:
            raise ValueError("fewshot_as_multiturn=true needs chat=true: a bare text has no turns")
        return self

    @property
    def sampling(self) -> Sampling:
        """The sampling parameters of each request."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_new_tokens=self.max_new_tokens,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            stop=self.stop,
        )

    def prompt_options(self, task: Task | None = None) -> PromptOptions:
        """The prompt options beside the task's own text; without a task there are no examples."""
        return PromptOptions(
            system_prompt=self.system_prompt,
            template_kwargs=self.chat_template_kwargs,
            examples=() if task is None else task.examples,
            before_answer=BEFORE_ANSWER if task is None else task.before_answer,
            has_turns=self.has_turns,
            today=self.date,
        )

    @property
    def shots(self) -> Shots | None:
        """Which examples of a task are shown; None: none."""
        return Shots(self.fewshot, self.fewshot_seed, self.fewshot_file) if self.fewshot else None

    @property
    def has_turns(self) -> bool:
        """Whether few-shot examples are separate turns."""
        if self.fewshot_as_multiturn is None:
            return self.chat
        return self.fewshot_as_multiturn

    @property
    def options(self) -> dict[str, Any]:
        """The options that are off by default and set here: name to value, as the user gave it."""
        named = {
            "system_prompt": self.system_prompt,
            "stop": list(self.stop) or None,
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "chat_template_kwargs": self.chat_template_kwargs or None,
            "fewshot": self.fewshot or None,
            "fewshot_as_multiturn": self.has_turns if self.fewshot else None,
        }
        return {name: value for name, value in named.items() if value is not None}

    @property
    def context_tokens(self) -> int:
        """Context length in tokens: prompt budget plus output budget."""
        return self.max_prompt_tokens + self.max_new_tokens


class ScoringConfig(Record):
    """How scoring runs. Only its time limit can change a verdict."""

    workers: Annotated[int, Field(ge=1)] | None
    """Worker processes per scorer; null: one per two cores, at least one."""
    math_limit_s: Annotated[float, Field(gt=0)]
    """Seconds after which one maths comparison is killed."""


class LimitsConfig(Record):
    """Limits of a valid run: one that exceeds them ends with exit status 4."""

    max_error_fraction: Fraction
    """The largest share of requests that may end in an error."""
    max_truncated_fraction: Fraction
    """The largest share of answers that may be cut off at the token limit."""
    stop_at_error_fraction: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    """The run stops, and can be resumed, when more than this share of its finished requests (at
    least 20) failed; null: never."""


class RequiresConfig(Record):
    """The smallest machine for an experiment: a smaller one would give another result."""

    gpus: Annotated[int, Field(ge=1)]
    """Number of NVIDIA GPUs that the process may use."""
    gpu_memory_bytes: Annotated[int, Field(ge=1)] | None = None
    """Memory of each GPU; null: any."""


class PurposeConfig(Record):
    """The question that a run should decide about one task; only ``--dry-run`` reads it."""

    published_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The published score to compare this run's score with."""
    margin_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The largest difference that counts as the same."""
    expected_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The expected score; null: the published one."""
    expected_correlation: Annotated[float, Field(ge=0, le=1)] | None = None
    """Correlation of two samples of one problem, such as an earlier run's estimate; null: 0.5."""
    published_samples: Annotated[int, Field(ge=1)] = PUBLISHED_SAMPLES
    """Samples per problem on which the published score is assumed to rest."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.published_fraction is None) != (self.margin_fraction is None):
            raise ValueError("published_fraction and margin_fraction belong together; give both")
        return self


class NoTracker(Record):
    """Results are written to the run's folder only."""

    kind: Literal["none"] = "none"


class MlflowTracker(Record):
    """Results are also sent to MLflow."""

    kind: Literal["mlflow"]
    uri: str | None = None
    """URI of the store; null: ``MLFLOW_TRACKING_URI``, else ``mlruns/`` in the results folder."""
    experiment: Annotated[str, Field(min_length=1)] = "gegenprobe"
    """The name of the MLflow experiment."""


class WandbTracker(Record):
    """Results are also sent to Weights & Biases."""

    kind: Literal["wandb"]
    mode: Literal["offline", "online"] = "offline"
    """offline writes files in the run's folder and uses no network."""
    project: Annotated[str, Field(min_length=1)] = "gegenprobe"
    """The name of the Weights & Biases project."""
    entity: str | None = None
    """The user or team that owns the project; null: as wandb is set up."""


TrackerConfig = Annotated[NoTracker | MlflowTracker | WandbTracker, Field(discriminator="kind")]


class Included(Record):
    """The source of a model, task or other item from a folder given with ``--include``."""

    folder: str
    """The folder that was included."""
    file: str
    """Path of the item's file, relative to that folder."""
    sha256: str
    """sha256 of the file."""


_TO_BE_RUN = "to be run"
"""pydantic's validation context for a configuration to run, as opposed to a recorded one."""


def _selection(text: str, info: ValidationInfo) -> Selection:
    """Does not require the task on this machine: the run may come from another one."""
    return known_selection(text) if info.context == _TO_BE_RUN else parse_selection(text)


class RunConfig(Record):
    """Everything that decides what a run does."""

    model: ModelConfig
    engine: EngineConfig
    protocol: ProtocolConfig
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    """``NAME`` or ``NAME:COUNT``."""
    pricing: Pricing
    seed: Annotated[int, Field(ge=0)]
    scoring: ScoringConfig
    sandbox: SandboxConfig
    limits: LimitsConfig
    requires: RequiresConfig | None = None
    purpose: dict[str, PurposeConfig] | None = None
    """The question to decide, by task; not all of them need be run."""
    shards: Annotated[int, Field(ge=1)] = 1
    """Number of workers that share the requests."""
    shard: Annotated[int, Field(ge=0)] | None = None
    """This worker's number, from 0; None with several shards: all of them, on this machine."""
    canary: Literal["auto", True, False] = "auto"
    """Whether known problems run first; auto: if the run has more than 100 requests."""
    plan_for: str | None = None
    """The machine of ``conf/machine`` that ``--dry-run`` plans for; null: this one."""
    offline: bool = False
    """Download nothing; list what is missing."""
    tracker: TrackerConfig = NoTracker()
    results_dir: NotEmpty | None
    data_dir: NotEmpty | None
    resume: NotEmpty | None
    retry: Literal["errors"] | None = None
    """errors: in the resumed run, send failed requests again, and grade again the answers on which
    a scorer broke."""

    included: dict[str, Included] = Field(
        default_factory=dict, exclude_if=lambda included: not included
    )
    """Items from folders given with ``--include``, by kind and name, such as ``task mysums``."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _is_a_list(cls, tasks: Any) -> Any:
        if isinstance(tasks, str):
            raise ValueError(f"a list, such as tasks=[{tasks}]")
        return tasks

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, tasks: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        names, mistakes = [], []
        for text in tasks:
            try:
                names.append(_selection(text, info).task)
            except TaskError as error:  # to be listed with the others
                mistakes.append(str(error).removeprefix("tasks: "))
        if mistakes:
            raise ValueError("; ".join(mistakes))
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"task {', '.join(twice)} is named twice")
        return tasks

    @field_validator("purpose")
    @classmethod
    def _is_of_known_tasks(
        cls, purpose: dict[str, PurposeConfig] | None, info: ValidationInfo
    ) -> dict[str, PurposeConfig] | None:
        for name in purpose or {}:
            try:
                task = _selection(name, info).task
            except TaskError as error:
                raise ValueError(str(error).removeprefix("tasks: ")) from error
            if task != name:
                raise ValueError(f"'{name}' is a subset; name the task alone, {task}")
        return purpose

    @field_validator("pricing")
    @classmethod
    def _auto_holds_no_rent(cls, pricing: Pricing) -> Pricing:
        if pricing.name == "auto" and pricing.rented is not None:
            raise ValueError(
                "pricing=auto takes the rent from the list that is for the device; give yours a "
                "pricing.name, or add a file to conf/pricing"
            )
        return pricing

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        limit, asked = self.model.context_tokens, self.protocol.context_tokens
        if limit is not None and asked > limit:
            raise ValueError(
                f"protocol.max_prompt_tokens={self.protocol.max_prompt_tokens} + "
                f"protocol.max_new_tokens={self.protocol.max_new_tokens} = {asked} tokens, but "
                f"model={self.model.name} has a context of {limit}"
            )
        if self.protocol.temperature == 0 and self.protocol.samples_per_problem > 1:
            raise ValueError(
                f"protocol.samples_per_problem={self.protocol.samples_per_problem} with "
                "protocol.temperature=0 makes the same answer again and again; use one sample "
                "or a temperature above 0"
            )
        return self

    @model_validator(mode="after")
    def _fits_the_server(self) -> Self:
        engine, protocol = self.engine, self.protocol
        is_chat = engine.renders_prompts
        if isinstance(self.model, RemoteModel) and engine.needs_tokenizer:
            raise ValueError(
                f"model={self.model.name} exists only on its server: use engine=openai with "
                "engine.mode=chat; for token ids choose a model whose tokenizer is available"
            )
        for name, value in protocol.options.items():
            if name in engine.omitted:
                raise ValueError(
                    f"engine.omit={name}: protocol.{name}={value} is set but would not be sent "
                    "to the server; remove one of the two"
                )
        if is_chat and not protocol.chat:
            raise ValueError(
                "protocol.chat=false sends the bare text, but with engine.mode=chat the server "
                "applies its template; use engine.mode=tokens"
            )
        if is_chat and protocol.force_think:
            raise ValueError(
                "protocol.force_think=true cannot reach a server that renders its own prompts; "
                "use engine.mode=tokens, or protocol.force_think=false"
            )
        return self

    @model_validator(mode="after")
    def _retries_a_run(self) -> Self:
        if self.retry is not None and self.resume in {None, "auto"}:
            raise ValueError(
                f"retry={self.retry}: name the run whose failed requests are to be asked again, "
                "resume=RUN"
            )
        return self

    @model_validator(mode="after")
    def _is_one_of_its_shards(self) -> Self:
        if self.shard is not None and self.shard >= self.shards:
            raise ValueError(
                f"shard={self.shard}: with shards={self.shards} should be 0 to {self.shards - 1}"
            )
        return self

    @property
    def is_divided(self) -> bool:
        """Whether several workers run it, one shard each."""
        return self.shards > 1 and self.shard is None

    @property
    def shard_name(self) -> str | None:
        """``3 of 8``, counted from 0; None for a whole run."""
        return None if self.shard is None else f"{self.shard} of {self.shards}"

    @property
    def selections(self) -> list[Selection]:
        """The parsed ``tasks``: names with their counts."""
        return [parse_selection(text) for text in self.tasks]

    @property
    def data_path(self) -> Path | None:
        """``data_dir`` as a path."""
        return None if self.data_dir is None else Path(self.data_dir).expanduser()


# What may differ between a run and its continuation.
NOT_IN_IDENTITY = frozenset(
    {
        "canary",
        "data_dir",
        "included",
        "offline",
        "plan_for",
        "purpose",
        "requires",
        "results_dir",
        "resume",
        "retry",
        "tracker",
    }
)


def load_run_config(composed: Mapping[str, Any]) -> RunConfig:
    """Checks a composed configuration.

    Args:
        composed: Plain dictionaries, as ``OmegaConf.to_container(config, resolve=True)`` gives.

    Raises:
        ConfigError: Lists every mistake by dotted key, with the value and what would be right.
    """
    try:
        config = RunConfig.model_validate(dict(composed), context=_TO_BE_RUN)
    except ValidationError as error:
        raise ConfigError(_describe(error)) from error
    _refuse_truths(composed, config)
    for key, value in _flat(config.model_dump(mode="json")).items():
        # The whole configuration goes into the manifest, so nothing secret may be in it.
        refuse_secret(key, value)
    return config


def _refuse_truths(composed: Mapping[str, Any], config: RunConfig) -> None:
    """Refuses ``true`` where a number belongs: it would count as 1.

    Raises:
        ConfigError: Names the keys.
    """
    given, taken = _flat(dict(composed)), _flat(config.model_dump())
    wrong = [
        f"{key}={str(value).lower()}: should be a number"
        for key, value in given.items()
        if isinstance(value, bool) and isinstance(taken.get(key), float | int)
        if not isinstance(taken[key], bool)
    ]
    if wrong:
        raise ConfigError("; ".join(wrong))


def refuse_secret(key: str, value: Any) -> None:
    """Refuses a value that is a secret, without showing it.

    Args:
        key: The dotted key.
        value: Its value.

    Raises:
        ConfigError: Names the key, and what belongs there.
    """
    if value is None or isinstance(value, bool):
        return
    name = key.rpartition(".")[2]
    is_variable = name.endswith("_key_env") or ".headers_env." in key
    if is_variable and not is_variable_name(str(value)):
        raise ConfigError(
            f"{key}: should be the name of an environment variable that is set and holds the key, "
            "such as EXAMPLE_API_KEY; what was given is not shown, for it may be the key itself"
        )
    is_named = is_secret_name(name) and not is_variable
    secret = "a secret, by its name" if is_named else describe_secret(str(value))
    if secret:
        raise ConfigError(f"{key}: holds {secret}; the manifest would keep it, so leave it out")


def differing_keys(one: RunConfig, other: RunConfig) -> list[str]:
    """Dotted keys in which two configurations differ and that can affect a result."""
    left, right = flat_config(one), flat_config(other)
    return sorted(
        key
        for key in left.keys() | right.keys()
        if left.get(key) != right.get(key) and key.partition(".")[0] not in NOT_IN_IDENTITY
    )


def flat_config(config: RunConfig) -> dict[str, Any]:
    """Values by dotted key, lists whole.

    Marks that count as none in a fingerprint count as none here.
    """
    flat = _flat(config.model_dump(mode="json"))
    if as_protocol_field(config.model.reasoning) is None:
        flat["model.reasoning"] = None
    # It names the weights' origin; which weights they are, their digest says.
    flat.pop("model.weights_of", None)
    return flat


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            key: leaf
            for name, inner in value.items()
            for key, leaf in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
        }
    return {prefix: value}


def _describe(error: ValidationError) -> str:
    lines = []
    for each in mistakes(error, branch_at={"model": 1, "engine": 1, "tracker": 1}):
        place, text = [str(part) for part in each.keys], each.text
        if each.details["type"] == "extra_forbidden":
            text = f"no such key{did_you_mean(place)}"
        shown = _shown(place[-1] if place else "", each.given)
        lines.append(f"{each.key}{shown}: {text}" if place else text)
    if len(lines) == 1:
        return lines[0]
    return f"{len(lines)} mistakes in the configuration: " + "; ".join(lines)


def _shown(name: str, given: Any) -> str:
    """``=value`` for an error message; empty for collections and where it may contain a secret."""
    if isinstance(given, dict | list | tuple) or is_secret_name(name) or name.endswith("_key_env"):
        return ""
    if name.endswith("_url"):
        given = re.split(r"[?#]", str(given))[0]
        return "" if "@" in given else f"={given}"
    return f"={given}"


def did_you_mean(place: list[str]) -> str:
    """A phrase that suggests the nearest known name, or where all names are shown."""
    import difflib

    models: dict[str, type[Record]] = {
        "": RunConfig,
        "protocol": ProtocolConfig,
        "scoring": ScoringConfig,
        "sandbox": SandboxConfig,
        "limits": LimitsConfig,
        "requires": RequiresConfig,
        "pricing": Pricing,
    }
    owner = models.get(".".join(place[:-1]))
    near = difflib.get_close_matches(place[-1], owner.model_fields, n=1) if owner else []
    if near:
        return f"; did you mean {'.'.join([*place[:-1], near[0]])}?"
    return "; harness run --cfg job shows all keys"
