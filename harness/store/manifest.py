"""The records that describe a whole run, and the parts of its result.

Schema history: 1, the first.
"""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.config.changes import ConfigChange
from harness.config.pricing import Basis, Usd
from harness.config.settings import RunConfig
from harness.machine.energy import Energy
from harness.machine.provenance import Provenance
from harness.models import ResolvedModel
from harness.records import (
    Count,
    EngineInfo,
    Estimate,
    FinishReason,
    Record,
    RequestId,
    Seconds,
    VerdictStatus,
)

SCHEMA_VERSION: Literal[1] = 1
MACHINE_TIME = "machine_s"
"""The metric without which a result is an older one, whose hours leave killed sessions out."""

PART_OF_RECORDING = "a replay of fewer requests than were recorded: what these used is unknown"

Joules = Annotated[float, Field(ge=0)]
RunStatus = Literal["running", "complete", "interrupted", "failed"]


class TaskInfo(Record):
    """A task as this run used it."""

    name: str
    selection: str
    version: int
    scorer: str
    """The scorer with its version, such as ``math_answer@3``."""
    problems: Count
    full_size: Count
    """How many the whole task has."""
    definition_sha256: str
    problems_sha256: str
    subset_sha256: str
    origin: str
    examples: tuple[str, ...] = ()
    """Ids of the solved examples before each problem, in their order; ``prompts.jsonl`` has them
    as they were shown."""


class Session(Record):
    """One lifetime of an engine; a run that was resumed, or whose engine died, has several."""

    started_at: datetime
    """When the engine began to load."""
    opened_s: Seconds | None = None
    """The same on the run's clock; None in an older file."""
    clock_start_s: Seconds
    """When the engine was ready, on the run's clock: completions that started later belong to this
    session."""
    clock_end_s: Seconds | None = None
    """When it stopped generating, on the run's clock; None in an older file."""
    is_end_known: bool = False
    """False: it was killed, and lived at least until ``clock_end_s``."""
    engine: EngineInfo
    provenance: Provenance
    """Code, packages and machine of this session: they may have changed since the run began."""
    energy_joules: Joules | None = None
    """Used while generating, by the machine's counters."""
    energy_source: str | None = None
    """Which counters: ``NVML, 1 GPU`` or ``RAPL, package 0``; ``none: why`` without any."""


class LostLoad(Record):
    """An engine that was opened and never came to generate."""

    started_at: datetime
    opened_s: Seconds
    """When the session began, on the run's clock."""
    clock_end_s: Seconds
    is_end_known: bool
    """False: it was killed, and lived at least until ``clock_end_s``."""


class CanaryReport(Record):
    """The outcome of the known problems before the run; it is part of no other figure."""

    problems: Count
    solved: Count
    faults: tuple[str, ...]
    """Faults of template, stop tokens, parser, engine or scorer; one is enough to stop the run."""
    warnings: tuple[str, ...]
    max_new_tokens: Annotated[int, Field(ge=1)]
    """Token budget of the known problems; at most the protocol's."""
    wall_s: Seconds


class ExpectedTime(Record):
    """The forecast of a run's duration from before it began, for comparison with the real one."""

    basis: str
    """``roofline`` of a GPU's data sheet, ``roofline of a CPU`` that was measured for a moment, or
    an ``earlier run``."""
    source: str
    """Which machine, and how long its answers are taken to be."""
    output_tokens: Count
    load_s: Seconds
    generation_s: Seconds
    generation_low_s: Seconds
    """This and the next: as far off as such a figure is known to be."""
    generation_high_s: Seconds
    usd: Usd | None
    """Rent for loading and generating; None where no price is for the device."""


