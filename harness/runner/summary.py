"""The table at the end of a run, and the one line of JSON that programs read."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from harness.io.terminal import open_console, safe
from harness.models import origin
from harness.records import Estimate, VerdictStatus
from harness.store.failures import FailureReason
from harness.store.manifest import MACHINE_TIME, ExpectedTime, TaskInfo
from harness.store.result import RunResult

OUTCOMES: dict[str, tuple[VerdictStatus, ...]] = {
    "correct": ("correct",),
    "incorrect": ("incorrect",),
    "no answer": ("no_answer",),
    "truncated": ("truncated",),
    "errors": ("scorer_error", "generation_error"),
}
RUN_FIGURES: dict[str, tuple[str, ...]] = {
    "output, whole run": ("output_tokens_per_s", "mean_concurrency"),
    "output while full": (
        "output_tokens_per_s.steady_state",
        "mean_concurrency.steady_state",
        "steady_state_s",
    ),
    "prefill computed": ("computed_prefill_tokens_per_s",),
    "wait in the queue, p50 and p99": ("queue_wait_s.p50", "queue_wait_s.p99"),
    "TTFT from the start, p50 and p99": (
        "time_to_first_token_s.p50",
        "time_to_first_token_s.p99",
    ),
    "ITL, mean and p99": ("inter_token_latency_s.mean", "inter_token_latency_s.p99"),
    "TPOT, p50 and p99": (
        "time_per_output_token_s.p50",
        "time_per_output_token_s.p99",
    ),
    "request from start to end, p50 and p99": ("request_latency_s.p50", "request_latency_s.p99"),
    "TTFT from HTTP request, p50 and p99": ("client_ttft_s.p50", "client_ttft_s.p99"),
    "HTTP request to end, p50 and p99": ("client_latency_s.p50", "client_latency_s.p99"),
    "time to answer token, p50": ("time_to_answer_token_s.p50",),
    "machine time": (MACHINE_TIME, "completion_tokens.total"),
    "loading and warm-up": ("load_s",),
    "peak memory": ("peak_memory_bytes",),
}
_TOKENS = {
    "tokens per answer": "completion_tokens.mean",
    "  of them thinking": "reasoning_tokens.mean",
}
_OF_A_SERVER = ("TTFT from HTTP", "HTTP")
"""Lines that only an engine behind HTTP has."""
BASES = ("rented", "owned", "api")
BASIS_WORDS = {"rented": "rented", "owned": "owned", "api": "at API list price"}
HEADLINE = (
    "accuracy",
    "accuracy.fixed_benchmark",
    "energy_joules",
    *(metric for metrics in RUN_FIGURES.values() for metric in metrics),
    *(f"{what}.{basis}" for what in ("cost", "cost_per_solved") for basis in BASES),
)
_BOUNDS = {None: "", "lower": "at least ", "upper": "at most "}
REASONS_SHOWN = 3


def print_summary(result: RunResult, folder: Path, reasons: Iterable[str]) -> None:
    """Prints what came of a run to stderr."""
    console = open_console(stderr=True)
    manifest = result.manifest
    engine = manifest.engine
    assert engine is not None  # build_result refuses a run without an engine
    console.print(
        f"\n[bold]{safe(manifest.config.model.name)}[/bold] on {engine.name} "
        f"{safe(engine.version)}, {engine.device_count} x {safe(engine.device_name)}, "
        f"{safe(engine.precision)}, protocol {manifest.config.protocol.name}\n"
        f"weights: {safe(origin(manifest.config.model))}\n",
    )
    console.print(_task_table(result))
    console.print()
    console.print(_run_table(result))
    if (budgets := budget_table(result)) is not None:
        console.print()
        console.print(budgets)
    for line in failure_lines(result.failures):
        console.print(line, soft_wrap=True)
    if (attempts := attempts_words(result)) is not None:
        console.print(f"\n{attempts}")
    for reason in reasons:
        console.print(f"\n[bold red]exit status 4:[/bold red] {reason}")
    console.print(f"\nfiles in {safe(str(folder))}", soft_wrap=True)


def failure_lines(failures: Sequence[FailureReason]) -> list[str]:
    """The most frequent reasons for errors, as marked-up lines."""
    if not failures:
        return []
    lines = ["\n[bold red]errors, in no score:[/bold red]"]
    lines += [f"  {each.requests} x {safe(each.reason)}" for each in failures[:REASONS_SHOWN]]
    if more := sum(each.requests for each in failures[REASONS_SHOWN:]):
        lines.append(f"  {more} for other reasons (failures in result.json)")
    return lines


def attempts_words(result: RunResult) -> str | None:
    """How many requests were retried after a failure; None where none was."""
    again = {each.request_id for each in result.failed_attempts}
    if not again:
        return None
    still = sum(
        each.request_id in again and each.status == "generation_error" for each in result.outcomes
    )
    return (
        f"{len(again)} failed requests were retried: {len(again) - still} "
        f"answered, {still} failed again; cost and machine time include the failed attempts"
    )


def _task_table(result: RunResult) -> Table:
    """A column for each task."""
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    columns = []
    for task in result.manifest.tasks:
        table.add_column(task.selection, justify="right")
        columns.append(_task_column(result, task))
    for label in columns[0]:
        table.add_row(label, *(column[label] for column in columns))
    return table


def _task_column(result: RunResult, task: TaskInfo) -> dict[str, str]:
    mine = result.outcomes_of(task.name)
    counts = Counter(outcome.status for outcome in mine)
    column = _accuracy(result, task)
    for label, statuses in OUTCOMES.items():
        count = sum(counts[status] for status in statuses)
        shown = f"{count} of {len(mine)}"
        column[label] = f"[bold red]{shown}[/bold red]" if label == "errors" and count else shown
    for label, metric in _TOKENS.items():
        column[label] = value_and_unit(result.estimate(metric, task.name))
    for basis in priced(result):
        # One task's own figure; with a single task it is the run's.
        found = result.estimate(f"cost_per_solved.{basis}", task.name)
        column[f"cost per solved, {BASIS_WORDS[basis]}"] = value_and_unit(found)
    return column


def _accuracy(result: RunResult, task: TaskInfo) -> dict[str, str]:
    """The score, with an interval for this benchmark and one for new problems."""
    new = result.estimate("accuracy", task.name)
    fixed = result.estimate("accuracy.fixed_benchmark", task.name)
    column = {
        "accuracy": percent(new.value),
        "  95 %, all of this benchmark": percents(fixed),
        "  95 %, new problems like it": percents(new),
    }
    if result.manifest.config.protocol.samples_per_problem > 1:
        rho = result.estimate("within_problem_correlation", task.name).value
        column["  rho, samples of one problem"] = "unknown" if rho is None else f"{rho:.2f}"
    elif fixed.value is not None and fixed.low is None:
        is_greedy = result.manifest.config.protocol.temperature == 0
        column["  95 %, all of this benchmark"] = (
            "unknown, greedy" if is_greedy else "needs 2 samples"
        )
    return column


def percents(estimate: Estimate) -> str:
    """An interval of fractions as text for a table cell."""
    if estimate.low is None or estimate.high is None:
        return "unknown"
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f} %"


def percent(fraction: float | None) -> str:
    """A fraction as text for a table cell."""
    return " ".join(percent_and_unit(fraction)).rstrip()


def percent_and_unit(fraction: float | None) -> tuple[str, str]:
    """A fraction's digits and the unit; without a unit where it is unknown."""
    return ("unknown", "") if fraction is None else (f"{100 * fraction:.1f}", "%")


