"""The frozen records that flow through a run, in the order in which they come to be.

Every one crosses a file boundary, so every one is closed (an unknown key is an error), immutable
and free of NaN. A field's unit is the suffix of its name. Unknown is ``None``, never 0.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Setting = bool | int | float | str | None
"""One resolved setting of an engine; None: the engine does not report it."""


class Record(BaseModel):
    """Base of everything that is stored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


def task_of(problem_id: str) -> str:
    """The task's name, which every problem id begins with: ``math500/…/24.json`` → ``math500``."""
    return problem_id.partition("/")[0]


class RequestId(str):
    """Names one sample of one problem: ``TASK/PROBLEM#SAMPLE``, samples counted from 0.

    A string like any other in files, sets and keys, but with its parts at hand.
    """

    __slots__ = ()
    _FORM = re.compile(r"[^/]+/.+#[0-9]+", re.DOTALL)

    def __new__(cls, text: str) -> Self:
        """Checks the form.

        Raises:
            ValueError: It is another one.
        """
        if cls._FORM.fullmatch(text) is None:
            raise PydanticCustomError(
                "request_id", "{text} should be TASK/PROBLEM#SAMPLE", {"text": repr(text)}
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, problem_id: str, sample: int) -> Self:
        """The id of one sample of a problem."""
        return cls(f"{problem_id}#{sample}")

    @property
    def problem_id(self) -> str:
        """``math500/…/24.json#2`` → ``math500/…/24.json``."""
        return self.rpartition("#")[0]

    @property
    def task(self) -> str:
        """``math500/…/24.json#2`` → ``math500``."""
        return task_of(self)

    @property
    def sample(self) -> int:
        """``math500/…/24.json#2`` → 2."""
        return int(self.rpartition("#")[2])

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, handler(str))


# --- the question ---------------------------------------------------------------------------


class MathReference(Record):
    """The right answer of a maths problem."""

    kind: Literal["math"] = "math"
    answer: str
    """LaTeX, as the data set has it."""


class CodeReference(Record):
    """The reference for a code problem: the tests that a correct function passes."""

    kind: Literal["code"] = "code"
    prompt: str
    """Imports, helpers, signature and docstring that the model was shown."""
    entry_point: str
    """Name of the function that the tests call."""
    test: str
    """Source that defines ``check(candidate)``; an exception in it means failure."""


class OtherReference(Record):
    """The reference for a scorer of another package."""

    kind: Literal["other"] = "other"
    values: dict[str, str]
    """Texts of the task's ``fields``, by name."""


Reference = Annotated[MathReference | CodeReference | OtherReference, Field(discriminator="kind")]


class Problem(Record):
    """One problem of a task."""

    problem_id: str
    """Unique in the harness: ``math500/test/algebra/24.json``."""
    question: str
    reference: Reference
    subject: str | None = None
    level: int | None = None


class Example(Record):
    """A solved problem that is shown before the question."""

    example_id: str
    question: str
    answer: str
    """The model's answer in the example, as the prompt shows it."""


class Turn(Record):
    """One turn of a conversation, before any chat template."""

    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(Record):
    """A problem as the model sees it, rendered and tokenized once for every engine."""

    problem_id: str
    text: str
    """The rendered chat template, before tokenization."""
    token_ids: tuple[int, ...]
    """The rendered prompt as token ids, with exactly one beginning-of-sequence token if the
    tokenizer has one."""
    opened_think: bool
    """The prompt ends inside ``<think>``: what follows is reasoning until ``</think>``."""
    user_text: str | None = None
    """The user's text in the prompt, for a server that applies its own template."""
    earlier_turns: tuple[Turn, ...] = ()
    """Turns before the problem: the system prompt and few-shot examples."""
    template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Variables of the chat template."""


class Sampling(Record):
    """How tokens are drawn. Always passed explicitly: no engine's default is ever used."""

    temperature: Annotated[float, Field(ge=0)]
    """The temperature; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=1)] | None
    """Sample from the k most likely tokens only; None is off."""
    max_new_tokens: Annotated[int, Field(ge=1)]
    """Thinking and answer together."""
    min_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Leaves out tokens less likely than this fraction of the likeliest; None is off."""
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    """Divides the logits of tokens of the prompt and of the answer that are above 0 and multiplies
    those below, before anything else; None is off."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end an answer and are no part of it."""


class GenerationRequest(Record):
    """One sample of one problem, ready for an engine."""

    request_id: RequestId
    problem_id: str
    prompt_token_ids: tuple[int, ...]
    prompt_opened_think: bool
    sampling: Sampling
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    """The seed, derived from the run's seed and ``request_id`` only, so it does not depend on the
    subset."""
    user_text: str | None = None
    """As in ``Prompt``."""
    prompt_text: str | None = None
    """The rendered prompt, for a server that takes no token ids."""
    earlier_turns: tuple[Turn, ...] = ()
    """As in ``Prompt``, like ``template_kwargs``."""
    template_kwargs: dict[str, Any] = Field(default_factory=dict)