class RunManifest(Record):
    """The definition of a run: everything that its figures can depend on."""

    schema_version: Literal[1]
    run_id: str
    status: RunStatus
    config: RunConfig
    """The configuration of the last session."""
    config_changes: tuple[ConfigChange, ...] = ()
    """Values that differed in earlier sessions, in the order of the changes."""
    complete_after: tuple[Count, ...] = ()
    """Numbers of sessions after which every request had ended, before failed ones were retried."""
    model: ResolvedModel
    template_sha256: str | None
    tasks: tuple[TaskInfo, ...]
    protocol_fingerprints: dict[str, str]
    """Fingerprints by task: two scores are comparable when these agree."""
    protocol_fields: dict[str, dict[str, Any]]
    """By task: the fields that the fingerprint is made of."""
    scorer_context: dict[str, dict[str, str]]
    """By scorer: versions, limits and the sandbox level."""
    sessions: tuple[Session, ...]
    lost_loads: tuple[LostLoad, ...] = ()
    provenance: Provenance
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    canary: CanaryReport | None = None
    """The report on the known problems; None where none was sent."""
    expected: ExpectedTime | None = None
    """None where no forecast was possible."""
    merged_from: tuple[str, ...] = ()
    """The runs of its shards, in their order. They are joined end to end on this run's clock."""
    extensions: dict[str, str] = Field(default_factory=dict, exclude_if=lambda found: not found)
    """Engines, scorers and tasks of other packages, such as ``engine toy: toy-engine 1.0``."""
    is_part_of_recording: bool = False
    """Whether it replays fewer requests than were recorded. The sessions are those of the
    recording, which served the other requests at the same time."""

    def task(self, name: str) -> TaskInfo | None:
        """A task of the run; None if the run does not have it."""
        return next((task for task in self.tasks if task.name == name), None)

    @property
    def is_refused(self) -> bool:
        """Whether the known problems stopped it: then there is nothing to resume."""
        return self.canary is not None and bool(self.canary.faults)

    @property
    def engine(self) -> EngineInfo | None:
        """The engine of all sessions together: loaded each time, its memory at the highest.

        How many requests it serves at once is unknown where sessions differ in it.
        """
        if not self.sessions:
            return None
        engines = [session.engine for session in self.sessions]
        loads = [each.load_s for each in engines if each.load_s is not None]
        peaks = [each.peak_memory_bytes for each in engines if each.peak_memory_bytes is not None]
        places = {each.max_concurrency for each in engines}
        together = {
            "max_concurrency": places.pop() if len(places) == 1 else None,
            "load_s": sum(loads) if loads else None,
            "peak_memory_bytes": max(peaks, default=None),
        }
        return engines[-1].model_copy(update=together)

    @property
    def energy(self) -> Energy:
        """The energy of all sessions; unknown where one session's is, with the reason."""
        if not self.sessions:
            return Energy(None, "nothing was generated")
        if self.is_part_of_recording:
            return Energy(None, PART_OF_RECORDING)
        joules, sources = 0.0, []
        for number, session in enumerate(self.sessions, 1):
            used = Energy.recorded(session.energy_joules, session.energy_source)
            if used.joules is None:
                many = f"session {number} of {len(self.sessions)}: " * (len(self.sessions) > 1)
                return Energy(None, f"{many}{used.source}")
            joules += used.joules
            sources += [used.source] if used.source not in sources else []
        return Energy(joules, "; ".join(sources))


class Outcome(Record):
    """The outcome of one request: enough to compare runs."""

    request_id: RequestId
    status: VerdictStatus
    extracted: str | None
    finish_reason: FinishReason
    prompt_tokens: Count | None
    """Tokens of the prompt; None where unknown, as in the completion."""
    completion_tokens: Count | None
    reasoning_tokens: Count | None
    queued_s: Seconds | None
    """This and the others on the run's clock, as in the completion."""
    started_s: Seconds | None
    first_token_s: Seconds | None
    finished_s: Seconds | None

    @property
    def problem_id(self) -> str:
        """``TASK/PROBLEM``."""
        return self.request_id.problem_id

    @property
    def task(self) -> str:
        """The task of the request."""
        return self.request_id.task


class BudgetCost(Record):
    """The cost of a token budget on one basis."""

    basis: Basis
    usd: Usd
    usd_per_solved: Usd | None
    """None when no sample is solved."""
    usd_per_further_solved: Usd | None
    """US dollars per sample solved beyond the previous budget; None where there is none."""
    method: str


class BudgetPoint(Record):
    """The outcome under a smaller token budget: only answers that ended within it count."""

    task: str | None
    """None for the whole run, which has no accuracy over all tasks."""
    budget_tokens: Annotated[int, Field(ge=1)]
    """Most completion tokens of a sample, thinking and answer together."""
    samples: Count
    """Errors left out."""
    ended: Count
    """Answers that ended within the budget."""
    solved: Count
    completion_tokens: Count
    """Spent under the budget, by errors too."""
    accuracy: Estimate | None
    costs: tuple[BudgetCost, ...]
    """One for each basis that has a price."""


def dump_json(value: Any) -> str:
    """One line of ASCII JSON, without NaN: safe for any terminal, lone surrogates too."""
    return json.dumps(value, allow_nan=False)
