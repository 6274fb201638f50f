"""One line of a leaderboard: a run's figures on one task, taken from its ``result.json``.

A row is what the index stores, one column a field: a file is read once, and 10,000 of them are
ranked without reading any again.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from harness.analysis.leaderboard.result_part import read_part
from harness.engines.build import EngineConfig
from harness.io.mistakes import mistakes
from harness.records import Estimate, precision
from harness.store.manifest import MACHINE_TIME, SCHEMA_VERSION, TaskInfo, dump_json
from harness.store.result import estimates_by_name


class LeaderboardRow(NamedTuple):
    """One run on one task. What is unknown is None."""

    task: str
    selection: str
    """``math500:100``."""
    fingerprint: str
    """Fingerprint of the protocol: only rows with the same one are ranked together."""
    protocol: str
    """The name that the configuration gave it."""
    protocol_fields: str
    """The fields of the fingerprint, as a JSON object."""
    model: str
    revision: str | None
    weights_sha256: str | None
    weights: str | None
    """The weights' file of a packaged model; its name shows the quantisation."""
    settings: str
    """Settings of the engine that are not its defaults: ``quantization=fp8``."""
    engine: str
    engine_version: str
    dtype: str
    device: str
    device_name: str
    device_count: int
    seed: int
    problems: int
    full_size: int
    """How many problems the whole task has."""
    samples: int
    """Requests, errors included."""
    accuracy: float | None
    accuracy_low: float | None
    """This and the next: the 95 % interval for new problems like these."""
    accuracy_high: float | None
    n: int
    """Problems that the accuracy rests on."""
    truncated: int | None
    """Answers that were cut off."""
    errors: int | None
    """Requests that ended in errors: in no denominator."""
    tokens_per_answer: float | None
    """Mean of the completion, thinking included."""
    output_tokens_per_s: float | None
    """This and the next, up to cost: of the whole run, all its tasks together."""
    mean_concurrency: float | None
    """Requests in flight at which that rate was reached."""
    steady_output_tokens_per_s: float | None
    """While the engine was full, with the concurrency then."""
    steady_mean_concurrency: float | None
    queue_wait_p50_s: float | None
    time_to_first_token_p50_s: float | None
    """This and the next: from the request's start, not from the batch's."""
    inter_token_latency_mean_s: float | None
    time_per_output_token_p50_s: float | None
    request_latency_p50_s: float | None
    cost_is_lower_bound: bool
    """Rented or owned, the machine was in use for longer than the files show."""
    usd_per_solved_rented: float | None
    """This and the next, up to energy: of this task, all attempts counted, with 95 % intervals."""
    usd_per_solved_rented_low: float | None
    usd_per_solved_rented_high: float | None
    usd_per_solved_owned: float | None
    usd_per_solved_owned_low: float | None
    usd_per_solved_owned_high: float | None
    usd_per_solved_api: float | None
    usd_per_solved_api_low: float | None
    usd_per_solved_api_high: float | None
    energy_joules: float | None
    """Energy of the whole run."""
    joules_per_solved: float | None
    """This and the next two: of this task."""
    joules_per_solved_low: float | None
    joules_per_solved_high: float | None
    started_at: datetime
    """UTC without a zone, as DuckDB's TIMESTAMP."""
    run_id: str
    harness_version: str
    git_commit: str | None
    git_dirty: bool | None
    file: str
    """Path relative to the results folder."""


class UnreadableError(ValueError):
    """A file is no finished result of this version; the message is a short reason."""


def rows_of(content: bytes, file: str) -> list[LeaderboardRow]:
    """The rows of a ``result.json``, one for each task; the index keeps these and not results.

    Raises:
        UnreadableError: It is damaged, of another version, or of a run that is not complete.
    """
    try:
        result = read_part(content)
        if result.manifest.status != "complete":
            raise UnreadableError(f"is of a run that is {result.manifest.status}")
        rows = list(_rows(result, file))
    except ValidationError as error:
        raise UnreadableError(_why(error)) from error
    except KeyError as error:
        raise UnreadableError(f"is damaged: the manifest says nothing of task {error}") from error
    if not rows:
        raise UnreadableError("is damaged: it has no task or no session")
    return rows


def _why(error: ValidationError) -> str:
    found = mistakes(error)
    for each in found:
        if each.keys == ("schema_version",) and each.details["type"] != "missing":
            return f"is of schema version {each.given}; this harness reads {SCHEMA_VERSION}"
    return f"is damaged: {found[0]}"


# --- the figures -----------------------------------------------------------------------------

_OF_RUN = {
    "output_tokens_per_s": "output_tokens_per_s",
    "mean_concurrency": "mean_concurrency",
    "steady_output_tokens_per_s": "output_tokens_per_s.steady_state",
    "steady_mean_concurrency": "mean_concurrency.steady_state",
    "queue_wait_p50_s": "queue_wait_s.p50",
    "time_to_first_token_p50_s": "time_to_first_token_s.p50",
    "inter_token_latency_mean_s": "inter_token_latency_s.mean",
    "time_per_output_token_p50_s": "time_per_output_token_s.p50",
    "request_latency_p50_s": "request_latency_s.p50",
}
"""Fields and the metrics that they show. An older result has its TTFT and its latency from the
queue's beginning, under other names: these fields are unknown of it."""