# --- the answer -----------------------------------------------------------------------------

FinishReason = Literal["stop", "length", "error"]


class Completion(Record):
    """An engine's answer to one request. Holds raw times only; rates are derived from them."""

    request_id: RequestId
    text: str
    """All of it, reasoning included, without the end-of-sequence token."""
    finish_reason: FinishReason
    prompt_tokens: Count | None
    """Tokens of the prompt; None where the server does not report them and the tokenizer is
    missing."""
    completion_tokens: Count | None
    """Every token that was generated, the end-of-sequence token included, padding excluded. None
    where a server does not report it."""
    reasoning_tokens: Count | None
    """Tokens of the answer up to and including the last ``</think>``. None where unknown."""
    queued_s: Seconds | None = None
    """When the harness had it ready for the engine, which is the same for all requests of a
    session. This and the other times are in seconds on the run's monotonic clock, which starts at 0
    and continues after a resume."""
    started_s: Seconds | None = None
    """When the engine began to compute it, after waiting. Where a server does not report that: when
    the HTTP request was sent."""
    first_token_s: Seconds | None = None
    finished_s: Seconds | None = None
    error: str | None = None
    """One line, when ``finish_reason`` is ``error``."""
    sent_s: Seconds | None = None
    """When the HTTP request was last sent; None for an engine without HTTP."""
    retries: Count | None = None
    """How often it was sent again; None for an engine that sends nothing, and in older records."""
    waited_s: Seconds | None = None
    """Seconds from its turn to ``sent_s``: failed attempts, waits between them, and the rate limit.
    Part of no rate and no latency. None where ``retries`` is None."""
    cached_prompt_tokens: Count | None = None
    """Prompt tokens whose keys and values came from the cache; None where the engine does not
    report them."""
    token_gaps: dict[int, Count] | None = None
    """How many tokens came how long after the one before, by bin of ``harness.io.token_gaps``; None
    where the engine reports no times of single tokens."""

    @property
    def is_failure(self) -> bool:
        """Whether the request failed and may be sent again."""
        return self.finish_reason == "error"


VerdictStatus = Literal[
    "correct", "incorrect", "no_answer", "truncated", "scorer_error", "generation_error"
]
ERROR_STATUSES: frozenset[VerdictStatus] = frozenset({"scorer_error", "generation_error"})
"""Statuses that are in no denominator, and always shown."""


class Grade(Record):
    """A scorer's judgement of one answer text, before truncation and errors are considered."""

    status: Literal["correct", "incorrect", "no_answer", "scorer_error"]
    extracted: str | None = None
    """The answer or the code that was graded, None when none was found."""
    is_complete: bool = True
    """False when the answer was cut off: an open code fence, an unbalanced box."""
    detail: str = ""
    """One line for people: the route that decided, the first failing test, the exception."""
    wall_s: Seconds = 0.0


