"""One side of a comparison, in one form for runs and other harnesses' logs.

Results of this harness and files of others are compared alike, so each becomes a ``Side``: made by
``side_of`` from a result, and from another harness's log by ``_of_foreign``. It holds what is
compared and no outcome, so a result of 32,000 answers is let go once its side is made.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.analysis.comparison.records import RunName
from harness.config.pricing import BASES, ApiPrice, Basis, OwnedPrice, RentedPrice
from harness.engines.identity import known_facts
from harness.errors import StoreError, UserError
from harness.interop.readers import ForeignEntry, ForeignLog, harness_of, open_log, readers
from harness.metrics.cost import apportion, request_weight
from harness.metrics.request_times import REQUEST_TIMES
from harness.records import ERROR_STATUSES, Bound, Estimate, VerdictStatus
from harness.store.manifest import Outcome, RunManifest
from harness.store.result import RunResult, Tally, load
from harness.store.run_files import find_result


@dataclass
class SideProblem:
    """One problem as one side answered it. Lists have an entry for each sample that has one."""

    tally: Tally = field(default_factory=Tally)
    answers: list[tuple[VerdictStatus | None, str | None]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Times by metric of ``REQUEST_TIMES``."""
    their_latency_s: list[float] = field(default_factory=list)
    """Latency as another harness defines it; it is in no ratio."""
    billed_tokens: tuple[int, int] = (0, 0)
    """Tokens of prompt and completion, over all attempts, as far as known; errors cost too."""
    usd: dict[Basis, float] = field(default_factory=dict)
    """Their price, where the run's cost is known."""


@dataclass
class SideTask:
    """One task of one side."""

    fields: dict[str, Any]
    """Protocol fields. A missing field is unknown; None is a value (top_k: off)."""
    full_size: int | None
    """Problems of the whole benchmark."""
    problems: dict[str, SideProblem] = field(default_factory=lambda: defaultdict(SideProblem))
    is_complete: bool = True
    """Whether ``fields`` holds the whole protocol, so that a missing option is off; False for a log
    of another harness."""

    def says(self, name: str) -> bool:
        """Whether it is known what a field of the protocol is, or that it is off."""
        return self.is_complete or name in self.fields


@dataclass
class Side:
    """The compared content of a run, or of another harness's file."""

    name: RunName
    tasks: dict[str, SideTask]
    run_id: str | None
    run_estimates: dict[str, Estimate] = field(default_factory=dict)
    """Estimates of the whole run, by metric."""
    prices: dict[Basis, str] = field(default_factory=dict)
    """The price list of each basis."""
    cost_bounds: dict[Basis, Bound | None] = field(default_factory=dict)
    """The bound of each basis, as ``RunResult.cost_bound``."""
    draft_acceptance_fraction: float | None = None
    """Accepted share of the tokens that speculative decoding proposed; None without it, or where
    unknown."""

    @property
    def is_foreign(self) -> bool:
        """Whether another harness wrote it."""
        return self.name.is_foreign


def read_side(given: str, results_dir: Path, task: str | None = None) -> Side:
    """Reads a run by id, folder or ``result.json``, or another harness's log.

    Args:
        given: Names it.
        results_dir: Where runs are looked for by their id.
        task: Which of our tasks another harness's log is about; None: as its names tell.

    Raises:
        StoreError: There is no such run, or it has no result.
        UserError: The file is none of these, or damaged.
    """
    path = Path(given).expanduser()
    file = path if path.is_dir() and harness_of(path) else find_result(given, results_dir)
    if harness_of(file) is not None:
        return side_of_log(open_log(file, task))
    if file.suffix == ".jsonl":
        raise UserError(
            f"{file}: no result; give a run, a result.json or a log of "
            f"{', '.join(each.name for each in readers())}"
        )
    return side_of(load(file), file)


# --- a run of ours ----------------------------------------------------------------------------


def side_of(result: RunResult, file: Path) -> Side:
    """The side that a result makes.

    Raises:
        StoreError: An outcome belongs to no task of the run, or occurs twice.
    """
    manifest = result.manifest
    sizes = {task.name: task.full_size for task in manifest.tasks}
    tasks = {
        name: SideTask(dict(fields), sizes.get(name))
        for name, fields in manifest.protocol_fields.items()
    }
    seen: set[str] = set()
    for outcome in result.outcomes:
        name = outcome.request_id
        task = tasks.get(name.task)
        if task is None:
            raise StoreError(
                f"{file}: request_id {name}: should begin with a task of the run: "
                f"{', '.join(tasks) or 'it has none'}"
            )
        if name in seen:
            raise StoreError(f"{file}: request_id {name} occurs twice")
        seen.add(name)
        _add_outcome(task.problems[name.problem_id], outcome)
    _add_costs([each for task in tasks.values() for each in task.problems.values()], result)
    return Side(
        name=RunName(
            label=manifest.run_id, source="gegenprobe", file=str(file), subject=_subject(manifest)
        ),
        tasks=tasks,
        run_id=manifest.run_id,
        run_estimates={
            metric: each for (metric, task), each in result.by_name().items() if task is None
        },
        prices={basis: _price(getattr(result.pricing, basis)) for basis in result.pricing.bases()},
        cost_bounds={basis: result.cost_bound(basis) for basis in result.pricing.bases()},
        draft_acceptance_fraction=_acceptance(manifest),
    )


