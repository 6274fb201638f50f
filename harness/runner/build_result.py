"""Builds a run's result from its files: estimates, outcomes and the exit status."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.config.pricing import BASES, PricedDevices, Pricing
from harness.config.settings import LimitsConfig, RunConfig
from harness.errors import StoreError
from harness.io.paths import CONF_DIR, conf_files
from harness.io.yamlfile import load_yaml
from harness.machine.hardware import usable_cores
from harness.metrics.budget import budget_curve
from harness.metrics.compute import estimate_all
from harness.metrics.cost import SECONDS_PER_HOUR, hourly_rent
from harness.metrics.machine_use import machine_use
from harness.records import ERROR_STATUSES, Completion, Estimate, Sample, Verdict
from harness.store.failures import count_failures
from harness.store.manifest import MACHINE_TIME, SCHEMA_VERSION, BudgetPoint, Outcome, RunManifest
from harness.store.result import RunResult, outcome_of, read_samples, sample_of
from harness.store.run_files import Run

AUTO = "auto"
_OF_WORKERS = (
    "generation_s",
    "load_s",
    MACHINE_TIME,
    "output_tokens_per_s",
    "mean_concurrency",
    "steady_state_s",
    "output_tokens_per_s.steady_state",
    "mean_concurrency.steady_state",
    "computed_prefill_tokens_per_s",
    "solved_per_hour",
)
"""Estimates of a merged run that hold for one worker at a time."""

_OF_SPEED = frozenset({"s", "tokens/s", "requests", "solved/h"})
"""Units of figures that depend on the engine's settings."""


class ExitStatus(NamedTuple):
    """The exit status, 0 or 4, and the reason."""

    status: int
    reasons: tuple[str, ...]


def build_result(run: Run, manifest: RunManifest) -> RunResult:
    """Computes a run's result from its files alone.

    Raises:
        StoreError: The run has no engine on record, or a completion without a verdict.
    """
    if manifest.engine is None:
        raise StoreError(f"run {run.run_id}: no engine was ever started; nothing to report")
    pricing = choose_pricing(manifest.config.pricing, manifest.engine)
    superseded: list[Completion] = []
    read = read_samples(run, manifest.sessions, with_text=False, superseded=superseded)
    samples = list(read)
    attempts = [sample_of(each, _failure(each, manifest), manifest.sessions) for each in superseded]
    return _result_of(samples, attempts, manifest, pricing).at(run.folder)


def write_result(run: Run, complete: RunManifest) -> RunResult:
    """Writes the result of a complete run, and then marks the run as complete."""
    result = build_result(run, complete)
    result.write(run.folder)
    run.write_manifest(complete)
    return result


def recomputed(result: RunResult) -> RunResult:
    """A result with its figures computed anew from its outcomes; verdicts and prices are kept.

    For a result whose run is gone. What outcomes do not hold is unknown: cached prompt tokens, gaps
    between tokens, when an HTTP request was sent.

    For one whose run is gone. What outcomes do not hold is unknown: cached prompt tokens, gaps
    between tokens, when an HTTP request was sent.
    """
    scorers = {task.name: task.scorer for task in result.manifest.tasks}

    def sample(outcome: Outcome) -> Sample:
        completion = Completion(text="", **outcome.model_dump(exclude={"status", "extracted"}))
        verdict = Verdict(
            **outcome.model_dump(include={"request_id", "status", "extracted"}),
            scorer=scorers[outcome.task],
            wall_s=0.0,
        )
        return sample_of(completion, verdict, result.manifest.sessions)

    samples = [sample(outcome) for outcome in result.outcomes]
    attempts = [sample(outcome) for outcome in result.failed_attempts]
    again = _result_of(samples, attempts, result.manifest, result.pricing)
    return again.model_copy(update={"failures": result.failures})


def _failure(completion: Completion, manifest: RunManifest) -> Verdict:
    """The record of a failed attempt that was followed by another."""
    task = completion.request_id.task
    return Verdict(
        request_id=completion.request_id,
        status="generation_error",
        scorer=next(each.scorer for each in manifest.tasks if each.name == task),
        wall_s=0.0,
    )