def _run_table(result: RunResult) -> Table:
    table = Table(
        show_header=False, show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0)
    )
    for label, metrics in RUN_FIGURES.items():
        found = [result.estimate(metric) for metric in metrics]
        if all(each.value is None for each in found):
            if not label.startswith(_OF_A_SERVER):
                table.add_row(label, _with_reason(found[0]))
            continue
        table.add_row(label, ", ".join(value_and_unit(each) for each in found))
    if (expected := result.manifest.expected) is not None:
        table.add_row("generation", value_and_unit(result.estimate("generation_s")))
        table.add_row("  expected before the run", _expected(expected))
    if not priced(result):
        table.add_row("cost", "unknown: no price list is for this device (see conf/pricing)")
    for basis in priced(result):
        table.add_row(f"cost, {BASIS_WORDS[basis]}", _with_reason(result.estimate(f"cost.{basis}")))
        per_solved = result.estimate(f"cost_per_solved.{basis}")
        table.add_row(f"cost per solved task, {BASIS_WORDS[basis]}", _with_reason(per_solved))
    if (api := result.pricing.api) is not None:
        table.add_row("  the API's price list", safe(f"{api.source}, {api.date}"))
        break_even = result.estimate("break_even_output_tokens_per_s")
        if break_even.value is not None:
            table.add_row("  break-even throughput", value_and_unit(break_even))
    table.add_row("energy", _energy(result))
    return table