def _acceptance(manifest: RunManifest) -> float | None:
    """Over all sessions, each counting from its own start."""
    counted = [session.engine.serving for session in manifest.sessions]
    drafted = sum(each.draft_tokens or 0 for each in counted if each)
    accepted = sum(each.accepted_draft_tokens or 0 for each in counted if each)
    return accepted / drafted if drafted else None


def _add_outcome(problem: SideProblem, outcome: Outcome) -> None:
    problem.answers.append((outcome.status, outcome.extracted))
    prompt, completion = problem.billed_tokens
    problem.billed_tokens = (
        prompt + (outcome.prompt_tokens or 0),
        completion + (outcome.completion_tokens or 0),
    )
    if outcome.finish_reason != "error":
        if outcome.completion_tokens is not None:
            problem.tokens.append(outcome.completion_tokens)
        for metric, measure in REQUEST_TIMES.items():
            if (seconds := measure.seconds(outcome)) is not None:
                problem.times[metric].append(seconds)
    problem.tally = problem.tally.add(outcome)


def _add_costs(problems: Sequence[SideProblem], result: RunResult) -> None:
    """Each problem's share of the run's cost, by tokens as in ``cost_per_solved``."""
    for basis in BASES:
        total = result.estimate(f"cost.{basis}").value
        if total is None:
            continue
        price = result.pricing.api if basis == "api" else None
        weights = [request_weight(price, *problem.billed_tokens) for problem in problems]
        for problem, share in zip(problems, apportion(total, weights), strict=True):
            problem.usd[basis] = float(share)


def _price(price: RentedPrice | OwnedPrice | ApiPrice) -> str:
    """The prices and their name: one provider has many price lists."""
    figures = price.model_dump(exclude={"source", "date", "grade"}, exclude_none=True)
    return ", ".join([*(f"{name} {value}" for name, value in figures.items()), price.citation()])


def _subject(manifest: RunManifest) -> dict[str, Any]:
    """Facts that the protocol leaves free, by name."""
    engine = manifest.engine
    known: dict[str, Any] = {
        "model": manifest.model.name,
        "model.revision": manifest.model.revision,
        "model.weights_sha256": manifest.model.sha256,
        **_adapter(manifest),
        "seed": manifest.config.seed,
        "harness.commit": manifest.provenance.git_commit,
    }
    if engine is not None:
        shown = {"name", "version", "device", "device_name", "device_count"}
        known |= {f"engine.{key}": value for key, value in engine.model_dump(include=shown).items()}
        known["engine.dtype"] = engine.precision
        known["engine.settings"] = "recorded" if engine.settings else "not recorded"
        if engine.settings:
            known |= {f"engine.{name}": value for name, value in known_facts(engine).items()}
    configured = _flat(manifest.config.engine.model_dump(mode="json"), "engine.config")
    return {**known, **{k: v for k, v in configured.items() if not k.endswith((".kind", ".dtype"))}}


def _adapter(manifest: RunManifest) -> dict[str, str]:
    """The adapter's fields; empty without one, as in most runs."""
    adapter = manifest.model.adapter
    return {} if adapter is None else {"model.adapter_sha256": adapter.sha256}


def _flat(value: Any, prefix: str) -> dict[str, Any]:
    if isinstance(value, dict) and value:
        inner = (_flat(each, f"{prefix}.{name}") for name, each in value.items())
        return {key: leaf for each in inner for key, leaf in each.items()}
    return {prefix: value}


# --- another harness's log --------------------------------------------------------------------


def side_of_log(log: ForeignLog) -> Side:
    """The side of another harness's log. The log is read to its end, and its texts are dropped.

    Raises:
        UserError: It is damaged, or about no task of ours.
        UnavailableError: Our own problems are needed and not available.
    """
    tasks: dict[str, SideTask] = {}
    for found in log:
        task = tasks.setdefault(found.task, SideTask({}, full_size=None, is_complete=False))
        _add_entry(task.problems[found.problem.problem_id], found.entry)
    for name, task in tasks.items():
        task.fields |= log.fields(name)
        task.is_complete = name in log.content.protocols
    return Side(
        name=RunName(
            label=log.file.name,
            source=log.harness,
            file=str(log.file),
            subject=dict(log.content.subject),
            unknown_problems=log.left_out,
        ),
        tasks=tasks,
        run_id=None,
    )


def _add_entry(problem: SideProblem, entry: ForeignEntry) -> None:
    solved, samples, errors = problem.tally
    problem.tally = Tally(
        solved + entry.solved,
        samples + entry.judged,
        errors + sum(each.status in ERROR_STATUSES for each in entry.answers),
    )
    for number, each in enumerate(entry.answers):
        if number < entry.judged or each.status in ERROR_STATUSES:
            problem.answers.append((each.status, each.graded))
        if each.completion_tokens is not None:
            problem.tokens.append(each.completion_tokens)
        if each.latency_s is not None:
            problem.their_latency_s.append(each.latency_s)