_UNKNOWN = Estimate(metric="", value=None, unit="", n=0, method="", undefined="not computed")
Found = Mapping[tuple[str, str | None], Estimate]


def _rows(result: Any, file: str) -> Iterator[LeaderboardRow]:
    manifest, found = result.manifest, estimates_by_name(result.estimates)
    for session in manifest.sessions[-1:]:
        engine = session.engine
        run: dict[str, Any] = {
            "engine": engine.name,
            "engine_version": engine.version,
            "device": engine.device,
            "device_name": engine.device_name,
            "device_count": engine.device_count,
            "dtype": precision(engine.dtype, engine.quantization),
            "settings": _settings(manifest.config.engine),
            "model": manifest.model.name,
            "revision": manifest.model.revision,
            "weights_sha256": manifest.model.sha256,
            "weights": _file_name(manifest.config.model.get("member")),
            "protocol": manifest.config.protocol.name,
            "seed": manifest.config.seed,
            "cost_is_lower_bound": _is_lower_bound(found),
            **{field: _value(found, metric, None) for field, metric in _OF_RUN.items()},
            "energy_joules": _value(found, "energy_joules", None),
            "started_at": manifest.started_at.astimezone(UTC).replace(tzinfo=None),
            "run_id": manifest.run_id,
            "file": file,
            "harness_version": manifest.provenance.harness_version,
            "git_commit": manifest.provenance.git_commit,
            "git_dirty": manifest.provenance.git_dirty,
        }
        for task in manifest.tasks:
            yield LeaderboardRow(**run, **_of_task(task, manifest, found))


def _is_lower_bound(found: Found) -> bool:
    """A result without machine time is an older one, which leaves out what killed sessions used."""
    machine_time = found.get((MACHINE_TIME, None))
    return machine_time is None or machine_time.bound is not None


def _of_task(task: TaskInfo, manifest: Any, found: Found) -> dict[str, Any]:
    name = task.name
    accuracy = found.get(("accuracy", name), _UNKNOWN)
    return {
        "task": name,
        "selection": task.selection,
        "fingerprint": manifest.protocol_fingerprints[name],
        "protocol_fields": dump_json(manifest.protocol_fields[name]),
        "problems": task.problems,
        "full_size": task.full_size,
        "samples": found.get(("share.correct", name), _UNKNOWN).n,
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "n": accuracy.n,
        "truncated": _count(found, name, "truncated"),
        "errors": _count(found, name, "scorer_error", "generation_error"),
        "tokens_per_answer": _value(found, "completion_tokens.mean", name),
        **_with_interval(found, name, "cost_per_solved.rented", "usd_per_solved_rented"),
        **_with_interval(found, name, "cost_per_solved.owned", "usd_per_solved_owned"),
        **_with_interval(found, name, "cost_per_solved.api", "usd_per_solved_api"),
        **_with_interval(found, name, "joules_per_solved", "joules_per_solved"),
    }


def _with_interval(found: Found, task: str, metric: str, field: str) -> dict[str, float | None]:
    each = found.get((metric, task), _UNKNOWN)
    return {field: each.value, f"{field}_low": each.low, f"{field}_high": each.high}


def _value(found: Found, metric: str, task: str | None) -> float | None:
    return found.get((metric, task), _UNKNOWN).value


def _count(found: Found, task: str, *statuses: str) -> int | None:
    """How many requests ended so: the shares are of all of them."""
    shares = [found.get((f"share.{status}", task), _UNKNOWN) for status in statuses]
    if any(share.value is None for share in shares):
        return None
    return sum(round((share.value or 0.0) * share.n) for share in shares)


def _file_name(member: str | None) -> str | None:
    return None if member is None else member.rpartition("/")[2]


# --- settings ---------------------------------------------------------------------------------

# Where an engine is, not what it does; a page that is passed on need not name hosts and folders.
_PLACES = frozenset({"kind", "base_url", "run", "dtype"})


def _settings(engine: Mapping[str, Any]) -> str:
    usual = _defaults(str(engine.get("kind")))
    differing = {
        key: value
        for key, value in engine.items()
        if key not in _PLACES and key != "args" and value != usual.get(key)
    }
    differing |= engine.get("args") or {}
    return ", ".join(f"{key}={_shown(differing[key])}" for key in sorted(differing))


@cache
def _defaults(kind: str) -> dict[str, Any]:
    # An engine that cannot do without some setting has no default to differ from.
    try:
        known = TypeAdapter(EngineConfig).validate_python({"kind": kind})
    except ValidationError:
        return {}
    return dict(known.model_dump(mode="json"))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else dump_json(value)