class Verdict(Record):
    """The verdict on one completion."""

    request_id: RequestId
    status: VerdictStatus
    extracted: str | None = None
    detail: str = ""
    scorer: str
    """``math_answer@3``; the number rises whenever any verdict can change."""
    wall_s: Seconds

    @property
    def is_failure(self) -> bool:
        """Whether it may be decided again."""
        return self.status in ERROR_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample of one problem, with what the engine and the scorer recorded of it.

    Raises:
        ValueError: The completion and the verdict are of different requests.
    """

    task: str
    problem_id: str
    index: int
    """Which sample of its problem, from 0."""
    session: int = 0
    """Which process lifetime of a resumed run made it: idle time between two does not count."""
    completion: Completion
    verdict: Verdict

    def __post_init__(self) -> None:
        if self.completion.request_id != self.verdict.request_id:
            raise ValueError(
                f"the completion is of {self.completion.request_id!r}, "
                f"the verdict of {self.verdict.request_id!r}"
            )


# --- the result file ------------------------------------------------------------------------


Bound = Literal["lower", "upper"]


class Estimate(Record):
    """One number of a result, with all that is needed to defend it."""

    metric: str
    """``accuracy``, ``pass@8``, ``output_tokens_per_s`` …"""
    value: float | None
    """The estimate; None when it is unknown or undefined, and then ``undefined`` says why."""
    unit: str
    """``fraction``, ``tokens``, ``tokens/s``, ``s``, ``bytes``, ``USD`` …"""
    n: Count
    """How many observations (problems, requests) it rests on."""
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    """Upper end of the 95 % interval."""
    method: str
    """How value and interval were computed, in a few words; what is known of it without a value."""
    undefined: str | None = Field(default=None, exclude_if=lambda why: why is None)
    """Why there is no value; None: there is one."""
    missing_end: str | None = Field(default=None, exclude_if=lambda why: why is None)
    """Why there is a value without an interval, or an interval without an upper end; None: both
    ends are there, or it is one measurement."""
    bound: Bound | None = None
    """``lower``: the true figure is at least this; ``upper``: at most. None: it is the figure."""
    task: str | None = None
    """The task; None for a figure of the whole run."""

    @property
    def why_unknown(self) -> str:
        """Why there is no value or no interval."""
        return self.undefined or self.missing_end or "no reason is on record"

    # Not "before": every record of a file would become a dictionary first, which takes twice the
    # time of reading it.
    @model_validator(mode="after")
    def _from_method(self) -> Self:
        """Reads records that were made when ``method`` held these reasons too."""
        if self.high is not None or self.undefined or self.missing_end or ": " not in self.method:
            return self
        changed = _split_reason(self.method, "undefined" if self.value is None else "missing_end")
        return self.model_copy(update=changed) if changed else self


_OLD_REASON = re.compile(r"(?:^|[;,] )(?:undefined|no interval|no upper bound): ([^;]*)(?:; |$)")


def _split_reason(method: str, field: str) -> dict[str, str]:
    """``ratio; no interval: few problems; all attempts``: the reason becomes a field."""
    found = _OLD_REASON.search(method)
    if found is None:
        return {}
    rest = method[: found.start()], method[found.end() :]
    return {"method": "; ".join(filter(None, rest)), field: found[1]}


class ServingStats(Record):
    """The engine's counters for this session; None: the engine does not report that one."""

    preemptions: Count | None
    """Requests that lost their place, and their cache, to others: the cache is too small."""
    steps: Count | None
    """Forward passes of the model."""
    tokens_per_step_mean: Annotated[float, Field(ge=0)] | None
    """Generated tokens a step: the batch size that was achieved; with speculation, what a step
    yields."""
    running_mean: Annotated[float, Field(ge=0)] | None
    """Requests in the batch, averaged over ``looks``."""
    running_max: Count | None
    waiting_max: Count | None
    """The most requests that the engine had accepted and not begun."""
    kv_cache_usage_max_fraction: Annotated[float, Field(ge=0, le=1)] | None
    """The highest seen in ``looks``."""
    looks: Count
    """How often what rises and falls was read, while requests were under way."""
    prefix_cache_queried_tokens: Count | None
    prefix_cache_hit_tokens: Count | None
    """Prompt tokens whose keys and values were there already."""
    draft_tokens: Count | None
    """Proposed by speculative decoding; None without it."""
    accepted_draft_tokens: Count | None
    draft_acceptance_fraction: Annotated[float, Field(ge=0, le=1)] | None
    """Share of the drafted tokens that were accepted."""


def precision(dtype: str, quantization: str | None) -> str:
    """``bfloat16, fp8 weights``: for people."""
    return dtype if quantization is None else f"{dtype}, {quantization} weights"


class EngineInfo(Record):
    """The engine that generated the completions."""

    name: str
    version: str
    device: str
    """``cpu``, ``cuda``, or ``remote``: a server's, which is not visible from here."""
    device_name: str
    """``NVIDIA H200``, or the processor's model name."""
    device_count: Annotated[int, Field(ge=1)]
    """GPUs, or on a CPU the cores that the process may use."""
    dtype: str
    """Data type of the computation."""
    quantization: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The storage type of quantised weights; None: not quantised, as far as is known."""
    model_path: str
    weights_revision: str | None
    weights_sha256: str | None
    load_s: Seconds | None
    """Loading and warm-up, in no rate."""
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    """Requests that it serves at once at most; None where it is not known."""
    peak_memory_bytes: Count | None
    """Peak memory of the GPU, or on a CPU of the engine's processes."""
    peak_memory_source: str | None = None
    serving: ServingStats | None = None
    """The engine's counters; None for an engine that has none."""
    settings: dict[str, Setting] = Field(default_factory=dict)
    """The engine's settings after it resolved all defaults: attention backend, size and type of the
    cache, batch limits … (docs/engines.md lists the names). Empty for an engine that reports
    none."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables that can change a result; only names on a fixed list are recorded."""

    @model_validator(mode="before")
    @classmethod
    def _from_one_text(cls, given: Any) -> Any:
        """Reads records that were made when both were one text, ``bfloat16, fp8 weights``."""
        if not isinstance(given, dict) or "quantization" in given:
            return given
        dtype, comma, stored = str(given.get("dtype")).partition(", ")
        if not comma:
            return given
        return {**given, "dtype": dtype, "quantization": stored.removesuffix(" weights")}

    @property
    def precision(self) -> str:
        """``bfloat16, fp8 weights``: for people."""
        return precision(self.dtype, self.quantization)