def _energy(result: RunResult) -> str:
    energy = result.manifest.energy
    if energy.joules is None:
        return f"unknown: {energy.source}"
    per_token = result.estimate("joules_per_output_token")
    per_solved = result.estimate("joules_per_solved")
    parts = [f"{_number(energy.joules)} J", value_and_unit(per_token)]
    if per_solved.value is not None:
        parts.append(f"{value_and_unit(per_solved)} per solved task")
    return f"{', '.join(parts)} ({energy.source})"


def budget_table(result: RunResult) -> Table | None:
    """What smaller token budgets would have given; None where they make no difference.

    Cost is on the first basis that has one; budgets under which nothing is solved are left out.
    """
    lines = {
        point.budget_tokens: point
        for point in result.budget_curve
        if point.task is None and point.solved
    }
    if len({point.solved for point in lines.values()}) < 2:  # noqa: PLR2004 - one is no curve
        return None
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("tokens that an\nanswer may take")
    for task in result.manifest.tasks:
        table.add_column(f"accuracy,\n{task.selection}", justify="right")
    costs = next(iter(lines.values())).costs[:1]
    for basis in (cost.basis for cost in costs):
        table.add_column(f"USD,\n{basis}", justify="right")
        table.add_column("per solved\ntask", justify="right")
        table.add_column("per further\nsolved task", justify="right")
    accuracies = {(p.task, p.budget_tokens): p.accuracy for p in result.budget_curve}
    for budget, point in lines.items():
        row = [f"{budget:,}"]
        for task in result.manifest.tasks:
            accuracy = accuracies.get((task.name, budget))
            row.append(percent(None if accuracy is None else accuracy.value))
        for cost in point.costs[:1]:
            prices = (cost.usd, cost.usd_per_solved, cost.usd_per_further_solved)
            row += ["-" if usd is None else _number(usd) for usd in prices]
        table.add_row(*row)
    return table


def priced(result: RunResult) -> tuple[str, ...]:
    """The bases of cost that the run's price list has prices for."""
    return tuple(result.pricing.bases())


def duration(seconds: float) -> str:
    """A time for people: ``40 s``, ``25 min``, ``3.4 h``."""
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"  # noqa: PLR2004


def _expected(expected: ExpectedTime) -> str:
    low, high = duration(expected.generation_low_s), duration(expected.generation_high_s)
    return f"{duration(expected.generation_s)} ({low} to {high}; basis: {expected.basis})"


def _with_reason(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"unknown: {estimate.why_unknown}"
    text = value_and_unit(estimate)
    if estimate.low is not None:
        upper = "no upper end" if estimate.high is None else _number(estimate.high)
        text += f", 95 % interval {_number(estimate.low)} to {upper}"
    why = missing_end(estimate)
    return f"{text} ({why})" if why else text


def missing_end(estimate: Estimate) -> str | None:
    """Why an interval has no upper end, or there is no interval; None: both ends are known."""
    why = estimate.missing_end
    return f"no interval: {why}" if why and estimate.low is None else why


def headline(result: RunResult, folder: Path) -> dict[str, Any]:
    """The last line of stdout: the run's folder, and its figures by name."""
    figures: dict[str, Any] = {}
    for estimate in result.estimates:
        if estimate.metric in HEADLINE:
            key = f"{estimate.task}/{estimate.metric}" if estimate.task else estimate.metric
            figures[key] = estimate.model_dump(
                include={"value", "unit", "n", "low", "high", "bound"}
            )
    return {
        "run_id": result.manifest.run_id,
        "path": str(folder),
        "status": result.manifest.status,
        "estimates": figures,
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"  # noqa: PLR2004


def value_and_unit(estimate: Estimate) -> str:
    """A figure as people read it: ``2.24 GB``, ``at least 3 USD``, ``unknown``."""
    if estimate.value is None:
        return "unknown"
    if estimate.unit == "bytes":
        return f"{estimate.value / 1e9:.2f} GB"
    unit = "at once" if estimate.unit == "requests" else estimate.unit
    return f"{_BOUNDS[estimate.bound]}{_number(estimate.value)} {unit}"