def _result_of(
    samples: Sequence[Sample], attempts: Sequence[Sample], manifest: RunManifest, pricing: Pricing
) -> RunResult:
    assert manifest.engine is not None, "an engine generated them"
    estimates = estimate_all(
        samples,
        manifest.engine,
        pricing,
        use=machine_use(manifest, samples, attempts),
        benchmark_sizes={task.name: task.full_size for task in manifest.tasks},
    )
    if changed := _changed_engine_keys(manifest):
        estimates = [_of_sessions(each, changed) for each in estimates]
    if manifest.merged_from:
        estimates = [_of_workers(each, len(manifest.merged_from)) for each in estimates]
    return RunResult(
        schema_version=SCHEMA_VERSION,
        manifest=manifest,
        pricing=pricing,
        estimates=tuple(estimates),
        budget_curve=tuple(_budget_curve(samples, estimates, pricing, manifest)),
        outcomes=tuple(outcome_of(each.completion, each.verdict) for each in samples),
        failures=count_failures(each.verdict for each in samples),
        failed_attempts=tuple(outcome_of(each.completion, each.verdict) for each in attempts),
    )


def _changed_engine_keys(manifest: RunManifest) -> str:
    keys = {change.key for change in manifest.config_changes if change.key.startswith("engine.")}
    return ", ".join(sorted(keys))


def _of_sessions(estimate: Estimate, keys: str) -> Estimate:
    """Adds to a speed's method that sessions ran with different settings."""
    if estimate.value is None or estimate.task is not None or estimate.unit not in _OF_SPEED:
        return estimate
    return estimate.model_copy(update={"method": f"{estimate.method}; sessions differ in {keys}"})


def _of_workers(estimate: Estimate, count: int) -> Estimate:
    """Adds to a time or rate how it combines the workers, whose clocks are joined end to end."""
    if estimate.value is None or estimate.metric not in _OF_WORKERS:
        return estimate
    whose = (
        f"machine time of {count} workers" if estimate.unit == "s" else f"of 1 of {count} workers"
    )
    return estimate.model_copy(update={"method": f"{estimate.method}; {whose}"})


def _budget_curve(
    samples: Sequence[Sample],
    estimates: Sequence[Estimate],
    pricing: Pricing,
    manifest: RunManifest,
) -> list[BudgetPoint]:
    totals = {each.metric: each.value for each in estimates if each.task is None}
    return budget_curve(
        samples,
        pricing,
        {basis: totals[f"cost.{basis}"] for basis in pricing.bases()},
        manifest.config.protocol.max_new_tokens,
    )


def exit_status(result: RunResult) -> ExitStatus:
    """Whether the run had more errors or truncation than ``limits`` allows."""
    limits: LimitsConfig = result.manifest.config.limits
    total = len(result.outcomes)
    counts = Counter(outcome.status for outcome in result.outcomes)
    errors = sum(counts[status] for status in ERROR_STATUSES)
    reasons = []
    if total and errors / total > limits.max_error_fraction:
        reasons.append(
            f"{errors} of {total} requests ended in errors, more than "
            f"limits.max_error_fraction={limits.max_error_fraction} allows"
        )
    if total and counts["truncated"] / total > limits.max_truncated_fraction:
        reasons.append(
            f"{counts['truncated']} of {total} answers were truncated, more than "
            f"limits.max_truncated_fraction={limits.max_truncated_fraction} allows; "
            "raise protocol.max_new_tokens"
        )
    return ExitStatus(4 if reasons else 0, tuple(reasons))


def choose_pricing(pricing: Pricing, devices: PricedDevices) -> Pricing:
    """The given price list; for ``auto``, the list that matches these devices.

    A user's list is tried before those of the harness. Bases that ``auto`` itself has a price for
    are added where the device's list has none.

    A list of the user's goes before those of the harness. Bases that ``auto`` itself has a price
    for are added where the device's list has none.

    Raises:
        StoreError: A file in ``conf/pricing`` is no price list.
        ConfigError: Two price lists have one name.
    """
    if pricing.name != AUTO:
        return pricing
    own_last = sorted(conf_files("pricing").values(), key=lambda file: CONF_DIR in file.parents)
    for file in own_last:
        try:
            known = Pricing.model_validate(load_yaml(file.read_text(encoding="utf-8")))
        except ValueError as error:
            raise StoreError(f"{file}: no price list: {' '.join(str(error).split())}") from error
        if known.is_for(devices):
            break
    else:
        known = Pricing(name="none")
    added: dict[str, Any] = {
        basis: getattr(known, basis) or getattr(pricing, basis) for basis in BASES
    }
    return known.model_copy(update=added)


def usd_per_s(pricing: Pricing, devices: PricedDevices) -> float | None:
    """Rent of these devices, in US dollars per second."""
    rent = hourly_rent(pricing.rented, devices)
    return None if rent is None else rent / SECONDS_PER_HOUR


def scoring_workers(config: RunConfig) -> int:
    """The configured number; by default one per two cores, so that generation keeps the machine."""
    return config.scoring.workers or max(1, len(usable_cores()) // 2)
