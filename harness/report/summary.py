"""The table at the end of a run, and the one line of JSON that programs read."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.manifest import RunResult, TaskInfo
from harness.records import Estimate, VerdictStatus

OUTCOMES: dict[str, tuple[VerdictStatus, ...]] = {
    "correct": ("correct",),
    "incorrect": ("incorrect",),
    "no answer": ("no_answer",),
    "truncated": ("truncated",),
    "errors": ("scorer_error", "generation_error"),
}
RUN_FIGURES: dict[str, tuple[str, ...]] = {
    "output": ("output_tokens_per_s",),
    "prefill, at least": ("prefill_tokens_per_s",),
    "time to first token, p50 and p99": ("ttft_s.p50", "ttft_s.p99"),
    "time per output token, p50 and p99": (
        "time_per_output_token_s.p50",
        "time_per_output_token_s.p99",
    ),
    "request from queue to end, p50 and p99": ("end_to_end_s.p50", "end_to_end_s.p99"),
    "time to first answer token, p50": ("time_to_first_answer_token_s.p50",),
    "generation": ("generation_s", "completion_tokens.total"),
    "loading and warm-up": ("load_s",),
    "peak memory": ("peak_memory_bytes",),
}
BASES = ("rented", "owned", "api")
HEADLINE = (
    "accuracy",
    *(metric for metrics in RUN_FIGURES.values() for metric in metrics),
    *(f"{what}.{basis}" for what in ("cost", "cost_per_solved") for basis in BASES),
)
WIDTH_WITHOUT_TERMINAL = 100


def print_summary(result: RunResult, folder: Path, reasons: Iterable[str]) -> None:
    """Prints what came of a run to stderr."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    manifest = result.manifest
    engine = manifest.engine
    assert engine is not None  # build_result has seen to it
    console.print(
        f"\n[bold]{escape(manifest.config.model.name)}[/bold] on {engine.name} {engine.version}, "
        f"{engine.device_count} x {engine.device_name}, {engine.dtype}, "
        f"protocol {manifest.config.protocol.name}\n",
    )
    console.print(_task_table(result))
    console.print()
    console.print(_run_table(result))
    for reason in reasons:
        console.print(f"\n[bold red]exit status 4:[/bold red] {reason}")
    console.print(f"\nfiles in {escape(str(folder))}", soft_wrap=True)


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
    mine = [o for o in result.outcomes if o.request_id.startswith(f"{task.name}/")]
    counts = Counter(outcome.status for outcome in mine)
    accuracy = _find(result, "accuracy", task.name)
    column = {
        "accuracy": "unknown" if accuracy.value is None else f"{100 * accuracy.value:.1f} %",
        "  95 % interval": "unknown"
        if accuracy.low is None or accuracy.high is None
        else f"{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f} %",
    }
    for label, statuses in OUTCOMES.items():
        count = sum(counts[status] for status in statuses)
        shown = f"{count} of {len(mine)}"
        column[label] = f"[bold red]{shown}[/bold red]" if label == "errors" and count else shown
    column["tokens per answer"] = _value(_find(result, "completion_tokens.mean", task.name))
    column["  of them thinking"] = _value(_find(result, "reasoning_tokens.mean", task.name))
    for basis in _priced(result):
        # One task's own figure; with a single task it is the run's.
        found = _find(result, f"cost_per_solved.{basis}", task.name)
        column[f"cost per solved, {basis}"] = _value(found)
    return column


def _run_table(result: RunResult) -> Table:
    table = Table(
        show_header=False, show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0)
    )
    for label, metrics in RUN_FIGURES.items():
        table.add_row(label, ", ".join(_value(_find(result, metric, None)) for metric in metrics))
    if not _priced(result):
        table.add_row("cost", "unknown: no price list is for this device (see conf/pricing)")
    for basis in _priced(result):
        table.add_row(f"cost, {basis}", _with_reason(_find(result, f"cost.{basis}", None)))
        per_solved = _find(result, f"cost_per_solved.{basis}", None)
        table.add_row(f"cost per solved task, {basis}", _with_reason(per_solved))
    return table


def _priced(result: RunResult) -> tuple[str, ...]:
    return tuple(result.pricing.bases())


def _with_reason(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"unknown: {estimate.method.removeprefix('undefined: ').split(';')[0]}"
    text = _value(estimate)
    if estimate.low is not None and estimate.high is not None:
        text += f", 95 % interval {_number(estimate.low)} to {_number(estimate.high)}"
    return text


def headline(result: RunResult, folder: Path) -> dict[str, Any]:
    """What stdout's last line says: where the run is, and its figures by name."""
    figures: dict[str, Any] = {}
    for estimate in result.estimates:
        if estimate.metric in HEADLINE:
            key = f"{estimate.task}/{estimate.metric}" if estimate.task else estimate.metric
            figures[key] = estimate.model_dump(include={"value", "unit", "n", "low", "high"})
    return {
        "run_id": result.manifest.run_id,
        "path": str(folder),
        "status": result.manifest.status,
        "estimates": figures,
    }


def _find(result: RunResult, metric: str, task: str | None) -> Estimate:
    return next(
        (e for e in result.estimates if e.metric == metric and e.task == task),
        Estimate(metric=metric, value=None, unit="", n=0, method="undefined: not computed"),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"  # noqa: PLR2004


def _value(estimate: Estimate) -> str:
    if estimate.value is None:
        return "unknown"
    if estimate.unit == "bytes":
        return f"{estimate.value / 1e9:.2f} GB"
    return f"{_number(estimate.value)} {estimate.unit}"
